"""SGD and Momentum for models of tf_keras."""

from __future__ import annotations

from typing import Unpack

import tf_keras

import tf_helen
from tf_helen.legacy.arguments import LearningRate
from tf_helen.legacy.optimizer import LegacyOptimizer
from tf_helen.optimizers.arguments import CommonArguments


@tf_keras.saving.register_keras_serializable(package="tf_helen.legacy")
class SGD(LegacyOptimizer):
    """`tf_helen.SGD` for models of tf_keras (Keras 2) and TensorFlow Recommenders.

    Args:
        Those of `tf_helen.SGD`, which describes them, with its defaults and errors.
    """

    inner_class = tf_helen.SGD

    def __init__(
        self,
        learning_rate: LearningRate = 1e-2,
        *,
        momentum: float = 0.0,
        nesterov: bool = False,
        name: str = "sgd",
        **kwargs: Unpack[CommonArguments],
    ):
        super().__init__(learning_rate, momentum=momentum, nesterov=nesterov, name=name, **kwargs)


@tf_keras.saving.register_keras_serializable(package="tf_helen.legacy")
class Momentum(LegacyOptimizer):
    """`tf_helen.Momentum` for models of tf_keras (Keras 2) and TensorFlow Recommenders.

    Args:
        Those of `tf_helen.Momentum`, which describes them, with its defaults and errors.

    Reference: Sutskever et al., ICML 2013, section 2.
    """

    inner_class = tf_helen.Momentum

    def __init__(
        self,
        learning_rate: LearningRate = 1e-2,
        *,
        momentum: float = 0.9,
        nesterov: bool = False,
        name: str = "momentum",
        **kwargs: Unpack[CommonArguments],
    ):
        super().__init__(learning_rate, momentum=momentum, nesterov=nesterov, name=name, **kwargs)

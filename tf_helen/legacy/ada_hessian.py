"""AdaHessian for models of tf_keras."""

from __future__ import annotations

from typing import Unpack

import tf_keras

import tf_helen
from tf_helen.legacy.arguments import LearningRate
from tf_helen.legacy.optimizer import LegacyOptimizer
from tf_helen.optimizers.arguments import CommonArguments


@tf_keras.saving.register_keras_serializable(package="tf_helen.legacy")
class AdaHessian(LegacyOptimizer):
    """`tf_helen.AdaHessian` for models of tf_keras (Keras 2) and TensorFlow Recommenders.

    It needs a Hessian-vector product per step: train under `tf_helen.legacy.TrainerMixin`, or
    with `optimizer.minimize(closure, variables)`.

    Args:
        Those of `tf_helen.AdaHessian`, which describes them, with its defaults and errors.

    Reference: Yao et al., AAAI 2021 (arXiv 2006.00719), Algorithm 1, Eq. 10.
    """

    inner_class = tf_helen.AdaHessian

    def __init__(
        self,
        learning_rate: LearningRate = 0.15,
        *,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-4,
        power: float = 1.0,
        average: str = "none",
        epsilon_hat: bool = False,
        seed: int = 0,
        name: str = "ada_hessian",
        **kwargs: Unpack[CommonArguments],
    ):
        super().__init__(
            learning_rate,
            beta_1=beta_1,
            beta_2=beta_2,
            epsilon=epsilon,
            power=power,
            average=average,
            epsilon_hat=epsilon_hat,
            seed=seed,
            name=name,
            **kwargs,
        )

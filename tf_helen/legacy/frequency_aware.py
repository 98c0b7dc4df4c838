"""FrequencyAware for models of tf_keras."""

from __future__ import annotations

from typing import Any

import tf_keras

import tf_helen
from tf_helen.legacy.arguments import LearningRate
from tf_helen.legacy.optimizer import LegacyOptimizer


@tf_keras.saving.register_keras_serializable(package="tf_helen.legacy")
class FrequencyAware(LegacyOptimizer):
    """`tf_helen.FrequencyAware` for models of tf_keras (Keras 2) and TensorFlow Recommenders.

    A `base_optimizer` may also be an optimizer of `tf_helen.legacy`.

    Args:
        Those of `tf_helen.FrequencyAware`, which describes them, with its defaults and errors.

    Reference: F2A of Google's library for SparseCore, jax-tpu-embedding (`F2AOptimizerSpec`).
    """

    inner_class = tf_helen.FrequencyAware

    def __init__(
        self,
        learning_rate: LearningRate | None = None,
        *,
        base_optimizer: Any = "adam",
        rho: float = 0.5,
        cap: float = 1e6,
        count: str = "steps",
        name: str = "frequency_aware",
        **kwargs: Any,
    ):
        super().__init__(
            learning_rate,
            base_optimizer=base_optimizer,
            rho=rho,
            cap=cap,
            count=count,
            name=name,
            **kwargs,
        )

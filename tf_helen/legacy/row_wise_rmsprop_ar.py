"""Row-wise RMSprop with decay for models of tf_keras."""

from __future__ import annotations

from typing import Unpack

import tf_keras

import tf_helen
from tf_helen.legacy.arguments import LearningRate
from tf_helen.legacy.optimizer import LegacyOptimizer
from tf_helen.optimizers.arguments import CommonArguments


@tf_keras.saving.register_keras_serializable(package="tf_helen.legacy")
class RowWiseRMSpropAR(LegacyOptimizer):
    """`tf_helen.RowWiseRMSpropAR` for models of tf_keras (Keras 2) and TensorFlow Recommenders.

    Args:
        Those of `tf_helen.RowWiseRMSpropAR`, which describes them, with its defaults and errors.

    Reference: FBGEMM 1.9, ROWWISE_RMSPROP_AR, which cites the appendix of Li, Lyu, ICLR 2026
    (OpenReview QFH5mwP9oH).
    """

    inner_class = tf_helen.RowWiseRMSpropAR

    def __init__(
        self,
        learning_rate: LearningRate = 1e-2,
        *,
        alpha: float = 1e-2,
        min_shrinkage: float = 0.1,
        beta: float = 0.99,
        epsilon: float = 1e-8,
        name: str = "row_wise_rmsprop_ar",
        **kwargs: Unpack[CommonArguments],
    ):
        super().__init__(
            learning_rate,
            alpha=alpha,
            min_shrinkage=min_shrinkage,
            beta=beta,
            epsilon=epsilon,
            name=name,
            **kwargs,
        )

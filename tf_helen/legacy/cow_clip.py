"""CowClip for models of tf_keras."""

from __future__ import annotations

from typing import Any

import tf_keras

import tf_helen
from tf_helen.legacy.arguments import LearningRate
from tf_helen.legacy.optimizer import LegacyOptimizer


@tf_keras.saving.register_keras_serializable(package="tf_helen.legacy")
class CowClip(LegacyOptimizer):
    """`tf_helen.CowClip` for models of tf_keras (Keras 2) and TensorFlow Recommenders.

    A `base_optimizer` may also be an optimizer of `tf_helen.legacy`.

    Args:
        Those of `tf_helen.CowClip`, which describes them, with its defaults and errors.

    Reference: Zheng et al., AAAI 2023 (arXiv 2204.06240), Algorithm 1.
    """

    inner_class = tf_helen.CowClip

    def __init__(
        self,
        learning_rate: LearningRate | None = None,
        *,
        base_optimizer: Any = "adam",
        ratio: float = 1.0,
        zeta: float = 1e-5,
        threshold: str = "paper",
        coupled_weight_decay: float = 0.0,
        clip_linear: bool = False,
        name: str = "cow_clip",
        **kwargs: Any,
    ):
        super().__init__(
            learning_rate,
            base_optimizer=base_optimizer,
            ratio=ratio,
            zeta=zeta,
            threshold=threshold,
            coupled_weight_decay=coupled_weight_decay,
            clip_linear=clip_linear,
            name=name,
            **kwargs,
        )

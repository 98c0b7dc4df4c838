"""SAM, ASAM and Helen for models of tf_keras."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import tf_keras

import tf_helen
from tf_helen.legacy.arguments import LearningRate
from tf_helen.legacy.optimizer import LegacyOptimizer


@tf_keras.saving.register_keras_serializable(package="tf_helen.legacy")
class SAM(LegacyOptimizer):
    """`tf_helen.SAM` for models of tf_keras (Keras 2) and TensorFlow Recommenders.

    It needs two gradients per step: train under `tf_helen.legacy.TrainerMixin`, or with
    `optimizer.minimize(closure, variables)`. A `base_optimizer` may also be an optimizer of
    `tf_helen.legacy`.

    Args:
        Those of `tf_helen.SAM`, which describes them, with its defaults and errors.

    Reference: Foret et al., ICLR 2021, Algorithm 1.
    """

    inner_class = tf_helen.SAM

    def __init__(
        self,
        learning_rate: LearningRate | None = None,
        *,
        rho: float = 0.05,
        base_optimizer: Any = "adam",
        adaptive: bool = False,
        perturbation: str = "global",
        name: str = "sam",
        **kwargs: Any,
    ):
        super().__init__(
            learning_rate,
            rho=rho,
            base_optimizer=base_optimizer,
            adaptive=adaptive,
            perturbation=perturbation,
            name=name,
            **kwargs,
        )


@tf_keras.saving.register_keras_serializable(package="tf_helen.legacy")
class ASAM(LegacyOptimizer):
    """`tf_helen.ASAM` for models of tf_keras (Keras 2) and TensorFlow Recommenders.

    It needs two gradients per step: train under `tf_helen.legacy.TrainerMixin`, or with
    `optimizer.minimize(closure, variables)`. A `base_optimizer` may also be an optimizer of
    `tf_helen.legacy`.

    Args:
        Those of `tf_helen.ASAM`, which describes them, with its defaults and errors.

    Reference: Kwon et al., ICML 2021, Algorithm 1.
    """

    inner_class = tf_helen.ASAM

    def __init__(
        self,
        learning_rate: LearningRate | None = None,
        *,
        rho: float = 0.5,
        base_optimizer: Any = "adam",
        eta: float = 0.01,
        adapt_bias: bool = False,
        perturbation: str = "global",
        name: str = "asam",
        **kwargs: Any,
    ):
        super().__init__(
            learning_rate,
            rho=rho,
            base_optimizer=base_optimizer,
            eta=eta,
            adapt_bias=adapt_bias,
            perturbation=perturbation,
            name=name,
            **kwargs,
        )


@tf_keras.saving.register_keras_serializable(package="tf_helen.legacy")
class Helen(LegacyOptimizer):
    """`tf_helen.Helen` for models of tf_keras (Keras 2) and TensorFlow Recommenders.

    It needs two gradients per step: train under `tf_helen.legacy.TrainerMixin`, or with
    `optimizer.minimize(closure, variables)`. A `base_optimizer` may also be an optimizer of
    `tf_helen.legacy`.

    Args:
        Those of `tf_helen.Helen`, which describes them, with its defaults and errors.

    Reference: Zhu et al., WWW 2024 (arXiv 2403.00798), section 4, Algorithm 1.
    """

    inner_class = tf_helen.Helen

    def __init__(
        self,
        learning_rate: LearningRate | None = None,
        *,
        rho: float = 0.05,
        lower_bound: float = 0.0,
        base_optimizer: Any = "adam",
        frequency: str | Mapping[str, np.ndarray] = "batch",
        norm: str = "row",
        dense_norm: str = "dense",
        perturb_dense: bool = True,
        perturbation: str = "global",
        adaptive: bool = False,
        name: str = "helen",
        **kwargs: Any,
    ):
        super().__init__(
            learning_rate,
            rho=rho,
            lower_bound=lower_bound,
            base_optimizer=base_optimizer,
            frequency=frequency,
            norm=norm,
            dense_norm=dense_norm,
            perturb_dense=perturb_dense,
            perturbation=perturbation,
            adaptive=adaptive,
            name=name,
            **kwargs,
        )

"""Adagrad and its relatives for models of tf_keras."""

from __future__ import annotations

from typing import Unpack

import tf_keras

import tf_helen
from tf_helen.legacy.arguments import LearningRate
from tf_helen.legacy.optimizer import LegacyOptimizer
from tf_helen.optimizers.arguments import CommonArguments, SharedArguments
from tf_helen.rules.interval_decay import Alpha


@tf_keras.saving.register_keras_serializable(package="tf_helen.legacy")
class Adagrad(LegacyOptimizer):
    """`tf_helen.Adagrad` for models of tf_keras (Keras 2) and TensorFlow Recommenders.

    Args:
        Those of `tf_helen.Adagrad`, which describes them, with its defaults and errors.

    Reference: Duchi, Hazan, Singer, JMLR 2011, section 1.1 (diagonal form).
    """

    inner_class = tf_helen.Adagrad

    def __init__(
        self,
        learning_rate: LearningRate = 1e-2,
        *,
        initial_accumulator_value: float = 0.0,
        epsilon: float = 1e-10,
        epsilon_inside: bool = False,
        name: str = "adagrad",
        **kwargs: Unpack[CommonArguments],
    ):
        super().__init__(
            learning_rate,
            initial_accumulator_value=initial_accumulator_value,
            epsilon=epsilon,
            epsilon_inside=epsilon_inside,
            name=name,
            **kwargs,
        )


@tf_keras.saving.register_keras_serializable(package="tf_helen.legacy")
class AdagradW(LegacyOptimizer):
    """`tf_helen.AdagradW` for models of tf_keras (Keras 2) and TensorFlow Recommenders.

    Args:
        Those of `tf_helen.AdagradW`, which describes them, with its defaults and errors.

    Reference: FBGEMM's rowwise Adagrad with counter, decoupled mode; here per weight.
    """

    inner_class = tf_helen.AdagradW

    def __init__(
        self,
        learning_rate: LearningRate = 1e-2,
        *,
        weight_decay: float = 4e-3,
        counter_halflife: float | None = None,
        initial_accumulator_value: float = 0.0,
        epsilon: float = 1e-10,
        epsilon_inside: bool = False,
        name: str = "adagradw",
        **kwargs: Unpack[SharedArguments],
    ):
        super().__init__(
            learning_rate,
            weight_decay=weight_decay,
            counter_halflife=counter_halflife,
            initial_accumulator_value=initial_accumulator_value,
            epsilon=epsilon,
            epsilon_inside=epsilon_inside,
            name=name,
            **kwargs,
        )


@tf_keras.saving.register_keras_serializable(package="tf_helen.legacy")
class RowWiseAdagrad(LegacyOptimizer):
    """`tf_helen.RowWiseAdagrad` for models of tf_keras (Keras 2) and TensorFlow Recommenders.

    Args:
        Those of `tf_helen.RowWiseAdagrad`, which describes them, with its defaults and errors.

    Reference: Mudigere et al., ISCA 2022 (arXiv 2104.05158); FBGEMM's EXACT_ROWWISE_ADAGRAD.
    """

    inner_class = tf_helen.RowWiseAdagrad

    def __init__(
        self,
        learning_rate: LearningRate = 1e-2,
        *,
        initial_accumulator_value: float = 0.0,
        epsilon: float = 1e-10,
        name: str = "row_wise_adagrad",
        **kwargs: Unpack[CommonArguments],
    ):
        super().__init__(
            learning_rate,
            initial_accumulator_value=initial_accumulator_value,
            epsilon=epsilon,
            name=name,
            **kwargs,
        )


@tf_keras.saving.register_keras_serializable(package="tf_helen.legacy")
class AdagradAR(LegacyOptimizer):
    """`tf_helen.AdagradAR` for models of tf_keras (Keras 2) and TensorFlow Recommenders.

    With `tf_helen.legacy.Embedding` absent rows decay when they are next read, at row cost.

    Args:
        Those of `tf_helen.AdagradAR`, which describes them, with its defaults and errors.

    Reference: Li, Lyu, ICLR 2026 (OpenReview QFH5mwP9oH), Algorithm 1.
    """

    inner_class = tf_helen.AdagradAR

    def __init__(
        self,
        learning_rate: LearningRate = 1e-2,
        *,
        alpha: Alpha = 1e-4,
        decay: str = "continuous",
        decay_unseen: bool = True,
        initial_accumulator_value: float = 0.0,
        epsilon: float = 1e-10,
        epsilon_inside: bool = False,
        sweep_every: int = 100,
        steps_per_epoch: int | None = None,
        clock: str = "steps",
        time_unit: float = 1.0,
        name: str = "adagrad_ar",
        **kwargs: Unpack[CommonArguments],
    ):
        super().__init__(
            learning_rate,
            alpha=alpha,
            decay=decay,
            decay_unseen=decay_unseen,
            initial_accumulator_value=initial_accumulator_value,
            epsilon=epsilon,
            epsilon_inside=epsilon_inside,
            sweep_every=sweep_every,
            steps_per_epoch=steps_per_epoch,
            clock=clock,
            time_unit=time_unit,
            name=name,
            **kwargs,
        )

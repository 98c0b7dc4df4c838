"""Adam and its relatives for models of tf_keras."""

from __future__ import annotations

from typing import Unpack

import tf_keras

import tf_helen
from tf_helen.legacy.arguments import LearningRate
from tf_helen.legacy.optimizer import LegacyOptimizer
from tf_helen.optimizers.arguments import CommonArguments, SharedArguments
from tf_helen.rules.interval_decay import Alpha


@tf_keras.saving.register_keras_serializable(package="tf_helen.legacy")
class Adam(LegacyOptimizer):
    """`tf_helen.Adam` for models of tf_keras (Keras 2) and TensorFlow Recommenders.

    Args:
        Those of `tf_helen.Adam`, which describes them, with its defaults and errors.

    Reference: Kingma, Ba, ICLR 2015, Algorithm 1; Reddi et al., ICLR 2018 (amsgrad).
    """

    inner_class = tf_helen.Adam

    def __init__(
        self,
        learning_rate: LearningRate = 1e-3,
        *,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        amsgrad: bool = False,
        epsilon_hat: bool = False,
        name: str = "adam",
        **kwargs: Unpack[CommonArguments],
    ):
        super().__init__(
            learning_rate,
            beta_1=beta_1,
            beta_2=beta_2,
            epsilon=epsilon,
            amsgrad=amsgrad,
            epsilon_hat=epsilon_hat,
            name=name,
            **kwargs,
        )


@tf_keras.saving.register_keras_serializable(package="tf_helen.legacy")
class AMSGrad(LegacyOptimizer):
    """`tf_helen.AMSGrad` for models of tf_keras (Keras 2) and TensorFlow Recommenders.

    Args:
        Those of `tf_helen.AMSGrad`, which describes them, with its defaults and errors.

    Reference: Reddi et al., ICLR 2018, Algorithm 2.
    """

    inner_class = tf_helen.AMSGrad

    def __init__(
        self,
        learning_rate: LearningRate = 1e-3,
        *,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        amsgrad: bool = True,
        epsilon_hat: bool = False,
        name: str = "amsgrad",
        **kwargs: Unpack[CommonArguments],
    ):
        super().__init__(
            learning_rate,
            beta_1=beta_1,
            beta_2=beta_2,
            epsilon=epsilon,
            amsgrad=amsgrad,
            epsilon_hat=epsilon_hat,
            name=name,
            **kwargs,
        )


@tf_keras.saving.register_keras_serializable(package="tf_helen.legacy")
class AdamW(LegacyOptimizer):
    """`tf_helen.AdamW` for models of tf_keras (Keras 2) and TensorFlow Recommenders.

    Args:
        Those of `tf_helen.AdamW`, which describes them, with its defaults and errors.

    Reference: Loshchilov, Hutter, ICLR 2019, Algorithm 2; FBGEMM's rowwise Adagrad with counter
    (decoupled mode) for `counter_halflife`.
    """

    inner_class = tf_helen.AdamW

    def __init__(
        self,
        learning_rate: LearningRate = 1e-3,
        *,
        weight_decay: float = 4e-3,
        counter_halflife: float | None = None,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        amsgrad: bool = False,
        epsilon_hat: bool = False,
        name: str = "adamw",
        **kwargs: Unpack[SharedArguments],
    ):
        super().__init__(
            learning_rate,
            weight_decay=weight_decay,
            counter_halflife=counter_halflife,
            beta_1=beta_1,
            beta_2=beta_2,
            epsilon=epsilon,
            amsgrad=amsgrad,
            epsilon_hat=epsilon_hat,
            name=name,
            **kwargs,
        )


@tf_keras.saving.register_keras_serializable(package="tf_helen.legacy")
class AdamAR(LegacyOptimizer):
    """`tf_helen.AdamAR` for models of tf_keras (Keras 2) and TensorFlow Recommenders.

    With `tf_helen.legacy.Embedding` absent rows decay when they are next read, at row cost.

    Args:
        Those of `tf_helen.AdamAR`, which describes them, with its defaults and errors.

    Reference: Li, Lyu, ICLR 2026 (OpenReview QFH5mwP9oH), Algorithm 1.
    """

    inner_class = tf_helen.AdamAR

    def __init__(
        self,
        learning_rate: LearningRate = 1e-3,
        *,
        alpha: Alpha = 1e-4,
        decay: str = "continuous",
        decay_unseen: bool = True,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        amsgrad: bool = False,
        epsilon_hat: bool = False,
        sweep_every: int = 100,
        steps_per_epoch: int | None = None,
        clock: str = "steps",
        time_unit: float = 1.0,
        name: str = "adam_ar",
        **kwargs: Unpack[CommonArguments],
    ):
        super().__init__(
            learning_rate,
            alpha=alpha,
            decay=decay,
            decay_unseen=decay_unseen,
            beta_1=beta_1,
            beta_2=beta_2,
            epsilon=epsilon,
            amsgrad=amsgrad,
            epsilon_hat=epsilon_hat,
            sweep_every=sweep_every,
            steps_per_epoch=steps_per_epoch,
            clock=clock,
            time_unit=time_unit,
            name=name,
            **kwargs,
        )


@tf_keras.saving.register_keras_serializable(package="tf_helen.legacy")
class Nadam(LegacyOptimizer):
    """`tf_helen.Nadam` for models of tf_keras (Keras 2) and TensorFlow Recommenders.

    Args:
        Those of `tf_helen.Nadam`, which describes them, with its defaults and errors.

    Reference: Dozat, ICLR 2016 workshop, section 2; mu_t of its appendix.
    """

    inner_class = tf_helen.Nadam

    def __init__(
        self,
        learning_rate: LearningRate = 2e-3,
        *,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        momentum_decay: float = 4e-3,
        epsilon_hat: bool = False,
        name: str = "nadam",
        **kwargs: Unpack[CommonArguments],
    ):
        super().__init__(
            learning_rate,
            beta_1=beta_1,
            beta_2=beta_2,
            epsilon=epsilon,
            momentum_decay=momentum_decay,
            epsilon_hat=epsilon_hat,
            name=name,
            **kwargs,
        )


@tf_keras.saving.register_keras_serializable(package="tf_helen.legacy")
class RAdam(LegacyOptimizer):
    """`tf_helen.RAdam` for models of tf_keras (Keras 2) and TensorFlow Recommenders.

    Args:
        Those of `tf_helen.RAdam`, which describes them, with its defaults and errors.

    Reference: Liu et al., ICLR 2020, Algorithm 2.
    """

    inner_class = tf_helen.RAdam

    def __init__(
        self,
        learning_rate: LearningRate = 1e-3,
        *,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        name: str = "radam",
        **kwargs: Unpack[CommonArguments],
    ):
        super().__init__(
            learning_rate, beta_1=beta_1, beta_2=beta_2, epsilon=epsilon, name=name, **kwargs
        )

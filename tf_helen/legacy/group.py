"""The Group optimizers, whose rows become exactly zero, for models of tf_keras."""

from __future__ import annotations

from typing import Unpack

import tf_keras

import tf_helen
from tf_helen.legacy.arguments import LearningRate
from tf_helen.legacy.optimizer import LegacyOptimizer
from tf_helen.optimizers.arguments import CommonArguments
from tf_helen.rules.interval_decay import Alpha
from tf_helen.rules.strengths import Strength


@tf_keras.saving.register_keras_serializable(package="tf_helen.legacy")
class GroupMomentum(LegacyOptimizer):
    """`tf_helen.GroupMomentum` for models of tf_keras (Keras 2) and TensorFlow Recommenders.

    Args:
        Those of `tf_helen.GroupMomentum`, which describes them, with its defaults and errors.

    Reference: Yue et al., ECML PKDD 2021 (arXiv 2107.14432), section 3.
    """

    inner_class = tf_helen.GroupMomentum

    def __init__(
        self,
        learning_rate: LearningRate = 1e-2,
        *,
        l1: Strength = 0.0,
        l21: Strength = 0.0,
        l2: Strength = 0.0,
        momentum: float = 0.9,
        nesterov: bool = False,
        name: str = "group_momentum",
        **kwargs: Unpack[CommonArguments],
    ):
        super().__init__(
            learning_rate,
            l1=l1,
            l21=l21,
            l2=l2,
            momentum=momentum,
            nesterov=nesterov,
            name=name,
            **kwargs,
        )


@tf_keras.saving.register_keras_serializable(package="tf_helen.legacy")
class GroupAdagrad(LegacyOptimizer):
    """`tf_helen.GroupAdagrad` for models of tf_keras (Keras 2) and TensorFlow Recommenders.

    Args:
        Those of `tf_helen.GroupAdagrad`, which describes them, with its defaults and errors.

    Reference: Yue et al., ECML PKDD 2021 (arXiv 2107.14432), section 3.
    """

    inner_class = tf_helen.GroupAdagrad

    def __init__(
        self,
        learning_rate: LearningRate = 1e-2,
        *,
        l1: Strength = 0.0,
        l21: Strength = 0.0,
        l2: Strength = 0.0,
        initial_accumulator_value: float = 0.0,
        epsilon: float = 1e-10,
        epsilon_inside: bool = False,
        name: str = "group_adagrad",
        **kwargs: Unpack[CommonArguments],
    ):
        super().__init__(
            learning_rate,
            l1=l1,
            l21=l21,
            l2=l2,
            initial_accumulator_value=initial_accumulator_value,
            epsilon=epsilon,
            epsilon_inside=epsilon_inside,
            name=name,
            **kwargs,
        )


@tf_keras.saving.register_keras_serializable(package="tf_helen.legacy")
class GroupAdam(LegacyOptimizer):
    """`tf_helen.GroupAdam` for models of tf_keras (Keras 2) and TensorFlow Recommenders.

    Args:
        Those of `tf_helen.GroupAdam`, which describes them, with its defaults and errors.

    Reference: Yue et al., ECML PKDD 2021 (arXiv 2107.14432), Algorithm 1.
    """

    inner_class = tf_helen.GroupAdam

    def __init__(
        self,
        learning_rate: LearningRate = 1e-3,
        *,
        l1: Strength = 0.0,
        l21: Strength = 0.0,
        l2: Strength = 0.0,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        amsgrad: bool = False,
        epsilon_hat: bool = True,
        name: str = "group_adam",
        **kwargs: Unpack[CommonArguments],
    ):
        super().__init__(
            learning_rate,
            l1=l1,
            l21=l21,
            l2=l2,
            beta_1=beta_1,
            beta_2=beta_2,
            epsilon=epsilon,
            amsgrad=amsgrad,
            epsilon_hat=epsilon_hat,
            name=name,
            **kwargs,
        )


@tf_keras.saving.register_keras_serializable(package="tf_helen.legacy")
class GroupAMSGrad(LegacyOptimizer):
    """`tf_helen.GroupAMSGrad` for models of tf_keras (Keras 2) and TensorFlow Recommenders.

    Args:
        Those of `tf_helen.GroupAMSGrad`, which describes them, with its defaults and errors.

    Reference: Yue et al., ECML PKDD 2021 (arXiv 2107.14432), Algorithm 1.
    """

    inner_class = tf_helen.GroupAMSGrad

    def __init__(
        self,
        learning_rate: LearningRate = 1e-3,
        *,
        l1: Strength = 0.0,
        l21: Strength = 0.0,
        l2: Strength = 0.0,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        amsgrad: bool = True,
        epsilon_hat: bool = True,
        name: str = "group_amsgrad",
        **kwargs: Unpack[CommonArguments],
    ):
        super().__init__(
            learning_rate,
            l1=l1,
            l21=l21,
            l2=l2,
            beta_1=beta_1,
            beta_2=beta_2,
            epsilon=epsilon,
            amsgrad=amsgrad,
            epsilon_hat=epsilon_hat,
            name=name,
            **kwargs,
        )


@tf_keras.saving.register_keras_serializable(package="tf_helen.legacy")
class GroupAdamAR(LegacyOptimizer):
    """`tf_helen.GroupAdamAR` for models of tf_keras (Keras 2) and TensorFlow Recommenders.

    With `tf_helen.legacy.Embedding` absent rows decay when they are next read, at row cost.

    Args:
        Those of `tf_helen.GroupAdamAR`, which describes them, with its defaults and errors.

    Reference: Li, Lyu, ICLR 2026 (OpenReview QFH5mwP9oH), Algorithm 1; Yue et al., ECML PKDD 2021,
    Algorithm 1. Their combination is ours.
    """

    inner_class = tf_helen.GroupAdamAR

    def __init__(
        self,
        learning_rate: LearningRate = 1e-3,
        *,
        alpha: Alpha = 1e-4,
        decay: str = "continuous",
        decay_unseen: bool = True,
        l1: Strength = 0.0,
        l21: Strength = 0.0,
        l2: Strength = 0.0,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        amsgrad: bool = False,
        epsilon_hat: bool = True,
        sweep_every: int = 100,
        steps_per_epoch: int | None = None,
        clock: str = "steps",
        time_unit: float = 1.0,
        name: str = "group_adam_ar",
        **kwargs: Unpack[CommonArguments],
    ):
        super().__init__(
            learning_rate,
            alpha=alpha,
            decay=decay,
            decay_unseen=decay_unseen,
            l1=l1,
            l21=l21,
            l2=l2,
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
class GroupAdaHessian(LegacyOptimizer):
    """`tf_helen.GroupAdaHessian` for models of tf_keras (Keras 2) and TensorFlow Recommenders.

    It needs a Hessian-vector product per step: train under `tf_helen.legacy.TrainerMixin`, or
    with `optimizer.minimize(closure, variables)`.

    Args:
        Those of `tf_helen.GroupAdaHessian`, which describes them, with its defaults and errors.

    Reference: Yue et al., ECML PKDD 2021 (arXiv 2107.14432), section 3; Yao et al., AAAI 2021.
    """

    inner_class = tf_helen.GroupAdaHessian

    def __init__(
        self,
        learning_rate: LearningRate = 0.15,
        *,
        l1: Strength = 0.0,
        l21: Strength = 0.0,
        l2: Strength = 0.0,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-4,
        power: float = 1.0,
        average: str = "none",
        epsilon_hat: bool = True,
        seed: int = 0,
        name: str = "group_ada_hessian",
        **kwargs: Unpack[CommonArguments],
    ):
        super().__init__(
            learning_rate,
            l1=l1,
            l21=l21,
            l2=l2,
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


@tf_keras.saving.register_keras_serializable(package="tf_helen.legacy")
class GroupFTRL(LegacyOptimizer):
    """`tf_helen.GroupFTRL` for models of tf_keras (Keras 2) and TensorFlow Recommenders.

    Args:
        Those of `tf_helen.GroupFTRL`, which describes them, with its defaults and errors.

    Reference: McMahan et al., KDD 2013, Algorithm 1 (FTRL); Ni et al., CIKM 2019 (its groups).
    """

    inner_class = tf_helen.GroupFTRL

    def __init__(
        self,
        learning_rate: LearningRate = 1e-2,
        *,
        learning_rate_power: float = -0.5,
        initial_accumulator_value: float = 0.1,
        l1: Strength = 0.0,
        l21: Strength = 0.0,
        l2: Strength = 0.0,
        l2_shrinkage: float = 0.0,
        beta: float = 0.0,
        released: bool = False,
        name: str = "group_ftrl",
        **kwargs: Unpack[CommonArguments],
    ):
        super().__init__(
            learning_rate,
            learning_rate_power=learning_rate_power,
            initial_accumulator_value=initial_accumulator_value,
            l1=l1,
            l21=l21,
            l2=l2,
            l2_shrinkage=l2_shrinkage,
            beta=beta,
            released=released,
            name=name,
            **kwargs,
        )

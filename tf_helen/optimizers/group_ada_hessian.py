"""Group AdaHessian: AdaHessian with rows that become exactly zero."""

from __future__ import annotations

from typing import Unpack

import keras

from tf_helen.optimizers.ada_hessian import HessianOptimizer
from tf_helen.optimizers.arguments import CommonArguments, LearningRate
from tf_helen.rules import AdaHessianRule, GroupLasso, Rule
from tf_helen.rules.strengths import Strength


@keras.saving.register_keras_serializable(package="tf_helen")
class GroupAdaHessian(HessianOptimizer):
    """AdaHessian with sparse group lasso inside the update.

    `tf_helen.GroupAdam` with v from the squared Hessian diagonal. With all strengths 0, it is
    `AdaHessian(epsilon_hat=True)`. Memory: three slots of the size of the table.

    Args:
        learning_rate: float, schedule or callable. Defaults to 0.15.
        l1, l21, l2: strengths, see `tf_helen.GroupAdam`. Default to 0.
        beta_1, beta_2, epsilon, power, average, seed: see `tf_helen.AdaHessian`.
        epsilon_hat: as `tf_helen.GroupAdam`. Defaults to `True`.
        name: string, name of the optimizer.
        **kwargs: see `tf_helen.RowSparseOptimizer`.

    Raises:
        ValueError: as `tf_helen.AdaHessian` and `tf_helen.GroupAdam`.

    Reference: Yue et al., ECML PKDD 2021 (arXiv 2107.14432), section 3; Yao et al., AAAI 2021.

    Example:
        >>> w = keras.Variable([[0.01, 0.01], [3.0, 3.0]])
        >>> loss = lambda: tf.reduce_sum(w.value**2) / 2
        >>> _ = tf_helen.GroupAdaHessian(0.1, l21=0.1).minimize(loss, [w])
        >>> (w.numpy() == 0).all(axis=1).tolist()
        [True, False]
    """

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
        rule: Rule = AdaHessianRule(
            beta_1=beta_1,
            beta_2=beta_2,
            epsilon=epsilon,
            power=power,
            average=average,
            epsilon_hat=epsilon_hat,
        )
        rule = GroupLasso(rule, l1=l1, l21=l21, l2=l2)
        super().__init__(learning_rate, rule=rule, seed=seed, name=name, **kwargs)

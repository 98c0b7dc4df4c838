"""Group Momentum: SGD with momentum and rows that become exactly zero."""

from __future__ import annotations

from typing import Unpack

import keras

from tf_helen.optimizers.arguments import CommonArguments, LearningRate
from tf_helen.optimizers.row_sparse import RowSparseOptimizer
from tf_helen.rules import GroupLasso, MomentumRule, Rule
from tf_helen.rules.strengths import Strength


@keras.saving.register_keras_serializable(package="tf_helen")
class GroupMomentum(RowSparseOptimizer):
    """SGD with momentum and sparse group lasso inside the update.

    `tf_helen.GroupAdam` with the moment as u and `D = 1`. With all strengths 0, it is
    `tf_helen.Momentum`. Memory: two slots of the size of the table.

    Args:
        learning_rate: float, schedule or callable. Defaults to 1e-2.
        l1, l21, l2: strengths, see `tf_helen.GroupAdam`. Default to 0.
        momentum, nesterov: see `tf_helen.Momentum`.
        name: string, name of the optimizer.
        **kwargs: see `tf_helen.RowSparseOptimizer`.

    Raises:
        ValueError: on a negative strength; as `tf_helen.Momentum`.

    Reference: Yue et al., ECML PKDD 2021 (arXiv 2107.14432), section 3.

    Example:
        >>> table = keras.Variable([[0.01, 0.01], [1.0, 1.0]])
        >>> gradient = tf.IndexedSlices(tf.ones([2, 2]), tf.constant([0, 1]))
        >>> tf_helen.GroupMomentum(0.01, l21=1.0).apply([gradient], [table])
        >>> (table.numpy() == 0).all(axis=1).tolist()
        [True, False]
    """

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
        rule: Rule = MomentumRule(momentum=momentum, nesterov=nesterov)
        rule = GroupLasso(rule, l1=l1, l21=l21, l2=l2)
        super().__init__(learning_rate, rule=rule, name=name, **kwargs)

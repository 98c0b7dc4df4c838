"""Group Adagrad: Adagrad with rows that become exactly zero."""

from __future__ import annotations

from typing import Unpack

import keras

from tf_helen.optimizers.arguments import CommonArguments, LearningRate
from tf_helen.optimizers.row_sparse import RowSparseOptimizer
from tf_helen.rules import AdagradRule, GroupLasso, Rule
from tf_helen.rules.strengths import Strength


@keras.saving.register_keras_serializable(package="tf_helen")
class GroupAdagrad(RowSparseOptimizer):
    """Adagrad with sparse group lasso inside the update.

    `tf_helen.GroupAdam` with `u = g` and `D = sqrt(G) + epsilon`, where G is the sum of squared
    gradients. With all strengths 0, it is `tf_helen.Adagrad`. Unlike `tf_helen.GroupFTRL`, it keeps
    the initial values of rows. Memory: two slots of the size of the table.

    Args:
        learning_rate: float, schedule or callable. Defaults to 1e-2.
        l1, l21, l2: strengths, see `tf_helen.GroupAdam`. Default to 0.
        initial_accumulator_value, epsilon, epsilon_inside: see `tf_helen.Adagrad`.
        name: string, name of the optimizer.
        **kwargs: see `tf_helen.RowSparseOptimizer`.

    Raises:
        ValueError: on a negative strength; as `tf_helen.Adagrad`.

    Reference: Yue et al., ECML PKDD 2021 (arXiv 2107.14432), section 3.

    Example:
        >>> table = keras.Variable([[0.01, 0.01], [1.0, 1.0]])
        >>> gradient = tf.IndexedSlices(tf.constant([[0.1, 0.1], [0.1, 0.1]]), tf.constant([0, 1]))
        >>> tf_helen.GroupAdagrad(0.05, l21=0.5).apply([gradient], [table])
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
        initial_accumulator_value: float = 0.0,
        epsilon: float = 1e-10,
        epsilon_inside: bool = False,
        name: str = "group_adagrad",
        **kwargs: Unpack[CommonArguments],
    ):
        rule: Rule = AdagradRule(
            initial_accumulator_value=initial_accumulator_value,
            epsilon=epsilon,
            epsilon_inside=epsilon_inside,
        )
        rule = GroupLasso(rule, l1=l1, l21=l21, l2=l2)
        super().__init__(learning_rate, rule=rule, name=name, **kwargs)

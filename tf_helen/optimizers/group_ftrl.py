"""Sparse group FTRL, and FTRL as its case without groups."""

from __future__ import annotations

from typing import Unpack

import keras

from tf_helen.optimizers.arguments import CommonArguments, LearningRate
from tf_helen.optimizers.row_sparse import RowSparseOptimizer
from tf_helen.rules import GroupFTRLRule
from tf_helen.rules.strengths import Strength


@keras.saving.register_keras_serializable(package="tf_helen")
class GroupFTRL(RowSparseOptimizer):
    """Follow the regularized leader with sparse group lasso, as production systems run it.

    ```
    N' = N + g^2                                   # g + 2 * l2_shrinkage * e where that is given
    z <- z + g - (N'^p - N^p) / lr * e             # p = -learning_rate_power
    s  = clip(z, -l1, l1) - z
    e <- 0                                         if ||s|| <= sqrt(d) * l21
         (1 - sqrt(d) * l21 / ||s||) * s / ((beta + N'^p) / lr + 2 * l2)    otherwise
    ```

    With `l21=0` it is FTRL (`keras.optimizers.Ftrl`). z starts at 0, so like FTRL it forgets most
    of a row's initial value at its first update: start from zeros, or use
    `tf_helen.GroupAdagrad`, which does not. A group is a row of a table; of a dense kernel, an
    input row; biases are not regularized. Under a learning-rate schedule e is solved for with the
    new rate. Memory: two slots like the table.

    Args:
        learning_rate: float, schedule or callable. Defaults to 1e-2.
        learning_rate_power: float, not positive; -0.5 is Adagrad's. Defaults to -0.5.
        initial_accumulator_value: float, not negative, where N starts. Defaults to 0.1.
        l1, l21, l2: strengths, not multiplied by the learning rate; see `tf_helen.GroupAdam`.
            Default to 0.
        l2_shrinkage: float, not negative: strength of a decay that z sees as a gradient. Defaults
            to 0.
        beta: float, not negative: smoothing of McMahan et al.; adds `beta / lr` to l2's effect.
            Defaults to 0.
        released: boolean; with `l2_shrinkage`, accumulate the square of the shrunk gradient and of
            the new row, as the tfplus kernel does, instead of g^2 as TensorFlow's FTRL. Defaults
            to `False`.
        name: string, the optimizer's name.
        **kwargs: see `tf_helen.RowSparseOptimizer`.

    Raises:
        ValueError: on a positive `learning_rate_power`, or another number out of range; at the
            first step on a pattern of a strength that is in no variable's path.

    Reference: McMahan et al., KDD 2013, Algorithm 1 (FTRL); Ni et al., CIKM 2019 (its groups).

    Example:
        >>> table = keras.Variable(np.zeros((2, 2)))
        >>> gradient = tf.IndexedSlices(tf.constant([[0.1, 0.1], [1.0, 1.0]]), tf.constant([0, 1]))
        >>> tf_helen.GroupFTRL(0.1, l21=0.5).apply([gradient], [table])
        >>> (table.numpy() == 0).all(axis=1).tolist()
        [True, False]
    """

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
        rule = GroupFTRLRule(
            learning_rate_power=learning_rate_power,
            initial_accumulator_value=initial_accumulator_value,
            l1=l1,
            l21=l21,
            l2=l2,
            l2_shrinkage=l2_shrinkage,
            beta=beta,
            released=released,
        )
        super().__init__(learning_rate, rule=rule, name=name, **kwargs)

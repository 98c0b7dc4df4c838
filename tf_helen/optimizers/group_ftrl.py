"""Sparse group FTRL; without groups, FTRL."""

from __future__ import annotations

from typing import Unpack

import keras

from tf_helen.optimizers.arguments import CommonArguments, LearningRate
from tf_helen.optimizers.row_sparse import RowSparseOptimizer
from tf_helen.rules import GroupFTRLRule
from tf_helen.rules.strengths import Strength


@keras.saving.register_keras_serializable(package="tf_helen")
class GroupFTRL(RowSparseOptimizer):
    """Follow the regularized leader with sparse group lasso.

    ```
    N' = N + g^2                                   # g + 2 * l2_shrinkage * e with l2_shrinkage
    z <- z + g - (N'^p - N^p) / lr * e             # p = -learning_rate_power
    s  = clip(z, -l1, l1) - z
    e <- 0                                         if ||s|| <= sqrt(d) * l21
         (1 - sqrt(d) * l21 / ||s||) * s / ((beta + N'^p) / lr + 2 * l2)    otherwise
    ```

    With `l21=0`, it is FTRL (`keras.optimizers.Ftrl`). z starts at 0, so a row loses most of its
    initial value in its first update, as in FTRL: initialize with zeros, or use
    `tf_helen.GroupAdagrad`. A group is a row of a table, or an input row of a dense kernel; biases
    are not regularized. With a learning-rate schedule, e is computed with the new learning rate.
    Memory: two slots of the size of the table.

    Args:
        learning_rate: float, schedule or callable. Defaults to 1e-2.
        learning_rate_power: float, not positive; -0.5 as in Adagrad. Defaults to -0.5.
        initial_accumulator_value: float, not negative, initial value of N. Defaults to 0.1.
        l1, l21, l2: strengths, not multiplied by the learning rate; see `tf_helen.GroupAdam`.
            Default to 0.
        l2_shrinkage: float, not negative, strength of a decay that is added to the gradient in z.
            Defaults to 0.
        beta: float, not negative, smoothing of McMahan et al., equal to an additional l2 of
            `beta / (2 * lr)`. Defaults to 0.
        released: boolean, whether to accumulate, with `l2_shrinkage`, the square of the shrunk
            gradient at the new row, as in the tfplus kernel, instead of g^2, as in TensorFlow's
            FTRL. Defaults to `False`.
        name: string, name of the optimizer.
        **kwargs: see `tf_helen.RowSparseOptimizer`.

    Raises:
        ValueError: on a positive `learning_rate_power`, or another number out of range; at the
            first step, on a pattern that matches no variable.

    Reference: McMahan et al., KDD 2013, Algorithm 1 (FTRL); Ni et al., CIKM 2019 (groups).

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

"""What an optimizer's rule may know of the step it is part of."""

from __future__ import annotations

import dataclasses

import keras
import tensorflow as tf

from tf_helen.optimizers.history import RowHistory


def compute_dtype(variable: keras.Variable) -> tf.DType:
    """The dtype of rules and slots: the variable's, but at least float32."""
    dtype = tf.as_dtype(variable.dtype)
    return tf.float32 if dtype.size < 4 else dtype


@dataclasses.dataclass(frozen=True)
class Step:
    """What a rule may know of the step it is part of.

    Attributes:
        number: int64 scalar, the optimizer's step, from 1.
        table_step: int64 scalar, its number among the steps that train this variable, which the
            rows' records speak of.
        learning_rate: scalar in the block's dtype.
        raw_gradient: the block's summed gradient, before L2.
        is_table: whether rows that are not in the block, or have a zero gradient, were absent
            (a table) or merely had a zero gradient (dense weights).
        path: the variable's.
        history: the rows' records before this step, or `None`: nobody asked for any.
        curvature: like the gradient, an estimate of the Hessian's diagonal, or `None`.
    """

    number: tf.Tensor
    table_step: tf.Tensor
    learning_rate: tf.Tensor
    raw_gradient: tf.Tensor
    is_table: bool
    path: str = ""
    history: RowHistory | None = None
    curvature: tf.Tensor | None = None

    def bias_correction(self, beta: float) -> tf.Tensor:
        """`1 - beta ** number` in the block's dtype, computed in float64: 1 - 0.999 cancels."""
        power = tf.pow(tf.constant(beta, tf.float64), tf.cast(self.number, tf.float64))
        return tf.cast(1 - power, self.learning_rate.dtype)

    def occurred(self) -> tf.Tensor:
        """bool `[rows]`: which rows have a gradient whose norm is not zero."""
        # Adam squares the gradient too: in a graph the square is computed once.
        axes = list(range(1, self.raw_gradient.shape.rank))
        return tf.reduce_sum(tf.square(self.raw_gradient), axis=axes) > 0

"""Sparse group FTRL, and FTRL as its case without groups."""

from __future__ import annotations

import math

import keras
import tensorflow as tf

from tf_helen import checks
from tf_helen.optimizers.row_sparse import RowSparseOptimizer
from tf_helen.optimizers.sparse_group_lasso import group_threshold
from tf_helen.optimizers.strengths import check_patterns, checked, strength_for


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
        learning_rate: step size.
        learning_rate_power: not positive; -0.5 is Adagrad's.
        initial_accumulator_value: where N starts.
        l1, l21, l2: strengths, not multiplied by the learning rate; see `tf_helen.GroupAdam`.
        l2_shrinkage: strength of a decay that z sees as a gradient.
        beta: smoothing of McMahan et al.; adds `beta / lr` to l2's effect.
        released: with `l2_shrinkage`, accumulate the square of the shrunk gradient and of the new
            row, as the tfplus kernel does, instead of g^2 as TensorFlow's FTRL.
        name: the optimizer's name.
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
        learning_rate=1e-2,
        learning_rate_power=-0.5,
        initial_accumulator_value=0.1,
        l1=0.0,
        l21=0.0,
        l2=0.0,
        l2_shrinkage=0.0,
        beta=0.0,
        released=False,
        *,
        name="group_ftrl",
        **kwargs,
    ):
        super().__init__(learning_rate, name=name, **kwargs)
        self.power = checks.number_in_range("-learning_rate_power", -learning_rate_power)
        self.initial_accumulator_value = checks.number_in_range(
            "initial_accumulator_value", initial_accumulator_value
        )
        self.strengths = {
            name: checked(name, value) for name, value in (("l1", l1), ("l21", l21), ("l2", l2))
        }
        self.l1, self.l21, self.l2 = self.strengths.values()
        self.l2_shrinkage = checks.number_in_range("l2_shrinkage", l2_shrinkage)
        self.beta = checks.number_in_range("beta", beta)
        self.released = bool(released)

    def build(self, variables):
        if not self.built:
            check_patterns(self.strengths, [variable.path for variable in variables])
        super().build(variables)

    def slots(self):
        return {"accumulator": self.initial_accumulator_value, "linear": 0.0}

    def update_rows(self, rows, gradient, slots, step):
        rate, before = step.learning_rate, slots["accumulator"]
        shrunk = gradient + 2 * self.l2_shrinkage * rows if self.l2_shrinkage else gradient
        accumulator = before + tf.square(shrunk if self.released else gradient)
        grown = self._root(accumulator)
        linear = slots["linear"] + shrunk - (grown - self._root(before)) / rate * rows
        l1, l21, l2 = (strength_for(s, step.path) for s in self.strengths.values())
        if rows.shape.rank < 2 and not step.is_table:
            l1 = l21 = l2 = 0.0
        remaining, _, group = group_threshold(linear, math.prod(rows.shape[1:]), l1, l21)
        solved = group * tf.math.divide_no_nan(remaining, (self.beta + grown) / rate + 2 * l2)
        moving = rate > 0  # at rate 0 nothing changes
        rows = tf.where(moving, solved, rows)
        linear = tf.where(moving, linear, slots["linear"])
        if self.released and self.l2_shrinkage:
            accumulator = before + tf.square(gradient + 2 * self.l2_shrinkage * rows)
        accumulator = tf.where(moving, accumulator, before)
        return rows, {"accumulator": accumulator, "linear": linear}

    def _root(self, accumulator: tf.Tensor) -> tf.Tensor:
        return tf.sqrt(accumulator) if self.power == 0.5 else tf.pow(accumulator, self.power)

    def get_config(self):
        return {
            **super().get_config(),
            "learning_rate_power": -self.power,
            "initial_accumulator_value": self.initial_accumulator_value,
            **self.strengths,
            "l2_shrinkage": self.l2_shrinkage,
            "beta": self.beta,
            "released": self.released,
        }

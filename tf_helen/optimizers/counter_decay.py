"""Decoupled weight decay, the same for all rows or stronger on rare ones."""

from __future__ import annotations

import math

import tensorflow as tf

from tf_helen import checks
from tf_helen.optimizers.row_sparse import RowSparseOptimizer


class CounterDecay(RowSparseOptimizer):
    """Adds decoupled decay of the rows of the batch, by their recent count (a mixin, named first).

    ```
    e <- (1 - lr * weight_decay * f) e,  then the optimizer's step
    f = 1                                            # counter_halflife=None
    f = h / c,  c <- 1 + 2^(-(t - s) / h) c          # counter_halflife=h
    ```

    c counts the steps in which the row occurred, those h steps ago by a half; s is the last of
    them. A row of every step has c near h / ln 2, one that is back after a long absence c = 1: it
    makes up at once for the decay that it missed.

    Args:
        *args, **kwargs: the optimizer's own.
        weight_decay: strength, not negative.
        counter_halflife: h, in steps, at least 1; `None`: every row of the batch decays alike.

    Raises:
        ValueError: on a value out of range.
    """

    def __init__(self, *args, weight_decay=4e-3, counter_halflife=None, **kwargs):
        weight_decay = checks.number_in_range("weight_decay", weight_decay)
        super().__init__(*args, weight_decay=weight_decay, **kwargs)
        if counter_halflife is not None:
            counter_halflife = checks.number_in_range("counter_halflife", counter_halflife, 1)
        self.counter_halflife = counter_halflife

    def history(self):
        needed = set() if self.counter_halflife is None else {"last_step", "recent_count"}
        return super().history() | needed

    def decay_strength(self, step):
        if self.counter_halflife is None or not step.is_table:
            return super().decay_strength(step)
        count = tf.maximum(self._recent_count(step), 1)
        # 1 - lr * weight_decay * f must not change the row's sign
        most = tf.math.divide_no_nan(tf.ones_like(count), step.learning_rate)
        return tf.minimum(self.weight_decay * self.counter_halflife / count, most)

    def _recent_count(self, step) -> tf.Tensor:
        """`[rows]`: c after this step."""
        dtype = step.learning_rate.dtype
        count = tf.cast(tf.bitcast(step.history["recent_count"], tf.float32), dtype)
        last_step = tf.cast(step.history["last_step"], tf.int64)
        away = tf.cast(step.table_step - last_step, dtype)
        faded = count * tf.exp(-math.log(2) / self.counter_halflife * away)
        return tf.where(step.occurred(), 1 + faded, count)

    def new_history(self, step, counts):
        history = super().new_history(step, counts)
        if self.counter_halflife is None:
            return history
        count = tf.cast(self._recent_count(step), tf.float32)
        return history.replace(recent_count=tf.bitcast(count, tf.uint32))

    def get_config(self):
        return {**super().get_config(), "counter_halflife": self.counter_halflife}

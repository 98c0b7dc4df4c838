"""Decoupled weight decay that is stronger for rare rows."""

from __future__ import annotations

import dataclasses
import math

import tensorflow as tf

from tf_helen.core import checks
from tf_helen.core.rule import Combinator, Step


@dataclasses.dataclass(frozen=True)
class CounterDecay(Combinator):
    """Scales the decoupled weight decay of a row by the inverse of its frequency.

    ```
    e <- (1 - lr * weight_decay * f) e,  then the update of the wrapped rule
    f = 1                                            # counter_halflife=None
    f = h / c,  c <- 1 + 2^(-(t - s) / h) c          # counter_halflife=h
    ```

    c counts the steps in which the row occurred, where a step h steps ago counts one half; s is the
    last of these steps. A row that occurs in every step has c near h / ln 2; after a long absence,
    c is 1.

    Args:
        rule: the wrapped `Rule`.
        counter_halflife: float, at least 1, half-life h in steps. Defaults to `None`: all rows of
            the batch have the same decay.
    """

    counter_halflife: float | None = None

    def __post_init__(self):
        halflife = self.counter_halflife
        if halflife is not None:
            halflife = checks.number_in_range("counter_halflife", halflife, 1)
        self._replace(counter_halflife=halflife)

    def history(self):
        needed = set() if self.counter_halflife is None else {"last_step", "recent_count"}
        return self.rule.history() | needed

    def decay_strength(self, weight_decay, step):
        halflife = self.counter_halflife
        if halflife is None or not step.is_table:
            return self.rule.decay_strength(weight_decay, step)
        count = tf.maximum(_recent_count(step, halflife), 1)
        # 1 - lr * weight_decay * f must not be negative
        most = tf.math.divide_no_nan(tf.ones_like(count), step.learning_rate)
        return tf.minimum(weight_decay * halflife / count, most)

    def records_after(self, step, counts):
        history = self.rule.records_after(step, counts)
        if self.counter_halflife is None:
            return history
        count = tf.cast(_recent_count(step, self.counter_halflife), tf.float32)
        return history.replace(recent_count=tf.bitcast(count, tf.uint32))


def _recent_count(step: Step, halflife: float) -> tf.Tensor:
    """Returns c after this step, `[rows]`."""
    assert step.history is not None
    dtype = step.learning_rate.dtype
    count = tf.cast(tf.bitcast(step.history["recent_count"], tf.float32), dtype)
    last_step = tf.cast(step.history["last_step"], tf.int64)
    away = tf.cast(step.table_step - last_step, dtype)
    faded = count * tf.exp(-math.log(2) / halflife * away)
    return tf.where(step.occurred(), 1 + faded, count)

"""Decay of rows when they occur, by the time of absence and the learning rate."""

from __future__ import annotations

import dataclasses

import tensorflow as tf

from tf_helen.core import checks
from tf_helen.core.rows import per_row
from tf_helen.core.rule import Combinator, Step


@dataclasses.dataclass(frozen=True)
class OnTouchDecay(Combinator):
    """Decays the rows of the batch before the wrapped rule updates them.

    ```
    I   = t - last_k            # steps since row k was last in a batch; 1 the first time
    e_k <- max(min_shrinkage, 1 - min(1, lr * alpha * I)) * e_k
    ```

    Only rows of the batch change, and the forward pass reads a row before it decays. Unlike in
    `IntervalDecay`, the decay is multiplied by the learning rate, and rows that occur in every step
    have I = 1.

    Args:
        rule: the wrapped `Rule`.
        alpha: float, not negative, decay per step and unit of the learning rate. Defaults to 1e-2.
        min_shrinkage: float in [0, 1], minimum factor of a decay. Defaults to 0.1.

    Raises:
        ValueError: on a value out of range.

    Source: FBGEMM's ROWWISE_RMSPROP_AR, after the appendix of Li, Lyu, ICLR 2026 (OpenReview
    QFH5mwP9oH).
    """

    alpha: float = 1e-2
    min_shrinkage: float = 0.1

    def __post_init__(self):
        self._replace(
            alpha=checks.number_in_range("alpha", self.alpha),
            min_shrinkage=checks.number_in_range("min_shrinkage", self.min_shrinkage, 0, 1),
        )

    def history(self):
        return self.rule.history() | {"last_touch"}

    def update(self, rows, gradient, slots, step):
        if step.is_table:
            rows = rows * per_row(self._kept(step), rows)
        return self.rule.update(rows, gradient, slots, step)

    def _kept(self, step: Step) -> tf.Tensor:
        """Returns the factor of each row, 1 for rows that are not in the batch, `[rows]`."""
        assert step.history is not None
        last_touch = tf.cast(step.history["last_touch"], tf.int64)
        first = tf.equal(last_touch, 0)
        interval = tf.where(first, tf.ones_like(last_touch), step.table_step - last_touch)
        decay = step.learning_rate * self.alpha * tf.cast(interval, step.learning_rate.dtype)
        kept = tf.maximum(1 - tf.minimum(decay, 1), self.min_shrinkage)
        return tf.where(step.touched(), kept, tf.ones_like(kept))

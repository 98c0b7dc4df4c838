"""The mean row of each field, at which new rows may begin."""

from __future__ import annotations

from collections.abc import Callable

import keras
import tensorflow as tf

from tf_helen.core import replicas

_MOMENTUM = 0.9


class MeanRows:
    """Moving averages of the mean row of each field, over rows drawn when ids are admitted.

    Args:
        mean: float32 Keras variable `[fields, dim]`, zeros at first.
        write: function of rows of the table and their first values, `[n, dim]`.

    Attributes:
        drawn: int, number of rows of each field to draw.
    """

    drawn = 64

    def __init__(self, mean: keras.Variable, write: Callable[[tf.Tensor, tf.Tensor], None]):
        self._mean, self._write = mean, write

    def update(
        self, sample: tuple[tf.Tensor, tf.Tensor], read: Callable[[tf.Tensor], tf.Tensor]
    ) -> None:
        """Moves the averages towards the mean of drawn rows; the first mean replaces the zeros.

        Args:
            sample: rows of the table, int64 `[n]`, and their fields, int32 `[n]`.
            read: function from rows of the table to their values, `[n, dim]`.
        """
        rows, fields = sample
        stored = replicas.local(self._mean)
        number = stored.shape[0]
        found = tf.math.unsorted_segment_mean(tf.cast(read(rows), tf.float32), fields, number)
        has_rows = tf.math.unsorted_segment_sum(tf.ones_like(fields), fields, number) > 0
        before = stored.read_value()
        share = tf.where(tf.reduce_any(before != 0, axis=1), 1 - _MOMENTUM, 1.0)
        share = tf.where(has_rows, share, 0.0)[:, None]
        stored.assign(before + share * (found - before), read_value=False)

    def give(self, rows: tf.Tensor, fields: tf.Tensor) -> None:
        """Sets rows to the mean row of their fields."""
        means = replicas.local(self._mean).read_value()
        has_mean = tf.reduce_any(means != 0, axis=1)
        known = tf.gather(has_mean, fields)  # the first rows of a field keep their initial values
        fields = tf.boolean_mask(fields, known)
        self._write(tf.boolean_mask(rows, known), tf.gather(means, fields))

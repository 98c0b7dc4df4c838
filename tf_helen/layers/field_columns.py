"""The columns of ids of each field with own rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf


class FieldColumns:
    """Rearranges the columns of a batch by the field whose rows they use, and back.

    Args:
        owner: sequence of ints, for each field the number of the field whose rows it uses.
        lengths: sequence of ints, number of columns of each field. Fields with more than one are
            padded, with negative ids or empty strings.

    Example:
        >>> columns = FieldColumns([0, 1], [2, 1])
        >>> batch = tf.constant([[7, -1, 5]])
        >>> [part.numpy().tolist() for part in columns.by_field(batch)]
        [[7, -1], [5]]
        >>> columns.present(batch).numpy().tolist()
        [[True, False, True]]
    """

    def __init__(self, owner: Sequence[int], lengths: Sequence[int]):
        several = np.array(lengths) > 1
        self._is_padded = np.repeat(several, lengths)
        by_column = np.repeat(owner, lengths)
        self._columns = [np.flatnonzero(by_column == i) for i in range(max(owner) + 1)]
        self._order = np.argsort(np.concatenate(self._columns))

    def by_field(self, columns: tf.Tensor) -> list[tf.Tensor]:
        """Returns the values of each field with own rows, `[k]`, of a batch `[n, columns]`."""
        return [tf.reshape(tf.gather(columns, own, axis=1), [-1]) for own in self._columns]

    def by_column(self, values: Sequence[tf.Tensor], present: tf.Tensor) -> tf.Tensor:
        """Returns the batch `[n, columns]` of values of each field; -1 for padding.

        Args:
            values: sequence of int64 `[k]`, as `by_field` returns them.
            present: bool `[n, columns]`, result of `present`.
        """
        pairs = zip(values, self._columns, strict=True)
        parts = [tf.reshape(value, [-1, len(own)]) for value, own in pairs]
        whole = tf.gather(tf.concat(parts, 1), self._order, axis=1)
        return tf.where(present, whole, -1) if self._is_padded.any() else whole

    def present(self, columns: tf.Tensor) -> tf.Tensor:
        """Returns which ids of a batch are no padding, bool `[n, columns]`."""
        if not self._is_padded.any():
            return tf.ones_like(columns, tf.bool)
        is_id = tf.not_equal(columns, "") if columns.dtype == tf.string else columns >= 0
        return tf.logical_or(is_id, tf.constant(~self._is_padded))

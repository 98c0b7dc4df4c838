"""Lookups whose values are computed otherwise than their gradient.

Private names of TensorFlow that this file uses:
    `tape.variable_accessed`: makes the tapes of the current thread watch a variable, as its own
        reads do.
    `record.stop_recording`, `record.record_operation`: compute values without a tape, and record
        the gradient of the result. `tf.custom_gradient` keeps a reference to its function, and so
        to the model, for the life of the process.
"""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf
from tensorflow.python.eager import record, tape


def recorded(variable: tf.Variable, ids: tf.Tensor, rows_of: Callable[[], tf.Tensor]) -> tf.Tensor:
    """Returns rows with the gradient of a plain lookup: one slice per occurrence.

    Args:
        variable: plain variable, the table.
        ids: int `[n]`, the rows that are looked up, also repeated.
        rows_of: function that computes the result, `[n, ...]`; it is not differentiated.

    Returns:
        `[n, ...]`.

    Example:
        >>> table = tf.Variable([[1.0], [2.0]])
        >>> with tf.GradientTape() as tape:
        ...     rows = recorded(table, tf.constant([1, 1]), lambda: tf.constant([[5.0], [5.0]]))
        ...     loss = tf.reduce_sum(rows * [[1.0], [2.0]])
        >>> gradient = tape.gradient(loss, table)
        >>> gradient.indices.numpy().tolist(), gradient.values.numpy().ravel().tolist()
        ([1, 1], [1.0, 2.0])
    """
    tape.variable_accessed(variable)
    with record.stop_recording():
        rows = rows_of()
    shape = variable.shape.as_list()

    def gradient(upstream):
        values = tf.cast(tf.convert_to_tensor(upstream), variable.dtype)
        values = tf.reshape(values, [-1, *shape[1:]])
        return [tf.IndexedSlices(values, ids, tf.constant(shape, tf.int64))]

    record.record_operation("Lookup", [rows], [variable.handle], gradient)
    return rows


def distinct(
    variable: tf.Variable, ids: tf.Tensor, rows_of: Callable[[tf.Tensor], tf.Tensor]
) -> tf.Tensor:
    """Looks rows up of which each is read once, so that a remote variable sends it once.

    Args:
        variable: plain variable, the table.
        ids: int `[n]`, also repeated.
        rows_of: function from distinct ids `[k]` to their rows `[k, ...]`.

    Returns:
        `[n, ...]`.
    """

    def rows():
        once, positions = tf.unique(ids)
        return tf.gather(rows_of(once), positions)

    return recorded(variable, ids, rows)

"""Pools the rows of multi-valued fields, and merges them with those of other fields."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf


def pooled(
    rows: tf.Tensor, example: tf.Tensor, field: tf.Tensor, batch: tf.Tensor, how: Sequence[str]
) -> tf.Tensor:
    """Pools the rows of each field of each example.

    Args:
        rows: `[n, d]`.
        example: int64 `[n]`, the example of each row.
        field: int64 `[n]`, the field of each row.
        batch: int scalar, number of examples.
        how: sequence of "mean" or "sum", one per field.

    Returns:
        `[batch, fields, d]`, with zeros for fields without rows.

    Example:
        >>> rows, zeros = tf.constant([[1.0], [3.0]]), tf.constant([0, 0], tf.int64)
        >>> pooled(rows, zeros, zeros, 1, ["mean"]).numpy().tolist()
        [[[2.0]]]
    """
    cell = example * len(how) + field
    cells = batch * len(how)
    # Summed in float32, because 256 + 1 is 256 in bfloat16.
    wide = rows.dtype if rows.dtype.size > 2 else tf.float32
    sums = tf.math.unsorted_segment_sum(tf.cast(rows, wide), cell, cells)
    times = tf.math.unsorted_segment_sum(tf.ones_like(cell, wide), cell, cells)
    is_mean = tf.tile([each == "mean" for each in how], [batch])
    divisor = tf.where(is_mean, tf.maximum(times, 1), tf.ones_like(times))
    combined = tf.cast(sums / divisor[:, None], rows.dtype)
    return tf.reshape(combined, [batch, len(how), rows.shape[-1]])


def in_order(first: tf.Tensor, second: tf.Tensor, is_second: np.ndarray) -> tf.Tensor:
    """Merges two tensors along their second axis.

    Args:
        first: `[B, k, d]`.
        second: `[B, m, d]`.
        is_second: boolean `[k + m]`, which positions of the result are from `second`.

    Returns:
        `[B, k + m, d]`.

    Example:
        >>> first, second = tf.constant([[[1], [2]]]), tf.constant([[[7]]])
        >>> in_order(first, second, np.array([False, True, False])).numpy().ravel().tolist()
        [1, 7, 2]
    """
    starts = np.flatnonzero(np.diff(is_second)) + 1
    runs = np.diff([0, *starts, len(is_second)])
    kinds = is_second[[0, *starts]]
    pieces = [
        iter(tf.split(tensor, runs[kinds == kind], axis=1) if (kinds == kind).any() else ())
        for kind, tensor in enumerate((first, second))
    ]
    return tf.concat([next(pieces[kind]) for kind in kinds.astype(int)], axis=1)

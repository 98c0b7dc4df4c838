"""Hutchinson's estimate of the Hessian's diagonal, for the rows of the batch."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from tf_helen import keras_access
from tf_helen.core import tables
from tf_helen.core.replicas import Gradient
from tf_helen.core.rows import RowBlock, occurrences, values_of, with_values
from tf_helen.core.rule import compute_dtype


def random_signs(ids: tf.Tensor, width: int, salt: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
    """Returns random signs that depend on the row, not on its position in the batch.

    A row that occurs twice in a batch, or in the batches of two replicas, has the same signs.

    Args:
        ids: int `[n]`, row numbers of the whole table.
        width: int, numbers per row.
        salt: uint32 scalar, different for every step and variable.
        dtype: dtype of the result.

    Returns:
        `[n, width]`, +1 or -1.
    """
    words = -(-width // 32)
    keys = tf.cast(ids, tf.uint32) * _uint(0x9E3779B1)
    if ids.dtype == tf.int64:  # of rows beyond 2^32
        above = tf.bitwise.right_shift(ids, tf.constant(32, tf.int64))
        keys += tf.cast(above, tf.uint32) * _uint(0xC2B2AE3D)
    hashed = _mixed(keys[:, None] + salt)
    hashed = _mixed(hashed + tf.cast(tf.range(words), tf.uint32) * _uint(0x85EBCA77))
    shifts = tf.cast(tf.range(32), tf.uint32)
    bits = tf.bitwise.bitwise_and(tf.bitwise.right_shift(hashed[:, :, None], shifts), _uint(1))
    bits = tf.reshape(bits, [-1, words * 32])[:, :width]
    return 2 * tf.cast(bits, dtype) - 1


def _mixed(x: tf.Tensor) -> tf.Tensor:
    """Mixes 32 bits with the finalizer of MurmurHash3, a bijection."""
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        x = tf.bitwise.bitwise_xor(x, tf.bitwise.right_shift(x, _uint(shift))) * _uint(factor)
    return tf.bitwise.bitwise_xor(x, tf.bitwise.right_shift(x, _uint(16)))


def _uint(number: int) -> tf.Tensor:
    return tf.constant(number, tf.uint32)


def _signs_like(gradient: Gradient, variable: keras.Variable, salt: tf.Tensor) -> tf.Tensor:
    shape = tuple(variable.shape)
    dtype, table = gradient.dtype, tables.of(variable)

    def whole(rows):  # the shards of a table have the signs of its rows
        return rows if table is None else table.rows_of(rows)

    if isinstance(gradient, tf.IndexedSlices):
        signs = random_signs(whole(gradient.indices), math.prod(shape[1:]), salt, dtype)
        return tf.reshape(signs, tf.shape(gradient.values))
    rows = tf.range(shape[0]) if shape else tf.zeros([1], tf.int32)
    return tf.reshape(random_signs(whole(rows), math.prod(shape[1:]), salt, dtype), shape)


def gradients_and_diagonals(
    closure: Callable[[], tf.Tensor],
    variables: Sequence[keras.Variable],
    salt: tf.Tensor,
    loss_scale: tf.Tensor | None = None,
) -> tuple[tf.Tensor, list[Gradient | None], list[Gradient | None]]:
    """Computes the loss, its gradients, and an estimate of the Hessian's diagonal.

    The unbiased estimate is `z * (H z)` with random signs z. H z is the gradient of
    `<gradient, z>`, and is sparse if the gradient is.

    Args:
        closure: callable that returns the scalar loss.
        variables: sequence of Keras variables.
        salt: uint32 scalar, different for every step.
        loss_scale: scalar factor of the loss in the differentiation. Defaults to `None`: 1.

    Returns:
        The loss; the gradients, and the products `z * (H z)`, both multiplied by `loss_scale`.
    """
    variables = list(variables)
    stored = [keras_access.stored_value(variable) for variable in variables]
    with tf.GradientTape() as outer:
        with tf.GradientTape() as inner:
            loss = closure()
            scaled = loss if loss_scale is None else loss * tf.cast(loss_scale, loss.dtype)
        gradients = inner.gradient(scaled, stored)
        salts: list[Any] = [None] * len(variables)
        for i, places in enumerate(tables.grouped(variables)):
            for place in places:
                salts[place] = _mixed(salt + _uint(i))
        dots = [
            tf.reduce_sum(values_of(g) * _signs_like(g, v, s))
            for g, v, s in zip(gradients, variables, salts, strict=True)
            if g is not None
        ]
        total = tf.add_n([tf.cast(dot, scaled.dtype) for dot in dots])
    products = outer.gradient(total, stored)
    return (
        loss,
        gradients,
        [_times_signs(p, v, s) for p, v, s in zip(products, variables, salts, strict=True)],
    )


def _times_signs(
    product: Gradient | None, variable: keras.Variable, salt: tf.Tensor
) -> Gradient | None:
    if product is None:  # the loss is linear in this variable
        return None
    return with_values(product, values_of(product) * _signs_like(product, variable, salt))


def carrying(gradient: Gradient | None, diagonal: Gradient | None) -> Gradient | None:
    """Combines a gradient and the Hessian's diagonal, for `block_with_curvature`.

    The result can be scaled, checked for finite values, summed over replicas and skipped like any
    gradient.

    Args:
        gradient: gradient of a variable.
        diagonal: diagonal for the same variable; `None`: zero.

    Returns:
        Dense: both, stacked on a new first axis. Sparse: the slices of both, where those of the
        diagonal have the bitwise inverse of their row number, which is negative.
    """
    if gradient is None:
        return None
    if not isinstance(gradient, tf.IndexedSlices):
        if diagonal is None:
            diagonal = tf.zeros_like(gradient)
        elif isinstance(diagonal, tf.IndexedSlices):
            rows = tf.shape(gradient)[0]
            diagonal = tf.math.unsorted_segment_sum(diagonal.values, diagonal.indices, rows)
        return tf.stack([gradient, diagonal])
    if diagonal is None:
        return gradient
    if not isinstance(diagonal, tf.IndexedSlices):
        ids, _ = tf.unique(gradient.indices)
        diagonal = tf.IndexedSlices(tf.gather(diagonal, ids), ids)
    marked = tf.bitwise.invert(tf.cast(diagonal.indices, gradient.indices.dtype))
    return tf.IndexedSlices(
        tf.concat([gradient.values, diagonal.values], 0),
        tf.concat([gradient.indices, marked], 0),
        gradient.dense_shape,
    )


def parts_of(gradient: Gradient) -> tuple[Gradient, Gradient]:
    """Returns the gradient and the diagonal that `carrying` combined."""
    if not isinstance(gradient, tf.IndexedSlices):
        values, diagonal = tf.unstack(gradient, 2)
        return values, diagonal
    marked = gradient.indices < 0
    own, other = tf.where(~marked)[:, 0], tf.where(marked)[:, 0]
    return (
        tf.IndexedSlices(
            tf.gather(gradient.values, own),
            tf.gather(gradient.indices, own),
            gradient.dense_shape,
        ),
        tf.IndexedSlices(
            tf.gather(gradient.values, other),
            tf.bitwise.invert(tf.gather(gradient.indices, other)),
            gradient.dense_shape,
        ),
    )


def block_with_curvature(
    gradient: Gradient, variable: keras.Variable, loss_scale: float | None
) -> RowBlock:
    """Returns the summed, unscaled block of a result of `carrying`.

    Args:
        gradient: result of `carrying`, summed over the replicas.
        variable: Keras variable of the gradient.
        loss_scale: float, factor of both parts; `None`: 1.

    Returns:
        `RowBlock` with its curvature.

    Raises:
        ValueError: for a dense gradient without a diagonal.
    """
    dtype = compute_dtype(variable)

    def unscaled(values):
        return values if loss_scale is None else values / tf.cast(loss_scale, dtype)

    if not isinstance(gradient, tf.IndexedSlices):
        if gradient.shape.rank != len(variable.shape) + 1:
            raise ValueError(
                f"The gradient of {variable.path} has no diagonal of the Hessian. Received: "
                f"shape {gradient.shape}. Apply the result of `optimizer.compute_gradients`."
            )
        values, diagonal = tf.unstack(tf.cast(gradient, dtype), 2)
        return RowBlock(unscaled(values), None, None, unscaled(diagonal))
    marked = gradient.indices < 0
    indices = tf.where(marked, tf.bitwise.invert(gradient.indices), gradient.indices)
    ids, positions = tf.unique(indices)
    rows = tf.shape(ids)[0]

    def summed(values, is_in):
        # Negative positions are ignored.
        return tf.math.unsorted_segment_sum(values, tf.where(is_in, positions, -1), rows)

    values = tf.cast(gradient.values, dtype)
    counts = summed(occurrences(gradient), ~marked)
    return RowBlock(
        unscaled(summed(values, ~marked)),
        ids,
        tf.cast(counts, tf.int32),
        unscaled(summed(values, marked)),
    )

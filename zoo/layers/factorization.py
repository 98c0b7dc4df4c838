"""Factorization machines: the sum of all pairwise products."""

from __future__ import annotations

import tensorflow as tf


def factorization_machine(embedded: tf.Tensor) -> tf.Tensor:
    """Returns the sum of all pairwise inner products, in O(fields * d).

    Args:
        embedded: `[B, fields, d]`.

    Returns:
        `[B, 1]` float32.

    Equation:
        `sum_{i<j} <e_i, e_j> = 0.5 * sum_d ((sum_i e_i)^2 - sum_i e_i^2)`

    Reference: Rendle, ICDM 2010.

    Example:
        >>> factorization_machine(tf.constant([[[1.0, 2.0], [3.0, 4.0]]])).numpy().tolist()
        [[11.0]]
    """
    # float32, because the sums are nearly equal and their difference loses digits.
    embedded = tf.cast(embedded, tf.float32)
    square_of_sum = tf.square(tf.reduce_sum(embedded, axis=1))
    sum_of_squares = tf.reduce_sum(tf.square(embedded), axis=1)
    return 0.5 * tf.reduce_sum(square_of_sum - sum_of_squares, axis=1, keepdims=True)

"""Products of embeddings with each other."""

from __future__ import annotations

import tensorflow as tf


def outer_product(embedded: tf.Tensor) -> tf.Tensor:
    """Returns the sum of the outer products of all pairs of vectors.

    Args:
        embedded: `[B, fields, d]`.

    Returns:
        `[B, d * d]`, in the dtype of `embedded`.

    Equation:
        `sum_{i,j} e_i e_j^T = (sum_i e_i) (sum_j e_j)^T`

    Reference: Qu et al., ICDM 2016, section III-C.

    Example:
        >>> outer_product(tf.constant([[[1.0, 2.0], [3.0, 4.0]]])).numpy().tolist()
        [[16.0, 24.0, 24.0, 36.0]]
    """
    # float32, because half precision loses digits of the sum.
    total = tf.reduce_sum(tf.cast(embedded, tf.float32), axis=1)
    product = total[:, :, None] * total[:, None, :]
    return tf.cast(tf.reshape(product, [-1, embedded.shape[-1] ** 2]), embedded.dtype)

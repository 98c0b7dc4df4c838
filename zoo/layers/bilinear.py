"""Bilinear products of all pairs of vectors."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

KINDS = ("all", "each", "interaction")


class BilinearInteraction(keras.layers.Layer):
    """`p_ij = (v_i W) * v_j` for all pairs i < j, entry by entry.

    Args:
        kind: which W a pair has: "all" pairs one, "each" left field its own, each "interaction"
            (pair) its own.
        **kwargs: Keras's layer arguments.

    Input shape:
        `[B, fields, d]`, at least two fields.

    Output shape:
        `[B, pairs * d]`; the pairs in the order (0, 1), (0, 2), ..., (1, 2), ...

    Reference: Huang, Zhang, Zhang, RecSys 2019 (arXiv 1905.09433), section "Bilinear-Interaction
        Layer".

    Example:
        >>> BilinearInteraction("each")(tf.ones([2, 4, 5])).shape
        TensorShape([2, 30])
    """

    def __init__(self, kind: str, **kwargs: Any):
        super().__init__(**kwargs)
        self.kind = kind

    def build(self, input_shape: tuple) -> None:
        fields, d = input_shape[1:]
        # The last field's own matrix is never used; the paper and its implementations count it.
        matrices = {"all": 1, "each": fields, "interaction": fields * (fields - 1) // 2}
        # As Glorot says for one d x d matrix; Keras would take the first axis into account.
        spread = keras.initializers.RandomNormal(stddev=d**-0.5)
        # The matrices are side by side: a field's products with all later ones are one product.
        self.kernel = self.add_weight((d, matrices[self.kind] * d), spread, name="kernel")
        self.built = True

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        fields, d = inputs.shape[1:]
        kernel = tf.convert_to_tensor(self.kernel)
        flat = tf.reshape(inputs, [-1, fields * d])
        if self.kind == "interaction":
            first, pieces = 0, []
            for i in range(fields - 1):
                width = (fields - 1 - i) * d
                left = tf.matmul(inputs[:, i], kernel[:, first : first + width])
                pieces.append(left * flat[:, (i + 1) * d :])
                first += width
            return tf.concat(pieces, axis=1)
        if self.kind == "all":
            left = tf.reshape(tf.matmul(tf.reshape(inputs, [-1, d]), kernel), [-1, fields, d])
        else:
            each = [kernel[:, i * d : (i + 1) * d] for i in range(fields - 1)]
            left = tf.stack([tf.matmul(inputs[:, i], w) for i, w in enumerate(each)], axis=1)
        pieces = [
            tf.reshape(left[:, i : i + 1] * inputs[:, i + 1 :], [-1, (fields - 1 - i) * d])
            for i in range(fields - 1)
        ]
        return tf.concat(pieces, axis=1)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        batch, fields, d = input_shape
        return (batch, fields * (fields - 1) // 2 * d)

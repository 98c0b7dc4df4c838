"""Bilinear products of all pairs of vectors."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

KINDS = ("all", "each", "interaction")


class BilinearInteraction(keras.layers.Layer):
    """`p_ij = (v_i W) * v_j` for all pairs i < j, entry by entry.

    Args:
        kind: which pairs share a matrix W: "all" pairs, the pairs of "each" left field, or none
            ("interaction").
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
        # Glorot's bound for one d x d matrix; Keras's initializer would count the first axis too.
        spread = keras.initializers.RandomNormal(stddev=d**-0.5)
        # The matrices are concatenated: a field's products with all later ones are one product.
        self.kernel = self.add_weight((d, matrices[self.kind] * d), spread, name="kernel")
        self.built = True

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        fields, d = inputs.shape[1:]
        # One split, because the gradient of each slice is as large as the whole tensor.
        vectors = tf.unstack(inputs, axis=1)
        kernel = tf.convert_to_tensor(self.kernel)
        later = range(fields - 1, 0, -1)  # number of fields after each field but the last
        if self.kind == "interaction":
            kernels = tf.split(kernel, [count * d for count in later], axis=1)
        elif self.kind == "each":
            kernels = tf.split(kernel, fields, axis=1)
        else:
            kernels = [kernel] * fields
        pieces = []
        for i, count in enumerate(later):
            left = tf.matmul(vectors[i], kernels[i])
            if self.kind != "interaction":
                left = tf.tile(left, [1, count])
            pieces.append(left * tf.concat(vectors[i + 1 :], axis=1))
        return tf.concat(pieces, axis=1)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        batch, fields, d = input_shape
        return (batch, fields * (fields - 1) // 2 * d)

"""The layer of WuKong: factorization machines that compute new vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from zoo.layers.mlp import MLP, LayerNorm, dense_bias


class WuKongLayer(keras.layers.Layer):
    """Computes new vectors from pairwise products (FMB) and sums (LCB), with a residual connection.

    `X' = LN([FMB(X); LCB(X)] + R X)`, `LCB(X) = L X`
    `FMB(X) = reshape(V MLP(LN(flatten(X X^T Y))) + b)`

    Args:
        fmb_vectors: int, number of vectors that the factorization machine block returns.
        lcb_vectors: int, number of vectors that the linear compression block returns.
        projection: int, number of columns of Y, which reduce the matrix of inner products.
        hidden_units: sequence of ints, widths of the hidden layers of the MLP.
        activation: Keras activation of the MLP. Defaults to "relu".
        bias_initializer: Keras initializer of the biases, or "fan_in_uniform", see
            `zoo.layers.MLP`. Defaults to "zeros".
        **kwargs: Keras's layer arguments.

    Input shape:
        `[B, n, d]`.

    Output shape:
        `[B, fmb_vectors + lcb_vectors, d]`. R is the identity if their number is n.

    Reference: Zhang et al., ICML 2024 (arXiv 2403.02545), sections 3.3 to 3.6.

    Example:
        >>> WuKongLayer(3, 2, 4, (8,))(tf.ones([2, 6, 5])).shape
        TensorShape([2, 5, 5])
    """

    def __init__(
        self,
        fmb_vectors: int,
        lcb_vectors: int,
        projection: int,
        hidden_units: Sequence[int],
        activation: Any = "relu",
        bias_initializer: Any = "zeros",
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.bias_initializer = bias_initializer
        self.fmb_vectors, self.lcb_vectors = fmb_vectors, lcb_vectors
        self.projection = projection
        policy = {"dtype": self.dtype_policy}
        self.products_norm = LayerNorm(name="products_norm", **policy)
        options = {"activation": activation, "bias_initializer": bias_initializer, **policy}
        self.mlp = MLP(hidden_units, name="mlp", **options)
        self.norm = LayerNorm(name="norm", **policy)

    def build(self, input_shape: tuple) -> None:
        _, n, d = input_shape
        vectors = self.fmb_vectors + self.lcb_vectors
        self.project = self.add_weight((n, self.projection), "glorot_uniform", name="project")
        self.compress = self.add_weight((n, self.lcb_vectors), "glorot_uniform", name="compress")
        self.residual = None
        if n != vectors:
            self.residual = self.add_weight((n, vectors), "glorot_uniform", name="residual")
        products = (None, n * self.projection)
        self.products_norm.build(products)
        self.mlp.build(products)
        made = self.mlp.compute_output_shape(products)
        self.expand = keras.layers.Dense(
            self.fmb_vectors * d,
            bias_initializer=dense_bias(self.bias_initializer, made[-1]),
            dtype=self.dtype_policy,
            name="expand",
        )
        self.expand.build(made)
        self.norm.build((None, vectors, d))
        self.built = True

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        n, d = inputs.shape[1:]
        # One matrix product for all maps that are linear in the vectors.
        matrices = [self.project, self.compress, self.residual]
        matrices = [tf.convert_to_tensor(matrix) for matrix in matrices if matrix is not None]
        rows = tf.reshape(tf.transpose(inputs, [0, 2, 1]), [-1, n])
        widths = [matrix.shape[1] for matrix in matrices]
        sums = tf.reshape(tf.matmul(rows, tf.concat(matrices, axis=1)), [-1, d, sum(widths)])
        narrow, *sums = tf.split(sums, widths, axis=2)
        products = tf.reshape(tf.matmul(inputs, narrow), [-1, n * self.projection])
        made = self.expand(self.mlp(self.products_norm(products), training=training))
        made = tf.reshape(made, [-1, self.fmb_vectors, d])
        compressed, *old = [tf.transpose(part, [0, 2, 1]) for part in sums]
        return self.norm(tf.concat([made, compressed], axis=1) + (old[0] if old else inputs))

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return (input_shape[0], self.fmb_vectors + self.lcb_vectors, input_shape[2])

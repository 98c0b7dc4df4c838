"""Self-attention among the columns of a row."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from tf_helen.core.checks import number_in_range


class SelfAttention(keras.layers.Layer):
    """AutoInt's interacting layer: every column becomes a mixture of all columns.

    `y = ReLU([A_1 E V_1; ...; A_H E V_H] + E R)`, `A_h = softmax(E Q_h (E K_h)^T)`

    Args:
        units: int, width of the output, over all heads.
        heads: int, number H of heads; divides `units`. Defaults to 1.
        scale: boolean; divides the scores by the square root of a head's width, as in transformers.
            Defaults to `False`.
        residual: boolean; adds the input, through a matrix R if its width is not `units`. Defaults
            to `True`.
        layer_norm: boolean; layer normalization before the ReLU. Defaults to `False`.
        dropout: float in [0, 1), share of the attention weights dropped in training. Defaults to 0.
        **kwargs: Keras's layer arguments.

    Input shape:
        `[B, columns, d]`.

    Output shape:
        `[B, columns, units]`.

    Raises:
        ValueError: if `heads` does not divide `units`, or `dropout` is outside [0, 1).

    Reference: Song et al., CIKM 2019 (arXiv 1810.11921), equations 5 to 8.

    Example:
        >>> SelfAttention(6, heads=2)(tf.ones((2, 3, 4))).shape
        TensorShape([2, 3, 6])
    """

    def __init__(
        self,
        units: int,
        *,
        heads: int = 1,
        scale: bool = False,
        residual: bool = True,
        layer_norm: bool = False,
        dropout: float = 0.0,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        if units % heads:
            raise ValueError(
                f"the heads must divide the width of attention. Received: {units} units and "
                f"{heads} heads; use a multiple of {heads}"
            )
        number_in_range("dropout", dropout, 0.0, 1.0, open_high=True)
        self.units, self.heads = units, heads
        self.scale, self.residual = scale, residual
        policy = {"dtype": self.dtype_policy}
        self.norm = None
        if layer_norm:
            self.norm = keras.layers.LayerNormalization(epsilon=1e-5, name="norm", **policy)
        self.drop = keras.layers.Dropout(dropout, name="drop", **policy) if dropout else None

    def build(self, input_shape: tuple) -> None:
        width = input_shape[-1]
        names = ["query", "key", "value"]
        if self.residual and width != self.units:
            names.append("residual")
        # Separate weights, because the initializer depends on the shape of each.
        self.kernels = [
            self.add_weight((width, self.units), "glorot_uniform", name=name) for name in names
        ]
        if self.norm is not None:
            self.norm.build((None, None, self.units))
        self.built = True

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        columns, width = inputs.shape[1:]
        # One matrix product for all kernels.
        kernel = tf.concat([tf.convert_to_tensor(kernel) for kernel in self.kernels], axis=1)
        projected = tf.reshape(inputs, [-1, width]) @ kernel
        widths = [3 * self.units, projected.shape[1] - 3 * self.units]
        attended, residual = tf.split(projected, widths, axis=1)
        parts = tf.reshape(attended, [-1, columns, 3, self.heads, self.width])
        query, key, value = tf.unstack(tf.transpose(parts, [2, 0, 3, 1, 4]))
        if self.scale:
            query *= self.width**-0.5
        scores = tf.cast(tf.matmul(query, key, transpose_b=True), tf.float32)
        weights = tf.cast(tf.nn.softmax(scores), self.compute_dtype)
        if self.drop is not None:
            weights = self.drop(weights, training=training)
        mixed = tf.transpose(weights @ value, [0, 2, 1, 3])
        outputs = tf.reshape(mixed, [-1, columns, self.units])
        if len(self.kernels) > 3:
            outputs += tf.reshape(residual, [-1, columns, self.units])
        elif self.residual:
            outputs += inputs
        if self.norm is not None:
            outputs = self.norm(outputs)
        return tf.nn.relu(outputs)

    @property
    def width(self) -> int:
        """Width of a head."""
        return self.units // self.heads

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return (*input_shape[:-1], self.units)

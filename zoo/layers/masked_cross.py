"""Cross layers with half the weights; half of their output is a masked copy of the other half."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from tf_helen.core.checks import number_in_range
from zoo.layers.mlp import BatchNorm


class MaskedCross(keras.layers.Layer):
    """FCN's cross layer: `x_0 * ([c; c * ReLU(LN(c))] + b) + x` with `c = W x`, W `[k / 2, k]`.

    With `x_0 = x`, the order of the products doubles in every layer.

    Args:
        heads: int, number of consecutive rows that belong together; batch normalization treats each
            separately. Defaults to 1.
        layer_norm: boolean; layer normalization (LN), after which about half of the mask is 0.
            Defaults to `True`.
        batch_norm: boolean; normalizes c over rows and dimensions. Defaults to `False`.
        dropout: float in [0, 1), share of the outputs dropped in training. Defaults to 0.
        **kwargs: Keras's layer arguments.

    Input shape:
        `x_0` and x, both `[B * heads, k]`; k is even.

    Output shape:
        `[B * heads, k]`.

    Raises:
        ValueError: if `dropout` is outside [0, 1).

    Reference: Li et al. (arXiv 2407.13349), equations of sections 3.2 and 3.3.

    Example:
        >>> MaskedCross()(tf.ones((2, 4)), tf.ones((2, 4))).shape
        TensorShape([2, 4])
    """

    def __init__(
        self,
        *,
        heads: int = 1,
        layer_norm: bool = True,
        batch_norm: bool = False,
        dropout: float = 0.0,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        number_in_range("dropout", dropout, 0.0, 1.0, open_high=True)
        policy = {"dtype": self.dtype_policy}
        self.heads = heads
        self.layer_norm = self.batch_norm = self.drop = None
        if layer_norm:
            self.layer_norm = keras.layers.LayerNormalization(
                epsilon=1e-5, name="layer_norm", **policy
            )
        if batch_norm:
            self.batch_norm = BatchNorm(axis=1, name="batch_norm", **policy)
        if dropout:
            self.drop = keras.layers.Dropout(dropout, name="drop", **policy)

    def build(self, input_shape: tuple) -> None:
        width = input_shape[-1]
        self.kernel = self.add_weight((width, width // 2), "glorot_uniform", name="kernel")
        # Uniform in [0, 1), as in the authors' code.
        self.bias = self.add_weight((width,), keras.initializers.RandomUniform(0, 1), name="bias")
        if self.layer_norm is not None:
            self.layer_norm.build((None, width // 2))
        if self.batch_norm is not None:
            self.batch_norm.build((None, self.heads, width // 2))
        self.built = True

    def call(self, x0: tf.Tensor, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        crossed = tf.matmul(x, self.kernel)
        if self.batch_norm is not None:
            by_head = tf.reshape(crossed, [-1, self.heads, crossed.shape[-1]])
            by_head = self.batch_norm(by_head, training=training)
            crossed = tf.reshape(by_head, [-1, crossed.shape[-1]])
        mask = tf.nn.relu(crossed if self.layer_norm is None else self.layer_norm(crossed))
        outputs = x0 * (tf.concat([crossed, crossed * mask], axis=1) + self.bias) + x
        return outputs if self.drop is None else self.drop(outputs, training=training)

    def compute_output_shape(self, input_shape: tuple, *others: tuple) -> tuple:
        return input_shape

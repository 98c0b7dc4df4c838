"""The layers of MaskNet: masks that depend on the row, and normalization per column."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from zoo.layers.mlp import EPSILON, LayerNorm


class ColumnNorm(keras.layers.Layer):
    """Layer normalization of each column's vector, with a scale and an offset for each column.

    `gamma_j * (e_j - mean(e_j)) / sqrt(var(e_j) + 1e-5) + beta_j`

    Args:
        **kwargs: Keras's layer arguments.

    Input shape:
        `[B, fields, d]`.

    Output shape:
        `[B, fields, d]`.

    Example:
        >>> ColumnNorm()(tf.constant([[[1.0, 3.0]]])).numpy().round(3).tolist()
        [[[-1.0, 1.0]]]
    """

    def build(self, input_shape: tuple) -> None:
        self.gamma = self.add_weight(tuple(input_shape[1:]), "ones", name="gamma")
        self.beta = self.add_weight(tuple(input_shape[1:]), "zeros", name="beta")
        self.built = True

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        # float32, because the variance of embeddings is a very small number.
        vectors = tf.cast(inputs, tf.float32)
        mean, variance = tf.nn.moments(vectors, axes=[2], keepdims=True)
        normed = tf.cast((vectors - mean) * tf.math.rsqrt(variance + EPSILON), self.compute_dtype)
        return normed * self.gamma + self.beta

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return input_shape


class MaskBlock(keras.layers.Layer):
    """A hidden layer whose input is multiplied by a mask computed from the embeddings.

    `dropout(act(LN(W (m * h))))`, `m = M2 relu(M1 e + b1) + b2`

    Args:
        units: int, width of the output.
        reduction: float; the mask's hidden layer has `floor(reduction * width of h)` units, at
            least 1. Defaults to 1.
        activation: Keras activation of the output. Defaults to "relu".
        dropout: float in [0, 1), dropout rate of the output. Defaults to 0.
        layer_norm: boolean; whether to normalize before the activation. Defaults to `True`.
        **kwargs: Keras's layer arguments.

    Input shape:
        `h`, `[B, k]`, and the concatenated embeddings `e`, `[B, n]`.

    Output shape:
        `[B, units]`.

    Reference: Wang, She, Zhang, DLP-KDD 2021 (arXiv 2102.07619), sections "Instance-Guided Mask"
        and "MaskBlock".

    Example:
        >>> MaskBlock(3)(tf.ones([2, 5]), tf.ones([2, 8])).shape
        TensorShape([2, 3])
    """

    def __init__(
        self,
        units: int,
        *,
        reduction: float = 1.0,
        activation: Any = "relu",
        dropout: float = 0.0,
        layer_norm: bool = True,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.units = units
        self.reduction = reduction
        policy = {"dtype": self.dtype_policy}
        self.hidden = keras.layers.Dense(units, use_bias=False, name="hidden", **policy)
        self.norm = LayerNorm(name="norm", **policy) if layer_norm else None
        self.act = keras.layers.Activation(activation, name="act", **policy)
        self.drop = keras.layers.Dropout(dropout, name="drop", **policy) if dropout else None

    def build(self, h_shape: tuple, e_shape: tuple) -> None:
        width = h_shape[-1]
        policy = {"dtype": self.dtype_policy}
        between = max(1, int(self.reduction * width))
        self.squeeze = keras.layers.Dense(between, "relu", name="squeeze", **policy)
        self.mask = keras.layers.Dense(width, name="mask", **policy)
        self.squeeze.build(e_shape)
        self.mask.build((None, between))
        self.hidden.build(h_shape)
        if self.norm is not None:
            self.norm.build((None, self.units))
        self.built = True

    def call(self, h: tf.Tensor, e: tf.Tensor, training: bool = False) -> tf.Tensor:
        outputs = self.hidden(h * self.mask(self.squeeze(e)))
        if self.norm is not None:
            outputs = self.norm(outputs)
        outputs = self.act(outputs)
        return outputs if self.drop is None else self.drop(outputs, training=training)

    def compute_output_shape(self, h_shape: tuple, e_shape: tuple) -> tuple:
        return (h_shape[0], self.units)

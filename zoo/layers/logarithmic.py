"""Products of columns raised to learned powers."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from tf_helen.core.checks import number_above_zero
from zoo.layers.mlp import BatchNorm


class Logarithmic(keras.layers.Layer):
    """AFN's logarithmic transformation: `y_k = N(exp(sum_j w_kj N(ln max(|e_j|, floor))))`.

    N is batch normalization of a column or neuron, over rows and dimensions. Without it, y_k is the
    entry-wise product of the columns raised to the powers `w_kj`.

    Args:
        neurons: int, number of products.
        floor: float above 0, smallest absolute value of an entry before the logarithm. Defaults to
            1e-5.
        **kwargs: Keras's layer arguments.

    Input shape:
        `[B, columns, d]`.

    Output shape:
        `[B, d * neurons]`, dimension by dimension.

    Raises:
        ValueError: if `floor` is not above 0.

    Reference: Cheng, Shen, Huang, AAAI 2020, section 3.2.

    Example:
        >>> Logarithmic(5)(tf.ones((2, 3, 4))).shape
        TensorShape([2, 20])
    """

    def __init__(self, neurons: int, *, floor: float = 1e-5, **kwargs: Any):
        # float32, because half precision cannot distinguish powers of nearly equal numbers.
        super().__init__(**{**kwargs, "dtype": "float32"})
        number_above_zero("floor", floor)
        self.neurons, self.floor = neurons, floor
        self.log_norm = BatchNorm(dtype="float32", name="log_norm")
        self.exp_norm = BatchNorm(dtype="float32", name="exp_norm")
        self.powers = keras.layers.Dense(neurons, use_bias=False, dtype="float32", name="powers")

    def build(self, input_shape: tuple) -> None:
        columns = input_shape[1]
        self.log_norm.build((None, columns))
        self.powers.build((None, columns))
        self.exp_norm.build((None, self.neurons))
        self.built = True

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        columns, dim = inputs.shape[1:]
        logs = tf.math.log(tf.maximum(tf.abs(inputs), self.floor))
        # Rows and dimensions in one axis, because each column is normalized over both.
        logs = tf.reshape(tf.transpose(logs, [0, 2, 1]), [-1, columns])
        logs = self.log_norm(logs, training=training)
        products = self.exp_norm(tf.exp(self.powers(logs)), training=training)
        return tf.reshape(products, [-1, dim * self.neurons])

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return (input_shape[0], input_shape[2] * self.neurons)

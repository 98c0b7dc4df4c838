"""Squeeze and excitation: field weights that depend on the row."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf


class SqueezeExcitation(keras.layers.Layer):
    """Scales each vector by a weight: `a = act(W2 relu(W1 z))`, `z_j = mean_d v_jd`, `a_j v_j`.

    Args:
        reduction: float; the hidden layer has `max(1, floor(fields / reduction))` units.
        activation: Keras activation of the weights. Defaults to "relu".
        **kwargs: Keras's layer arguments.

    Input shape:
        `[B, fields, d]`.

    Output shape:
        `[B, fields, d]`.

    Reference: Huang, Zhang, Zhang, RecSys 2019 (arXiv 1905.09433), section "SENET Layer".

    Example:
        >>> SqueezeExcitation(3)(tf.ones([2, 4, 5])).shape
        TensorShape([2, 4, 5])
    """

    def __init__(self, reduction: float, activation: Any = "relu", **kwargs: Any):
        super().__init__(**kwargs)
        self.reduction = reduction
        self.activation = keras.activations.get(activation)

    def build(self, input_shape: tuple) -> None:
        fields = input_shape[1]
        units = max(1, int(fields / self.reduction))
        policy = {"use_bias": False, "dtype": self.dtype_policy}
        self.squeeze = keras.layers.Dense(units, "relu", name="squeeze", **policy)
        self.excite = keras.layers.Dense(fields, self.activation, name="excite", **policy)
        self.squeeze.build((None, fields))
        self.excite.build((None, units))
        self.built = True

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        weights = self.excite(self.squeeze(tf.reduce_mean(inputs, axis=2)))
        return inputs * weights[:, :, None]

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return input_shape

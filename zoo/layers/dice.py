"""Dice, an activation that adapts to the distribution of its inputs."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from zoo.layers.batch_norm import EmptySafeBatchNorm


class Dice(keras.layers.Layer):
    """DIN's activation: `p x + a (1 - p) x`, `p = sigmoid((x - mean) / sqrt(var + 1e-9))`.

    Mean and variance are those of the batch in training and moving averages in inference; a is
    learned and starts at 0.

    Args:
        **kwargs: Keras's layer arguments.

    Input shape:
        `[B, k]`.

    Output shape:
        The input's.

    Reference: Zhou et al., KDD 2018 (arXiv 1706.06978), equation 9.

    Example:
        >>> Dice()(tf.constant([[0.0, 2.0]])).shape
        TensorShape([1, 2])
    """

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        self.norm = EmptySafeBatchNorm(
            momentum=0.99,
            epsilon=1e-9,
            center=False,
            scale=False,
            dtype=self.dtype_policy,
            name="norm",
        )

    def build(self, input_shape: tuple) -> None:
        self.norm.build(input_shape)
        self.slope = self.add_weight((input_shape[-1],), "zeros", name="slope")
        self.built = True

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        share = tf.sigmoid(self.norm(inputs, training=training))
        return inputs * (self.slope + (1 - self.slope) * share)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return input_shape

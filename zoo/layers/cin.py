"""The compressed interaction network of xDeepFM."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from zoo.layers.mlp import check_widths


class CIN(keras.layers.Layer):
    """Compressed interaction network: filters over entry-wise products of vectors.

    `X^k_h = sum_ij W^k_hij (X^0_i * X^{k-1}_j) + b^k_h`; the output is the sum over d of every row
    of every `X^k`.

    Args:
        units: sequence of ints, number of filters of each layer.
        **kwargs: Keras's layer arguments.

    Input shape:
        `[B, fields, d]`.

    Output shape:
        `[B, sum of units]`, float32.

    Raises:
        ValueError: if `units` is empty or has a number < 1.

    Reference: Lian et al., KDD 2018 (arXiv 1803.05170), equations 6 and 8; the biases are as in
        FuxiCTR.

    Example:
        >>> CIN((3, 2))(tf.ones([2, 4, 5])).shape
        TensorShape([2, 5])
    """

    def __init__(self, units: Sequence[int], **kwargs: Any):
        super().__init__(**kwargs)
        check_widths("cin_units", units, layers=1)
        self.units = tuple(units)

    def build(self, input_shape: tuple) -> None:
        fields = rows = input_shape[1]
        self.kernels, self.biases = [], []
        for i, units in enumerate(self.units):
            kernel = self.add_weight((fields * rows, units), "glorot_uniform", name=f"kernel_{i}")
            self.kernels.append(kernel)
            self.biases.append(self.add_weight((units,), "zeros", name=f"bias_{i}"))
            rows = units
        self.built = True

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        fields, d = inputs.shape[1:]
        # The axis d comes before the rows, so that each layer is one matrix product.
        first = tf.reshape(tf.transpose(inputs, [0, 2, 1]), [-1, fields])
        rows, sums = first, []
        last = len(self.units) - 1
        for i, units in enumerate(self.units):
            kernel, bias = tf.convert_to_tensor(self.kernels[i]), self.biases[i]
            if i == last:
                # The rows of the last layer are not needed: summing the products over d first
                # takes d times less work.
                pairs = tf.matmul(inputs, tf.reshape(rows, [-1, d, rows.shape[1]]))
                mixed = tf.matmul(tf.reshape(pairs, [-1, fields * rows.shape[1]]), kernel)
                sums.append(tf.cast(mixed, tf.float32) + d * tf.cast(bias, tf.float32))
            else:
                rows = _mixed(first, rows, kernel) + bias
                by_entry = tf.reshape(tf.cast(rows, tf.float32), [-1, d, units])
                sums.append(tf.reduce_sum(by_entry, axis=1))
        return tf.concat(sums, axis=1)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return (input_shape[0], sum(self.units))


def _mixed(first: tf.Tensor, rows: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    """`sum_ij kernel[ij, h] first[:, i] rows[:, j]`, with the smallest intermediate tensor."""
    i, j, h = first.shape[1], rows.shape[1], kernel.shape[1]
    if i * j <= h * min(i, j):
        products = tf.reshape(first[:, :, None] * rows[:, None, :], [-1, i * j])
        return tf.matmul(products, kernel)
    cube = tf.reshape(kernel, [i, j, h])
    if j <= i:
        projected = tf.matmul(first, tf.reshape(tf.transpose(cube, [0, 2, 1]), [i, h * j]))
        return tf.reduce_sum(tf.reshape(projected, [-1, h, j]) * rows[:, None, :], axis=2)
    projected = tf.matmul(rows, tf.reshape(tf.transpose(cube, [1, 2, 0]), [j, h * i]))
    return tf.reduce_sum(tf.reshape(projected, [-1, h, i]) * first[:, None, :], axis=2)

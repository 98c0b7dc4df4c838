"""The gated cross network of GDCN."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf


class GatedCross(keras.layers.Layer):
    """Cross layers with gated products: `x' = x_0 * (W x + b) * sigmoid(V x) + x`.

    Args:
        layers: int, number of layers, at least 1.
        **kwargs: Keras's layer arguments.

    Input shape:
        `[B, k]`.

    Output shape:
        `[B, k]`.

    Reference: Wang et al., CIKM 2023 (arXiv 2311.04635), section "Gated Cross Network".

    Example:
        >>> GatedCross(2)(tf.ones([2, 3])).shape
        TensorShape([2, 3])
    """

    def __init__(self, layers: int, **kwargs: Any):
        super().__init__(**kwargs)
        policy = {"dtype": self.dtype_policy}
        self.crosses = []
        self.gates = []
        for i in range(layers):
            self.crosses.append(_Square(name=f"cross_{i}", **policy))
            self.gates.append(
                _Square(activation="sigmoid", use_bias=False, name=f"gate_{i}", **policy)
            )

    def build(self, input_shape: tuple) -> None:
        for layer in (*self.crosses, *self.gates):
            layer.build(input_shape)
        self.built = True

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        outputs = inputs
        for cross, gate in zip(self.crosses, self.gates, strict=True):
            outputs = inputs * cross(outputs) * gate(outputs) + outputs
        return outputs

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return input_shape


class _Square(keras.layers.Dense):
    """A dense layer as wide as its input."""

    def __init__(self, **kwargs: Any):
        super().__init__(1, **kwargs)

    def build(self, input_shape: tuple) -> None:
        self.units = input_shape[-1]
        super().build(input_shape)

"""The layers of FINAL: a linear layer with products, and column gates."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

RESIDUALS = ("concat", "sum")


class FactorizedInteraction(keras.layers.Dense):
    """A linear layer that multiplies one half of its outputs by the other.

    `[a; a * g]` ("concat") or `a + a * g` ("sum"), `[a; g] = W x + b`. With "concat" and odd
    `units` the last entry of a has no product.

    Args:
        units: int, width of the output.
        residual: "concat" or "sum". Defaults to "concat".
        **kwargs: arguments of `keras.layers.Dense`.

    Input shape:
        `[B, k]`.

    Output shape:
        `[B, units]`.

    Reference: Zhu et al., SIGIR 2023 (doi 10.1145/3539618.3591988), section "FINAL".

    Example:
        >>> FactorizedInteraction(5, "concat")(tf.ones([2, 3])).shape
        TensorShape([2, 5])
    """

    def __init__(self, units: int, residual: str = "concat", **kwargs: Any):
        super().__init__(2 * units if residual == "sum" else units, **kwargs)
        self.width = units
        self.residual = residual

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        both = super().call(inputs)
        if self.residual == "sum":
            a, gates = tf.split(both, 2, axis=1)
            return a + a * gates
        products = self.width // 2
        # Splits, because the gradient of a slice is as large as the whole tensor.
        a, gates = tf.split(both, [self.width - products, products], axis=1)
        factors = a if self.width % 2 == 0 else a[:, :products]
        return tf.concat([a, factors * gates], axis=1)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return (*input_shape[:-1], self.width)


class ColumnGate(keras.layers.Layer):
    """Concatenates vectors and the same vectors times gates: `[e; g * e]`.

    `g_jd = sum_i W_ij e_id + b_j`: a column's gates depend on all columns.

    Args:
        **kwargs: Keras's layer arguments.

    Input shape:
        `[B, fields, d]`.

    Output shape:
        `[B, 2 fields, d]`.

    Example:
        >>> ColumnGate()(tf.ones([2, 3, 4])).shape
        TensorShape([2, 6, 4])
    """

    def build(self, input_shape: tuple) -> None:
        fields = input_shape[1]
        # All gates start at 1, as in the authors' code.
        self.kernel = self.add_weight((fields, fields), "zeros", name="kernel")
        self.bias = self.add_weight((fields,), "ones", name="bias")
        self.built = True

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        gates = tf.einsum("bid,ij->bjd", inputs, self.kernel)
        gates += tf.convert_to_tensor(self.bias)[:, None]
        return tf.concat([inputs, inputs * gates], axis=1)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return (input_shape[0], 2 * input_shape[1], input_shape[2])

"""Cross networks, whose layers multiply their input by the first input."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import keras_rs
import tensorflow as tf


class VectorCross(keras.layers.Layer):
    """The cross layer of DCN: `x_0 (x . w) + b + x`.

    The layer of keras-rs multiplies the bias by `x_0` too.

    Args:
        **kwargs: Keras's layer arguments.

    Input shape:
        `x_0` and `x`, both `[B, k]`.

    Output shape:
        `[B, k]`.

    Reference: Wang et al., ADKDD 2017, equation 3.

    Example:
        >>> x = tf.constant([[1.0, 2.0]])
        >>> VectorCross()(x, x).shape
        TensorShape([1, 2])
    """

    def build(self, input_shape: tuple) -> None:
        self.kernel = self.add_weight((input_shape[-1], 1), "glorot_uniform", name="kernel")
        self.bias = self.add_weight((input_shape[-1],), "zeros", name="bias")
        self.built = True

    def call(self, x0: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
        return x0 * tf.matmul(x, self.kernel) + self.bias + x

    def compute_output_shape(self, input_shape: tuple, *others: tuple) -> tuple:
        return input_shape


class MatrixCross(keras_rs.layers.FeatureCross):
    """The cross layer of DCN-V2: `x_0 * (W x + b) + x`, where W may be the product of two.

    A `keras_rs.layers.FeatureCross` that creates its weights in `build`, with the same names in
    every process, as checkpoints require.

    Args:
        projection_dim: int, rank r of `W = U V^T` with U and V `[k, r]`. Defaults to `None`: full
            W.
        **kwargs: arguments of `keras_rs.layers.FeatureCross`.

    Input shape:
        `x_0` and `x`, both `[B, k]`.

    Output shape:
        `[B, k]`.

    Reference: Wang et al., WWW 2021, equations 1 and 2.

    Example:
        >>> x = tf.constant([[1.0, 2.0]])
        >>> MatrixCross(projection_dim=1)(x, x).shape
        TensorShape([1, 2])
    """

    def build(self, input_shape: tuple) -> None:
        super().build(input_shape)
        width = input_shape[-1]
        if self.projection_dim is not None:
            self.down_proj_dense.name = "down"
            self.down_proj_dense.build((None, width))
            width = self.projection_dim
        self.dense.name = "dense"
        self.dense.build((None, width))

    def call(self, x0: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
        # keras.ops.add, which keras-rs uses, treats an empty tensor as a bias.
        inner = x if self.projection_dim is None else self.down_proj_dense(x)
        return x0 * tf.cast(self.dense(inner), self.compute_dtype) + x

    def compute_output_shape(self, input_shape: tuple, *others: tuple) -> tuple:
        return input_shape


class CrossNet(keras.layers.Layer):
    """Cross layers one after another: `x_{l+1} = cross_l(x_0, x_l)`.

    Args:
        crosses: sequence of layers called with `x_0` and `x_l`, such as `VectorCross`.
        **kwargs: Keras's layer arguments.

    Input shape:
        `[B, k]`.

    Output shape:
        `[B, k]`.

    Example:
        >>> CrossNet([VectorCross(), VectorCross()])(tf.constant([[1.0, 2.0]])).shape
        TensorShape([1, 2])
    """

    def __init__(self, crosses: Sequence[keras.layers.Layer], **kwargs: Any):
        super().__init__(**kwargs)
        self.crosses = list(crosses)

    def build(self, input_shape: tuple) -> None:
        for cross in self.crosses:
            cross.build(input_shape)
        self.built = True

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        x = inputs
        for cross in self.crosses:
            x = cross(inputs, x)
        return x

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return input_shape


class MixtureCrossNet(keras.layers.Layer):
    """The cross network of DCN-Mix: low-rank experts, mixed by a gate that depends on the input.

    `E_i(x) = x_0 * (U_i tanh(C_i tanh(V_i^T x)) + b)`,
    `x_{l+1} = sum_i softmax(G x_l)_i E_i(x_l) + x_l`; U, V, C, b differ by layer, G does not.

    Args:
        layers: int, number L of cross layers.
        projection_dim: int, rank r of each expert.
        experts: int, number K of experts in a layer, at least 2.
        **kwargs: Keras's layer arguments.

    Input shape:
        `[B, k]`.

    Output shape:
        `[B, k]`.

    Reference: Wang et al., WWW 2021, equations 3 and 4.

    Example:
        >>> MixtureCrossNet(2, projection_dim=3, experts=4)(tf.constant([[1.0, 2.0]])).shape
        TensorShape([1, 2])
    """

    def __init__(self, layers: int, projection_dim: int, experts: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.layers = layers
        self.rank = projection_dim
        self.experts = experts

    def build(self, input_shape: tuple) -> None:
        width, rank, experts = input_shape[-1], self.rank, self.experts
        # Glorot's bounds for one matrix [r, r]; Keras would treat the first axis as a filter size.
        middle = keras.initializers.VarianceScaling(experts, "fan_avg", "uniform")
        self.gate = self.add_weight((width, experts), "glorot_uniform", name="gate")
        self.downs, self.middles, self.ups, self.biases = [], [], [], []
        for i in range(self.layers):
            # The experts' matrices are concatenated, so that one product computes all experts.
            down = self.add_weight((width, experts * rank), "glorot_uniform", name=f"down_{i}")
            square = self.add_weight((experts, rank, rank), middle.clone(), name=f"middle_{i}")
            up = self.add_weight((experts * rank, width), "glorot_uniform", name=f"up_{i}")
            bias = self.add_weight((width,), "zeros", name=f"bias_{i}")
            self.downs.append(down)
            self.middles.append(square)
            self.ups.append(up)
            self.biases.append(bias)
        self.built = True

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        x = inputs
        shape = [-1, self.experts, self.rank]
        weights = zip(self.downs, self.middles, self.ups, self.biases, strict=True)
        for down, middle, up, bias in weights:
            scores = tf.cast(tf.matmul(x, self.gate), tf.float32)
            gates = tf.cast(tf.nn.softmax(scores), x.dtype)
            hidden = tf.reshape(tf.tanh(tf.matmul(x, down)), shape)
            hidden = tf.tanh(tf.einsum("bkr,krs->bks", hidden, middle))
            # The gates sum to 1, so the bias and x_0 can be applied after the experts are mixed.
            mixed = tf.reshape(hidden * gates[:, :, None], [-1, self.experts * self.rank])
            x = inputs * (tf.matmul(mixed, up) + bias) + x
        return x

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return input_shape

"""The layers of FinalMLP: feature gates and the bilinear fusion of two streams."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from zoo.layers.embedding import EMBEDDING_STDDEV
from zoo.layers.mlp import MLP


class FeatureGate(keras.layers.Layer):
    """Multiplies each entry by a gate in (0, 2): `2 sigmoid(W MLP(context) + b) * x`.

    Args:
        hidden_units: sequence of ints, widths of the hidden layers of the gates' MLP.
        context_dim: int, width of a learned context that is the same for all rows. Defaults to
            `None`: the context is an input.
        **kwargs: Keras's layer arguments.

    Input shape:
        `x`, `[B, k]`, and, without `context_dim`, the context, `[B, c]`.

    Output shape:
        `[B, k]`.

    Reference: Mao et al., AAAI 2023 (arXiv 2304.00902), section "Stream-Specific Feature
        Selection".

    Example:
        >>> FeatureGate((8,), context_dim=4)(tf.ones([2, 3])).shape
        TensorShape([2, 3])
    """

    def __init__(self, hidden_units: Sequence[int], context_dim: int | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.context_dim = context_dim
        self.mlp = MLP(hidden_units, dtype=self.dtype_policy, name="mlp")

    def build(self, x_shape: tuple, context_shape: tuple | None = None) -> None:
        self.context = None
        if self.context_dim is not None:
            # Zeros, as in the reference, have a gradient of zero behind the ReLUs.
            small = keras.initializers.RandomNormal(stddev=EMBEDDING_STDDEV)
            self.context = self.add_weight((1, self.context_dim), small, name="context")
            context_shape = tuple(self.context.shape)
        assert context_shape is not None  # `call` has a context then
        self.mlp.build(context_shape)
        self.gate = keras.layers.Dense(x_shape[-1], "sigmoid", dtype=self.dtype_policy, name="gate")
        self.gate.build(self.mlp.compute_output_shape(context_shape))
        self.built = True

    def call(self, x: tf.Tensor, context: tf.Tensor | None = None) -> tf.Tensor:
        if self.context is not None:
            # One row of gates serves the whole batch.
            context = tf.convert_to_tensor(self.context)
        return x * (2.0 * self.gate(self.mlp(context)))

    def compute_output_shape(self, x_shape: tuple, context_shape: tuple | None = None) -> tuple:
        return x_shape


class BilinearFusion(keras.layers.Layer):
    """Bilinear form of two vectors: `u . x + v . y + sum_h x_h W_h y_h + b + c` over heads h.

    Args:
        heads: int, number of pieces that both vectors are cut into. Defaults to 1.
        **kwargs: Keras's layer arguments.

    Input shape:
        `x`, `[B, k]`, and `y`, `[B, m]`; the heads divide k and m.

    Output shape:
        `[B, 1]`, float32.

    Reference: Mao et al., AAAI 2023 (arXiv 2304.00902), section "Stream-Level Interaction
        Aggregation".

    Example:
        >>> BilinearFusion(2)(tf.ones([3, 4]), tf.ones([3, 6])).shape
        TensorShape([3, 1])
    """

    def __init__(self, heads: int = 1, **kwargs: Any):
        super().__init__(**kwargs)
        self.heads = heads
        # Two biases, as in the reference; one would be enough.
        self.first = keras.layers.Dense(1, dtype="float32", name="first")
        self.second = keras.layers.Dense(1, dtype="float32", name="second")

    def build(self, x_shape: tuple, y_shape: tuple) -> None:
        self.first.build(x_shape)
        self.second.build(y_shape)
        size = x_shape[-1] * y_shape[-1] // self.heads
        self.kernel = self.add_weight((size, 1), "glorot_normal", name="kernel")
        self.built = True

    def call(self, x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        width, other = x.shape[1] // self.heads, y.shape[1] // self.heads
        kernel = tf.reshape(self.kernel, [self.heads, width, other])
        heads = tf.reshape(x, [-1, self.heads, width])
        projected = tf.reshape(tf.einsum("bhi,hij->bhj", heads, kernel), [-1, y.shape[1]])
        pairs = tf.cast(projected, tf.float32) * tf.cast(y, tf.float32)
        return self.first(x) + self.second(y) + tf.reduce_sum(pairs, axis=1, keepdims=True)

    def compute_output_shape(self, x_shape: tuple, y_shape: tuple) -> tuple:
        return (x_shape[0], 1)

"""The layers of EDCN: gates of the inputs and bridges between the outputs of two networks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from tf_helen.core.checks import number_above_zero, one_of
from zoo.layers.mlp import BatchNorm

BRIDGES = ("product", "sum", "concatenation", "attention")


class Regulation(keras.layers.Layer):
    """Two outputs, each with its own gate per column: `x_k = softmax(g_k / t)_j x_j`.

    Args:
        widths: sequence of ints, widths of the concatenated columns of the input.
        temperature: float t > 0; small values make the gates select few columns. Defaults to 1.
        batch_norm: boolean; normalizes both outputs. Defaults to `False`.
        **kwargs: Keras's layer arguments.

    Input shape:
        `[B, sum of widths]`.

    Output shape:
        Two tensors of the input's shape.

    Reference: Chen et al., CIKM 2021, section 3.2.

    Example:
        >>> [view.shape for view in Regulation([2, 3])(tf.ones((4, 5)))]
        [TensorShape([4, 5]), TensorShape([4, 5])]
    """

    def __init__(
        self,
        widths: Sequence[int],
        *,
        temperature: float = 1.0,
        batch_norm: bool = False,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        number_above_zero("temperature", temperature)
        self.widths, self.temperature = list(widths), temperature
        self.norms = []
        if batch_norm:
            names = ("cross_norm", "deep_norm")
            self.norms = [BatchNorm(dtype=self.dtype_policy, name=name) for name in names]

    def build(self, input_shape: tuple) -> None:
        self.gates = self.add_weight((2, len(self.widths)), "ones", name="gates", autocast=False)
        for norm in self.norms:
            norm.build(input_shape)
        self.built = True

    def call(self, inputs: tf.Tensor, training: bool = False) -> list[tf.Tensor]:
        gates = tf.nn.softmax(tf.convert_to_tensor(self.gates) / self.temperature)
        gates = tf.cast(tf.repeat(gates, self.widths, axis=1), self.compute_dtype)
        views = [inputs * gate for gate in tf.unstack(gates)]
        if not self.norms:
            return views
        return [norm(view, training=training) for norm, view in zip(self.norms, views, strict=True)]

    def compute_output_shape(self, input_shape: tuple) -> list[tuple]:
        return [input_shape, input_shape]


class Bridge(keras.layers.Layer):
    """Combines the outputs x and h of two networks into one vector of the same width.

    `product`: `x * h`; `sum`: `x + h`; `concatenation`: `ReLU(W [x; h] + b)`; `attention`:
    `a(x) * x + a(h) * h` with `a(z) = softmax(P ReLU(W z + b))`.

    Args:
        how: "product", "sum", "concatenation" or "attention". Defaults to "product".
        **kwargs: Keras's layer arguments.

    Input shape:
        x and h, both `[B, k]`.

    Output shape:
        `[B, k]`.

    Raises:
        ValueError: on another value of `how`.

    Reference: Chen et al., CIKM 2021, section 3.1.

    Example:
        >>> Bridge("sum")(tf.constant([[1.0]]), tf.constant([[2.0]])).numpy().tolist()
        [[3.0]]
    """

    def __init__(self, how: str = "product", **kwargs: Any):
        super().__init__(**kwargs)
        one_of("bridge", how, BRIDGES)
        self.how = how
        self.dense: Any = None
        self.scores: Any = None

    def build(self, input_shape: tuple) -> None:
        width = input_shape[-1]
        policy = {"dtype": self.dtype_policy}
        if self.how in ("concatenation", "attention"):
            self.dense = keras.layers.Dense(width, activation="relu", name="dense", **policy)
            self.dense.build((None, 2 * width if self.how == "concatenation" else width))
        if self.how == "attention":
            self.scores = keras.layers.Dense(width, use_bias=False, name="scores", **policy)
            self.scores.build((None, width))
        self.built = True

    def call(self, x: tf.Tensor, h: tf.Tensor) -> tf.Tensor:
        if self.how == "product":
            return x * h
        if self.how == "sum":
            return x + h
        if self.how == "concatenation":
            return self.dense(tf.concat([x, h], axis=1))
        return self._weighed(x) + self._weighed(h)

    def _weighed(self, z: tf.Tensor) -> tf.Tensor:
        scores = tf.cast(self.scores(self.dense(z)), tf.float32)
        return tf.cast(tf.nn.softmax(scores), self.compute_dtype) * z

    def compute_output_shape(self, input_shape: tuple, *others: tuple) -> tuple:
        return input_shape

"""Attention of a target item to a user's history."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from zoo.layers.mlp import MLP


class TargetAttention(keras.layers.Layer):
    """DIN's activation unit: `sum_i a_i h_i`, `a_i = w . MLP([t; h_i; t - h_i; t * h_i]) + b`.

    Padding is not computed and does not enter the statistics of Dice. An empty history gives zeros.

    Args:
        hidden_units: sequence of ints, widths of the hidden layers of the MLP.
        activation: Keras activation of the MLP, or "dice". Defaults to "dice".
        dropout: float in [0, 1), or one per hidden layer: dropout rate after each hidden layer.
            Defaults to 0.
        softmax: boolean; normalizes the weights of a history to the sum 1, unlike the paper.
            Defaults to `False`.
        **kwargs: Keras's layer arguments.

    Input shape:
        The target t `[B, k]`, the history h `[B, T, k]`, and a boolean mask `[B, T]`, `False` for
        padding.

    Output shape:
        `[B, k]`.

    Reference: Zhou et al., KDD 2018 (arXiv 1706.06978), equation 3 and figure 2.

    Example:
        >>> history = tf.ones((2, 3, 4))
        >>> TargetAttention((5,))(tf.ones((2, 4)), history, tf.ones((2, 3), tf.bool)).shape
        TensorShape([2, 4])
    """

    def __init__(
        self,
        hidden_units: Sequence[int],
        *,
        activation: Any = "dice",
        dropout: float | Sequence[float] = 0.0,
        softmax: bool = False,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.softmax = softmax
        policy = {"dtype": self.dtype_policy}
        self.mlp = MLP(hidden_units, activation=activation, dropout=dropout, name="mlp", **policy)
        self.score = keras.layers.Dense(1, name="score", **policy)

    def build(self, target_shape: tuple, *others: tuple) -> None:
        shape = (None, 4 * target_shape[-1])
        self.mlp.build(shape)
        self.score.build(self.mlp.compute_output_shape(shape))
        self.built = True

    def call(
        self, target: tf.Tensor, history: tf.Tensor, present: tf.Tensor, training: bool = False
    ) -> tf.Tensor:
        rows = tf.shape(target)[0]
        places = tf.where(present)
        row = places[:, 0]
        behavior = tf.gather_nd(history, places)
        wanted = tf.gather(target, row)
        together = [wanted, behavior, wanted - behavior, wanted * behavior]
        scores = self.score(self.mlp(tf.concat(together, axis=1), training=training))
        if self.softmax:
            scores = self._softmax(scores, row, rows)
        # float32, because half precision loses the later terms of a long sum.
        weighed = tf.cast(scores * behavior, tf.float32)
        return tf.cast(tf.math.unsorted_segment_sum(weighed, row, rows), self.compute_dtype)

    def _softmax(self, scores: tf.Tensor, row: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
        scores = tf.cast(scores, tf.float32)
        highest = tf.stop_gradient(tf.math.unsorted_segment_max(scores, row, rows))
        powers = tf.exp(scores - tf.gather(highest, row))
        total = tf.math.unsorted_segment_sum(powers, row, rows)
        return tf.cast(powers / tf.gather(total, row), self.compute_dtype)

    def compute_output_shape(self, target_shape: tuple, *others: tuple) -> tuple:
        return target_shape

"""Adagrad, with an accumulator per weight or per row."""

from __future__ import annotations

import dataclasses

import tensorflow as tf

from tf_helen.core import checks
from tf_helen.core.rule import Direction, Rule


@dataclasses.dataclass(frozen=True)
class AdagradRule(Rule):
    """`G <- G + g^2`, `e <- e - lr * g / (sqrt(G) + epsilon)`.

    Args:
        initial_accumulator_value: float, not negative, initial value of G. Defaults to 0.
        epsilon: float, not negative. Defaults to 1e-10.
        epsilon_inside: boolean, whether to divide by `sqrt(G + epsilon)`. Defaults to `False`.
    """

    initial_accumulator_value: float = 0.0
    epsilon: float = 1e-10
    epsilon_inside: bool = False

    def __post_init__(self):
        start = self.initial_accumulator_value
        self._replace(
            initial_accumulator_value=checks.number_in_range("initial_accumulator_value", start),
            epsilon=checks.number_in_range("epsilon", self.epsilon),
            epsilon_inside=bool(self.epsilon_inside),
        )

    def slots(self):
        return {"accumulator": self.initial_accumulator_value}

    def direction(self, gradient, slots, step):
        accumulator = slots["accumulator"] + tf.square(gradient)
        if self.epsilon_inside:
            root = tf.sqrt(accumulator + self.epsilon)
        else:
            root = tf.sqrt(accumulator) + self.epsilon
        return Direction(gradient, root, {"accumulator": accumulator})


@dataclasses.dataclass(frozen=True)
class RowWiseAdagradRule(Rule):
    """`G_k <- G_k + mean(g_k^2)`, `e_k <- e_k - lr * g_k / (sqrt(G_k) + epsilon)`.

    Args:
        initial_accumulator_value: float, not negative, initial value of G. Defaults to 0.
        epsilon: float, not negative. Defaults to 1e-10.
    """

    initial_accumulator_value: float = 0.0
    epsilon: float = 1e-10

    def __post_init__(self):
        start = self.initial_accumulator_value
        self._replace(
            initial_accumulator_value=checks.number_in_range("initial_accumulator_value", start),
            epsilon=checks.number_in_range("epsilon", self.epsilon),
        )

    def row_slots(self):
        return {"row_accumulator": self.initial_accumulator_value}

    def direction(self, gradient, slots, step):
        within_row = list(range(1, gradient.shape.rank or 0))
        squares = tf.reduce_mean(tf.square(gradient), axis=within_row, keepdims=True)
        accumulator = slots["row_accumulator"] + squares
        root = tf.sqrt(accumulator) + self.epsilon
        return Direction(gradient, root, {"row_accumulator": accumulator})

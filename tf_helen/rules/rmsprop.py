"""RMSprop with one second moment per row."""

from __future__ import annotations

import dataclasses

import tensorflow as tf

from tf_helen.core import checks
from tf_helen.core.rule import Direction, Rule


@dataclasses.dataclass(frozen=True)
class RowWiseRMSpropRule(Rule):
    """`v_k <- beta v_k + (1 - beta) mean(g_k^2)`, `e_k <- e_k - lr * g_k / (sqrt(v_k) + epsilon)`.

    Args:
        beta: float in [0, 1), decay of the second moment. Defaults to 0.99.
        epsilon: float, not negative. Defaults to 1e-8.
    """

    beta: float = 0.99
    epsilon: float = 1e-8

    def __post_init__(self):
        self._replace(
            beta=checks.number_in_range("beta", self.beta, 0, 1, open_high=True),
            epsilon=checks.number_in_range("epsilon", self.epsilon),
        )

    def row_slots(self):
        return {"row_velocity": 0.0}

    def direction(self, gradient, slots, step):
        within_row = list(range(1, gradient.shape.rank or 0))
        squares = tf.reduce_mean(tf.square(gradient), axis=within_row, keepdims=True)
        velocity = self.beta * slots["row_velocity"] + (1 - self.beta) * squares
        return Direction(gradient, tf.sqrt(velocity) + self.epsilon, {"row_velocity": velocity})

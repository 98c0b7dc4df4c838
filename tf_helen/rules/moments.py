"""The common part of Adam and its variants: two moments and their bias correction."""

from __future__ import annotations

import dataclasses

import tensorflow as tf

from tf_helen.core import checks
from tf_helen.core.rule import Direction, Rule, Step


@dataclasses.dataclass(frozen=True)
class MomentsRule(Rule):
    """Base class of rules with two moments of the gradient.

    Args:
        beta_1: float in [0, 1), decay of the first moment. Defaults to 0.9.
        beta_2: float in [0, 1), decay of the second moment. Defaults to 0.999.
        epsilon: float, not negative. Defaults to 1e-8.
    """

    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8

    def __post_init__(self):
        self._replace(
            beta_1=checks.number_in_range("beta_1", self.beta_1, 0, 1, open_high=True),
            beta_2=checks.number_in_range("beta_2", self.beta_2, 0, 1, open_high=True),
            epsilon=checks.number_in_range("epsilon", self.epsilon),
        )

    def slots(self):
        return {"momentum": 0.0, "velocity": 0.0}

    def direction(self, gradient, slots, step):
        momentum = self.beta_1 * slots["momentum"] + (1 - self.beta_1) * gradient
        squares = self.squares(gradient, step)
        velocity = self.beta_2 * slots["velocity"] + (1 - self.beta_2) * squares
        new_slots = {"momentum": momentum, "velocity": velocity}
        velocity = self.largest(velocity, slots, new_slots)
        numerator, denominator, scale = self.corrected(gradient, momentum, velocity, step)
        return Direction(numerator, denominator, new_slots, scale)

    def squares(self, gradient, step):
        """Returns the values that the second moment averages."""
        return tf.square(gradient)

    def largest(self, velocity, slots, new_slots):
        """Returns the second moment of the denominator; may add a slot to `new_slots`."""
        return velocity

    def corrected(self, gradient, momentum, velocity, step):
        """Returns numerator, denominator and scale with bias correction."""
        root, scale = self.root(velocity, step)
        return momentum, root, scale / step.bias_correction(self.beta_1)

    def root(self, velocity, step):
        """Returns the denominator and its scale."""
        return self.root_of(velocity, step, epsilon_hat=False)

    def root_of(self, velocity: tf.Tensor, step: Step, epsilon_hat: bool) -> tf.Tensor:
        """Returns `sqrt(v / (1 - beta_2^t)) + epsilon`; with epsilon_hat, `sqrt(v) + epsilon`."""
        correction = step.bias_correction(self.beta_2)
        if epsilon_hat:
            return tf.sqrt(velocity) + self.epsilon, tf.sqrt(correction)
        return tf.sqrt(velocity / correction) + self.epsilon, tf.ones_like(correction)

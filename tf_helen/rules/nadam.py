"""Nadam: Adam with Nesterov's momentum."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
import tensorflow as tf

from tf_helen.core import checks
from tf_helen.rules.moments import MomentsRule


@functools.lru_cache(maxsize=32)
def momentum_products(beta_1: float, momentum_decay: float) -> np.ndarray:
    """Returns `prod_{i<=t} mu_i` for t = 0, 1, ... until it is 0 relative to 1 in float64."""
    steps = np.arange(1, int(40 / (1 - beta_1)) + 2)  # every mu_i is at most beta_1
    products = np.cumprod(beta_1 * (1 - 0.5 * 0.96 ** (steps * momentum_decay)))
    return np.concatenate([[1.0], products[products > 1e-17], [0.0]])


@dataclasses.dataclass(frozen=True)
class NadamRule(MomentsRule):
    """The rule of `tf_helen.Nadam`.

    Args:
        beta_1, beta_2, epsilon: see `MomentsRule`.
        momentum_decay: float, not negative. Defaults to 4e-3.
        epsilon_hat: see `AdamRule`.
    """

    momentum_decay: float = 4e-3
    epsilon_hat: bool = False

    def __post_init__(self):
        super().__post_init__()
        decay = checks.number_in_range("momentum_decay", self.momentum_decay)
        self._replace(momentum_decay=decay, epsilon_hat=bool(self.epsilon_hat))

    def root(self, velocity, step):
        return self.root_of(velocity, step, self.epsilon_hat)

    def corrected(self, gradient, momentum, velocity, step):
        root, scale = self.root(velocity, step)
        table = tf.constant(momentum_products(self.beta_1, self.momentum_decay))
        rest = 1 - tf.gather(table, tf.minimum(step.number + np.arange(2), table.shape[0] - 1))
        of_gradient = (1 - self._momentum(step.number)) / rest[0]
        of_momentum = self._momentum(step.number + 1) / rest[1]
        dtype = momentum.dtype
        numerator = tf.cast(of_momentum, dtype) * momentum + tf.cast(of_gradient, dtype) * gradient
        return numerator, root, scale

    def _momentum(self, step: tf.Tensor) -> tf.Tensor:
        faded = tf.pow(
            tf.constant(0.96, tf.float64), tf.cast(step, tf.float64) * self.momentum_decay
        )
        return self.beta_1 * (1 - 0.5 * faded)

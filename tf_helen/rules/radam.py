"""RAdam: Adam with rectified variance of the adaptive learning rate."""

from __future__ import annotations

import dataclasses

import tensorflow as tf

from tf_helen.rules.moments import MomentsRule


@dataclasses.dataclass(frozen=True)
class RAdamRule(MomentsRule):
    """The rule of `tf_helen.RAdam`; epsilon is added before the bias correction of v.

    Args:
        beta_1, beta_2, epsilon: see `MomentsRule`.
    """

    def root(self, velocity, step):
        return self.root_of(velocity, step, epsilon_hat=True)

    def corrected(self, gradient, momentum, velocity, step):
        t = tf.cast(step.number, tf.float64)
        power = tf.pow(tf.constant(self.beta_2, tf.float64), t)
        longest = 2 / (1 - self.beta_2) - 1
        length = longest - 2 * t * power / (1 - power)
        adaptive = length > 5
        rectified = (length - 4) * (length - 2) * longest
        rectified /= (longest - 4) * (longest - 2) * length
        root, scale = self.root(velocity, step)
        scale *= tf.cast(tf.sqrt(tf.where(adaptive, rectified, 1.0)), root.dtype)
        numerator, root = momentum, tf.where(adaptive, root, tf.ones_like(root))
        scale = tf.where(adaptive, scale, tf.ones_like(scale))
        return numerator, root, scale / step.bias_correction(self.beta_1)

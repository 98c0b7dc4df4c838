"""AdaHessian: Adam with the second moment of the Hessian's diagonal."""

from __future__ import annotations

import dataclasses

import tensorflow as tf

from tf_helen.core import checks
from tf_helen.rules.moments import MomentsRule


@dataclasses.dataclass(frozen=True)
class AdaHessianRule(MomentsRule):
    """The rule of `tf_helen.AdaHessian`; `v` is the moving average of `step.curvature ** 2`.

    Args:
        beta_1, beta_2: see `MomentsRule`.
        epsilon: float, not negative. Defaults to 1e-4.
        power: float in [0, 1], power of the Hessian. Defaults to 1.
        average: "none", or "row" for the mean of the diagonal over each row. Defaults to "none".
        epsilon_hat: see `AdamRule`.
    """

    epsilon: float = 1e-4
    power: float = 1.0
    average: str = "none"
    epsilon_hat: bool = False

    def __post_init__(self):
        super().__post_init__()
        self._replace(
            power=checks.number_in_range("power", self.power, 0, 1),
            average=checks.one_of("average", self.average, ("none", "row")),
            epsilon_hat=bool(self.epsilon_hat),
        )

    def squares(self, gradient, step):
        diagonal = step.curvature
        if self.average == "row":
            within_row = list(range(1, diagonal.shape.rank or 0))
            diagonal = tf.reduce_mean(diagonal, axis=within_row, keepdims=True)
            diagonal = tf.broadcast_to(diagonal, tf.shape(gradient))
        return tf.square(diagonal)

    def root(self, velocity, step):
        if self.power == 1:
            return self.root_of(velocity, step, self.epsilon_hat)
        corrected = velocity / step.bias_correction(self.beta_2)
        root = tf.pow(corrected, self.power / 2) + self.epsilon
        return root, tf.ones([], velocity.dtype)

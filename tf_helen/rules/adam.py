"""Adam and AMSGrad."""

from __future__ import annotations

import dataclasses

import tensorflow as tf

from tf_helen.rules.moments import MomentsRule


@dataclasses.dataclass(frozen=True)
class AdamRule(MomentsRule):
    """`e <- e - lr * (m / (1 - beta_1^t)) / (sqrt(v / (1 - beta_2^t)) + epsilon)`.

    Args:
        beta_1, beta_2, epsilon: see `MomentsRule`.
        amsgrad: boolean, whether to use the running maximum of v. Defaults to `False`.
        epsilon_hat: boolean, whether to divide by `sqrt(v) + epsilon` before the bias correction of
            v. Defaults to `False`.
    """

    amsgrad: bool = False
    epsilon_hat: bool = False

    def __post_init__(self):
        super().__post_init__()
        self._replace(amsgrad=bool(self.amsgrad), epsilon_hat=bool(self.epsilon_hat))

    def slots(self):
        return {**super().slots(), **({"max_velocity": 0.0} if self.amsgrad else {})}

    def largest(self, velocity, slots, new_slots):
        if not self.amsgrad:
            return velocity
        new_slots["max_velocity"] = tf.maximum(slots["max_velocity"], velocity)
        return new_slots["max_velocity"]

    def root(self, velocity, step):
        return self.root_of(velocity, step, self.epsilon_hat)

"""Gradient descent, with and without momentum."""

from __future__ import annotations

import dataclasses

from tf_helen.core import checks
from tf_helen.core.rule import Direction, Rule


@dataclasses.dataclass(frozen=True)
class SGDRule(Rule):
    """`e <- e - lr * g`."""

    def direction(self, gradient, slots, step):
        return Direction(gradient, None, slots)


@dataclasses.dataclass(frozen=True)
class MomentumRule(Rule):
    """`m <- momentum * m + g`, `e <- e - lr * m`; nesterov: `e - lr * (g + momentum * m)`.

    Args:
        momentum: float in [0, 1). Defaults to 0.9.
        nesterov: boolean. Defaults to `False`.
    """

    momentum: float = 0.9
    nesterov: bool = False

    def __post_init__(self):
        momentum = checks.number_in_range("momentum", self.momentum, 0, 1, open_high=True)
        self._replace(momentum=momentum, nesterov=bool(self.nesterov))

    def slots(self):
        return {"moment": 0.0}

    def direction(self, gradient, slots, step):
        moment = self.momentum * slots["moment"] + gradient
        ahead = gradient + self.momentum * moment if self.nesterov else moment
        return Direction(ahead, None, {"moment": moment})

"""Sparse group FTRL; without groups, FTRL."""

from __future__ import annotations

import dataclasses
import math

import tensorflow as tf

from tf_helen.core import checks
from tf_helen.core.rule import Rule
from tf_helen.rules.group_lasso import group_threshold
from tf_helen.rules.strengths import Strength, Strengths


@dataclasses.dataclass(frozen=True)
class GroupFTRLRule(Rule):
    """The rule of `tf_helen.GroupFTRL`, which documents the equations and the settings.

    Args:
        learning_rate_power: float, not positive. Defaults to -0.5.
        initial_accumulator_value: float, not negative. Defaults to 0.1.
        l1, l21, l2: strengths, see `GroupLasso`. Default to 0.
        l2_shrinkage: float, not negative. Defaults to 0.
        beta: float, not negative. Defaults to 0.
        released: boolean. Defaults to `False`.
    """

    learning_rate_power: float = -0.5
    initial_accumulator_value: float = 0.1
    l1: Strength = 0.0
    l21: Strength = 0.0
    l2: Strength = 0.0
    l2_shrinkage: float = 0.0
    beta: float = 0.0
    released: bool = False

    def __post_init__(self):
        strengths, start = self.strengths, self.initial_accumulator_value
        power = checks.number_in_range("-learning_rate_power", -self.learning_rate_power)
        self._replace(
            learning_rate_power=-power,
            initial_accumulator_value=checks.number_in_range("initial_accumulator_value", start),
            l1=strengths.l1,
            l21=strengths.l21,
            l2=strengths.l2,
            l2_shrinkage=checks.number_in_range("l2_shrinkage", self.l2_shrinkage),
            beta=checks.number_in_range("beta", self.beta),
            released=bool(self.released),
        )

    @property
    def strengths(self) -> Strengths:
        """The three strengths."""
        return Strengths(self.l1, self.l21, self.l2)

    def check_paths(self, paths):
        self.strengths.check_paths(paths)

    def slots(self):
        return {"accumulator": self.initial_accumulator_value, "linear": 0.0}

    def update(self, rows, gradient, slots, step):
        rate, before = step.learning_rate, slots["accumulator"]
        shrunk = gradient + 2 * self.l2_shrinkage * rows if self.l2_shrinkage else gradient
        accumulator = before + tf.square(shrunk if self.released else gradient)
        grown = self._root(accumulator)
        linear = slots["linear"] + shrunk - (grown - self._root(before)) / rate * rows
        l1, l21, l2 = self.strengths.of(step.path)
        if rows.shape.rank < 2 and not step.is_table:
            l1 = l21 = l2 = 0.0
        remaining, _, group = group_threshold(linear, math.prod(rows.shape[1:]), l1, l21)
        solved = group * tf.math.divide_no_nan(remaining, (self.beta + grown) / rate + 2 * l2)
        moving = rate > 0  # with learning rate 0, nothing changes
        rows = tf.where(moving, solved, rows)
        linear = tf.where(moving, linear, slots["linear"])
        if self.released and self.l2_shrinkage:
            accumulator = before + tf.square(gradient + 2 * self.l2_shrinkage * rows)
        accumulator = tf.where(moving, accumulator, before)
        return rows, {"accumulator": accumulator, "linear": linear}

    def _root(self, accumulator: tf.Tensor) -> tf.Tensor:
        power = -self.learning_rate_power
        return tf.sqrt(accumulator) if power == 0.5 else tf.pow(accumulator, power)

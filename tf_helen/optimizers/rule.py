"""What an optimizer writes: one pure function of a block of rows, and the state it needs."""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from tf_helen.optimizers.history import RowHistory
from tf_helen.optimizers.step import Step

Slots = dict[str, tf.Tensor]


class Direction(NamedTuple):
    """An update in quotient form: `e <- e - learning_rate * scale * numerator / denominator`.

    Attributes:
        numerator: like the rows.
        denominator: like the rows, or broadcast to them; `None`: 1.
        slots: the new slots.
        scale: scalar.
    """

    numerator: tf.Tensor
    denominator: tf.Tensor | None
    slots: Slots
    scale: tf.Tensor | float = 1.0

    def quotient(self) -> tf.Tensor:
        """Numerator by denominator; 0 where the denominator is 0: no gradient yet, epsilon 0."""
        if self.denominator is None:
            return self.numerator
        return tf.math.divide_no_nan(self.numerator, self.denominator)


class Rule:
    """The part of an optimizer that says how rows change."""

    def slots(self) -> dict[str, float]:
        """Names and initial values of the slots that are shaped like the variable."""
        return {}

    def row_slots(self) -> dict[str, float]:
        """Names and initial values of the slots that hold one number per row, `[rows, 1]`."""
        return {}

    def history(self) -> set[str]:
        """The columns of `RowHistory` that the rule needs."""
        return set()

    def direction(self, gradient: tf.Tensor, slots: Slots, step: Step) -> Direction:
        """The update in quotient form, for rules that have one.

        Args:
            gradient: `[rows, ...]`, duplicates summed, clipped.
            slots: name -> like the gradient (`slots`) or `[rows, 1]` (`row_slots`).
            step: the step.

        Returns:
            The `Direction`.
        """
        raise NotImplementedError(
            f"{type(self).__name__} must define `direction` or `update_rows`."
        )

    def update_rows(
        self, rows: tf.Tensor, gradient: tf.Tensor, slots: Slots, step: Step
    ) -> tuple[tf.Tensor, Slots]:
        """The optimizer's rule.

        Args:
            rows: `[rows, ...]`, as the forward pass read them.
            gradient: same shape, duplicates summed, clipped.
            slots: name -> same shape (`slots`) or `[rows, 1]` (`row_slots`).
            step: the step.

        Returns:
            New rows and slots.
        """
        way = self.direction(gradient, slots, step)
        return rows - (step.learning_rate * way.scale) * way.quotient(), way.slots

    def settle_rows(
        self, rows: tf.Tensor, history: RowHistory | None, step: tf.Tensor
    ) -> tf.Tensor:
        """Applies what happened to stored rows up to and in `step` without a gradient."""
        return rows

    def decay_strength(self, step: Step) -> tf.Tensor | float:
        """The decoupled weight decay: a scalar, or one number per row `[rows]`."""
        return self.weight_decay

    def new_history(self, step: Step, counts: tf.Tensor | None) -> RowHistory:
        """The rows' records after the step."""
        return step.history.after(step.table_step, step.occurred(), counts)

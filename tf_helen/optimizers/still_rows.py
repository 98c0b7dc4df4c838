"""Absent rows that do not change: the interface of `tf_helen.optimizers.absent_rows`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from tf_helen.core import tables
from tf_helen.core.rows import RowBlock
from tf_helen.optimizers.clock import StepClock

Written = tuple[tf.Variable, tf.Tensor, tf.Tensor]


class StillRows:
    """Absent rows that do not change; the methods do nothing.

    Args:
        optimizer: `RowSparseOptimizer`.
    """

    continuous = True  # or else rows decay only in steps in which they occur

    def __init__(self, optimizer: Any):
        self._optimizer = optimizer
        self.clock = StepClock(optimizer)

    @property
    def found_alpha(self) -> tf.Tensor | None:
        """The current alpha on this replica with `alpha="auto"`, or `None`."""
        return None

    def build(self, variables: Sequence[keras.Variable]) -> None:
        """Creates the variables that are kept per table."""

    def attach(self, variables: Sequence[keras.Variable]) -> None:
        """Prepares the variables of a step, which another optimizer may have trained before."""
        if self._optimizer.owns_rows:
            for variable in variables:
                tables.release(variable)

    def check_alphas(self, variable: keras.Variable) -> None:
        """Raises `ValueError` if the rows of a table should have their own alphas and have none."""

    def after_step(self, blocks: Sequence[RowBlock], variables: Sequence[keras.Variable]) -> None:
        """Called after the rows of a step are written."""

    def table_step(self, variable: keras.Variable) -> tf.Tensor:
        """Returns the time of the current step, in steps that train a variable, int64."""
        return self.clock.now()

    def table_passed(self, variable: keras.Variable) -> tf.Tensor:
        """Returns the time up to which absent rows of a variable have decayed when it is read."""
        return self.clock.passed()

    def table_steps_done(self, variable: keras.Variable) -> int:
        """Returns the time that has passed for a variable: its finished steps."""
        return self.clock.passed_now()

    def settle_stored(
        self, rows: tf.Tensor, variable: keras.Variable, ids: tf.Tensor | None
    ) -> tf.Tensor:
        """Returns stored rows with the pending decay applied, as the forward pass reads them."""
        return rows

    def bring_up_to_date(self, block: RowBlock, variable: keras.Variable) -> list[Written]:
        """Applies the pending decay to the rows of a block; returns the previous values."""
        return []

    def finalize(self, variables: Sequence[keras.Variable]) -> None:
        """Applies the pending decay to all rows of the given variables, in chunks."""

    def begin_epoch(self) -> None:
        """Called before each pass over the data."""

    def end_epoch(self) -> None:
        """Called after each finished pass over the data."""

    def epoch_state(self) -> list[int]:
        """Returns the state of the current epoch that is not in the optimizer's variables."""
        return []

    def set_epoch_state(self, state: list[int]) -> None:
        """Restores the result of `epoch_state`."""

    def config(self) -> dict[str, Any]:
        """Returns the constructor arguments that this object holds."""
        return {}

"""The pending decay of a table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from tf_helen.core import replicas, tables
from tf_helen.core.history import RowHistory
from tf_helen.core.rows import read_rows
from tf_helen.core.rule import compute_dtype
from tf_helen.optimizers.clock import StepClock
from tf_helen.optimizers.slots import HISTORY


def missed_steps(swept_at: tf.Tensor) -> tf.Tensor:
    """Returns the number of steps without the table, from the value of `swept_at`."""
    return tf.bitwise.right_shift(swept_at + 1, tf.constant(32, tf.int64))


class PendingDecay(tf.Module):
    """The pending decay of a table, see `tf_helen.core.tables.RowDecay`.

    Args:
        optimizer: the `RowSparseOptimizer`.
        variable: the table.
        swept_at: int64 variable, see `AbsentRows`.
        found_alpha: variable with the alpha of `alpha="auto"`, or `None`.
        missing: `IntervalDecay.missing` of the optimizer's rule.
        clock: the clock of the optimizer.
    """

    def __init__(
        self,
        optimizer: Any,
        variable: keras.Variable,
        swept_at: keras.Variable,
        found_alpha: keras.Variable | None,
        missing: Callable[..., tf.Tensor],
        clock: StepClock,
    ):
        super().__init__(name="pending_decay")
        self.number = tables.next_number()
        self._records = optimizer.slots_of(variable)[HISTORY].value
        self._columns = optimizer.history_columns()
        self._steps_done, self._passed_of = clock.stored().value, clock.passed_of
        self._swept_at = swept_at.value
        self._found_alpha = None if found_alpha is None else found_alpha.value
        self._missing = missing
        self._dtype = compute_dtype(variable)
        self.optimizer = optimizer
        self._finish = lambda: optimizer.absent_rows.finalize([variable])

    def factor(self, ids: tf.Tensor | None) -> tf.Tensor:
        history = RowHistory(self._columns, read_rows(replicas.local(self._records), ids))
        done = self._passed_of(replicas.local(self._steps_done).read_value())
        done -= missed_steps(replicas.local(self._swept_at).read_value())
        found = self._found_alpha
        found = None if found is None else replicas.local(found).read_value()
        return self._missing(history, done, self._dtype, found)

    def finish(self) -> None:
        self._finish()

    def _trackable_children(self, save_type="checkpoint", **kwargs):
        children = super()._trackable_children(save_type, **kwargs)
        # A checkpoint has it through the optimizer; a SavedModel does not need the optimizer.
        children.pop("_swept_at" if save_type == "checkpoint" else "optimizer", None)
        if save_type == "checkpoint":
            children.pop("_found_alpha", None)
        return children

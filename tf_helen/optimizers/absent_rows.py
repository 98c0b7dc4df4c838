"""Decay of rows that are absent from an optimizer's steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf
from absl import logging

from tf_helen import keras_access
from tf_helen.core import checks, replicas, tables
from tf_helen.core.history import RowHistory
from tf_helen.core.rows import RowBlock, read_rows, write_rows
from tf_helen.core.rule import compute_dtype, find
from tf_helen.optimizers.clock import make_clock, refuse_clock
from tf_helen.optimizers.pending_decay import PendingDecay, missed_steps
from tf_helen.optimizers.row_alphas import RowAlphas
from tf_helen.optimizers.slots import HISTORY, SlotsByVariable, add_slot, fill
from tf_helen.optimizers.still_rows import StillRows, Written
from tf_helen.rules.interval_decay import IntervalDecay, alpha_for

_SWEEP_ROWS = 1 << 17  # rows per chunk of a sweep (an update of a whole table); bounds memory
_LEAST_EPOCH = 5  # steps; shorter epochs are ignored
_MISSED = 1 << 32  # one step that does not train the table, in `swept_at`


class AbsentRows(StillRows):
    """Absent rows that decay; the pending decay is applied when rows are read or updated.

    Only steps that train a table count for it: while the table is frozen or not among the variables
    of a step, its rows do not decay. One integer per variable, `swept_at`, has the number of the
    optimizer's steps that did not train the table in its upper 32 bits, and the table's step up to
    which all rows are decayed in its lower 32 bits. With `clock="event"`, units of time take the
    place of steps.

    Args:
        optimizer: `RowSparseOptimizer` whose rule contains an `IntervalDecay`.
        sweep_every: int, at least 1, steps between updates of whole tables that are not read by
            `tf_helen.layers.Embedding`.
        steps_per_epoch: int, for `alpha="auto"`; `None`: the steps of the first epoch.
        clock, time_unit: see `tf_helen.AdamAR`.

    Raises:
        ValueError: on a value out of range, or on `steps_per_epoch` with a numeric alpha.
    """

    def __init__(
        self,
        optimizer: Any,
        sweep_every: int,
        steps_per_epoch: int | None,
        clock: str = "steps",
        time_unit: float = 1.0,
    ):
        super().__init__(optimizer)
        decay = find(optimizer.rule, IntervalDecay)
        assert decay is not None
        self.decay = decay
        self.continuous = self.decay.decay == "continuous"
        self._row_alphas = None
        if self.decay.by_row:
            self._row_alphas = RowAlphas(optimizer, self.decay.row_alphas)
        self.sweep_every = checks.whole_number("sweep_every", sweep_every)
        self.steps_per_epoch = steps_per_epoch
        self._swept_at = SlotsByVariable()
        self._pending: dict[int, PendingDecay] = {}
        self._trained: set[int] | None = None  # indices of the last step; `None`: all
        self.alpha_variable: keras.Variable | None = None
        self._epoch_steps: keras.Variable | None = None
        self._epoch_began_at = 0
        if steps_per_epoch is not None:
            if self.decay.alpha != "auto":
                raise ValueError(
                    "`steps_per_epoch` needs `alpha='auto'`. Received: steps_per_epoch="
                    f"{steps_per_epoch!r} with alpha={self.decay.alpha}"
                )
            checks.whole_number("steps_per_epoch", steps_per_epoch)
        if self.decay.alpha == "auto" and clock == "event":
            raise ValueError(
                "`alpha='auto'` is derived from the steps of an epoch. Received: clock='event'. "
                "Use a number, the decay per unit of time."
            )
        self.clock = make_clock(optimizer, clock, time_unit)
        if self.decay.alpha == "auto":
            self.alpha_variable = optimizer.add_variable((), initializer="zeros", name="alpha")
            # Number of steps of the longest finished epoch.
            self._epoch_steps = optimizer.add_variable((), "zeros", "int64", name="epoch_steps")

    @property
    def found_alpha(self) -> tf.Tensor | None:
        if self.alpha_variable is None:
            return None
        return replicas.local(self.alpha_variable).read_value()

    def build(self, variables):
        self.clock.check_columns(self._optimizer.history_columns())
        # One scalar per variable, so that finalizing a table twice costs nothing.
        self._swept_at.by_index = [
            {"swept_at": add_slot(self._optimizer, variable, "swept_at", (), "int64", 0)}
            for variable in variables
        ]
        if self._row_alphas is not None:
            self._row_alphas.store(variables)
        self._attach(variables)

    def attach(self, variables):
        self._attach(variables)
        for variable in variables:
            if tables.of(variable) is not None:
                self.check_alphas(variable)

    def check_alphas(self, variable):
        if self._row_alphas is not None:
            self._row_alphas.check(variable)

    def _attach(self, variables):
        keras_access.check_known(self._optimizer, variables)
        self._trained = {keras_access.index_of(self._optimizer, v) for v in variables}
        if not self.continuous:
            super().attach(variables)
            return
        for variable in variables:
            if HISTORY not in self._optimizer.slots_of(variable):
                continue
            table, decay = tables.of(variable), self._pending_decay_of(variable)
            if table is None:
                if tables.sweeper_of(variable) is not decay:
                    tables.release(variable)
                    tables.note_sweeper(variable, decay)
            elif table.holder() is not decay:
                with tf.init_scope():
                    missed, swept_at = self._read_swept_at(variable)
                    is_pending = swept_at != self.clock.passed_now() - missed
                table.take(variable, decay, is_pending)

    def _pending_decay_of(self, variable: keras.Variable) -> PendingDecay:
        index = keras_access.index_of(self._optimizer, variable)
        if index not in self._pending:
            self._pending[index] = PendingDecay(
                self._optimizer,
                variable,
                self.swept_at(variable),
                self.alpha_variable,
                self.decay.missing,
                self.clock,
            )
        return self._pending[index]

    # Steps of a table.

    def table_step(self, variable):
        return super().table_step(variable) - self._missed(variable)

    def table_passed(self, variable):
        return super().table_passed(variable) - self._missed(variable)

    def _missed(self, variable: keras.Variable) -> tf.Tensor:
        return missed_steps(replicas.local(self.swept_at(variable)).read_value())

    def table_steps_done(self, variable):
        return super().table_steps_done(variable) - self._read_swept_at(variable)[0]

    def swept_at(self, variable: keras.Variable) -> keras.Variable:
        """Returns the variable with the step counts of a table."""
        index = keras_access.index_of(self._optimizer, variable)
        return self._swept_at.by_index[index]["swept_at"]

    def _read_swept_at(self, variable: keras.Variable) -> tuple[int, int]:
        """Returns the number of steps without the table, and the step of its last sweep."""
        copy = replicas.copies(self.swept_at(variable))[0]
        # A variable that is created while a step is traced has no value before the step runs.
        stored = int(copy.numpy()) if bool(copy.is_initialized()) else 0
        missed = (stored + 1) // _MISSED
        return missed, stored - missed * _MISSED

    def _write_swept_at(self, variable: keras.Variable, swept_at: int) -> None:
        """Sets the step of the last sweep; -1: none, so that the next sweep is not skipped."""
        missed, _ = self._read_swept_at(variable)
        for copy in replicas.copies(self.swept_at(variable)):
            copy.assign(missed * _MISSED + swept_at)

    def _is_trained(self, variable: keras.Variable) -> bool:
        """Returns whether the current step, or else the last one, trains a variable."""
        index = keras_access.index_of(self._optimizer, variable)
        return self._trained is None or index in self._trained

    def after_step(self, blocks, variables):
        for variable in keras_access.trained_variables(self._optimizer):
            if HISTORY not in self._optimizer.slots_of(variable):
                continue
            table = tables.of(variable)
            if not self._is_trained(variable):
                missed = self.clock.elapsed() * _MISSED
                replicas.local(self.swept_at(variable)).assign_add(missed, read_value=False)
            elif self.continuous and table is not None:
                table.hold(self._pending_decay_of(variable), variable.path)
        self.clock.after_step()
        if self.continuous:
            self._sweep_foreign_tables(blocks, variables)

    # Rows.

    def settle_stored(self, rows, variable, ids):
        if not self.continuous or HISTORY not in self._optimizer.slots_of(variable):
            return rows
        history = self._optimizer.stored_history(variable, ids)
        done = self.table_passed(variable)
        return self._optimizer.rule.settle(rows, history, done, self.found_alpha)

    def bring_up_to_date(self, block, variable):
        if not self.continuous or not block.is_sparse:
            return []
        records = replicas.local(self._optimizer.slots_of(variable)[HISTORY])
        done = self.table_passed(variable)
        return self._settle(variable, replicas.local(variable), records, block.ids, done)

    def _sweep_foreign_tables(
        self, blocks: Sequence[RowBlock], variables: Sequence[keras.Variable]
    ) -> None:
        """Updates tables of other layers every `sweep_every` steps."""
        foreign = [
            variable
            for block, variable in zip(blocks, variables, strict=True)
            if block.is_sparse and tables.of(variable) is None
        ]
        if not foreign:
            return
        done = self._optimizer.step_number() - 1
        tf.cond(
            tf.equal(done % self.sweep_every, 0),
            lambda: self._sweep_on_this_replica(foreign),
            lambda: tf.constant(False),
        )

    def _sweep_on_this_replica(self, variables: Sequence[keras.Variable]) -> tf.Tensor:
        for variable in variables:
            records = replicas.local(self._optimizer.slots_of(variable)[HISTORY])
            self._sweep(variable, replicas.local(variable), records, self.table_passed(variable))
        return tf.constant(True)

    def _settle(
        self,
        variable: keras.Variable,
        target: tf.Variable,
        records: tf.Variable,
        ids: tf.Tensor | None,
        done: tf.Tensor,
        first: tf.Tensor | int = -1,
    ) -> list[Written]:
        stored, record = read_rows(target, ids), read_rows(records, ids)
        history = RowHistory(self._optimizer.history_columns(), record)
        rows = tf.cast(stored, compute_dtype(target))
        rows = self._optimizer.rule.settle(rows, history, done, self.found_alpha)
        write_rows(target, ids, tables.rounded(variable, rows, done, first))
        write_rows(records, ids, history.replace(decayed_to=done).record)
        return [(target, ids, stored), (records, ids, record)]

    def finalize(self, variables):
        optimizer = self._optimizer
        if not optimizer.built or not self.continuous:
            return
        for variable in variables:
            if not keras_access.is_known(optimizer, variable):
                continue
            slots = optimizer.slots_of(variable)
            if HISTORY not in slots:
                continue
            done = self.table_steps_done(variable)
            if self._read_swept_at(variable)[1] != done:
                if self._has_absent_rows(variable):
                    copies = replicas.copies(variable), replicas.copies(slots[HISTORY])
                    for target, records in zip(*copies, strict=True):
                        self._sweep(variable, target, records, tf.constant(done, tf.int64))
                self._write_swept_at(variable, done)
            table = tables.of(variable)
            if table is not None:
                table.settled_by(self._pending_decay_of(variable))

    def _has_absent_rows(self, variable: keras.Variable) -> bool:
        """Returns whether a variable is a table; the records of dense weights are all 0."""
        if tables.of(variable) is not None:
            return True
        records = replicas.copies(self._optimizer.slots_of(variable)[HISTORY])[0]
        history = RowHistory(self._optimizer.history_columns(), records.read_value())
        return bool(tf.reduce_any(tf.cast(history["decayed_to"], tf.int64) > 0))

    def _sweep(
        self,
        variable: keras.Variable,
        target: tf.Variable,
        records: tf.Variable,
        done: tf.Tensor,
    ) -> None:
        total = target.shape[0]
        chunk = min(_SWEEP_ROWS, total)

        def sweep_chunk(start):
            # The last chunk overlaps the one before: XLA needs one size, and rows that are up to
            # date do not change.
            ids = tf.minimum(start, total - chunk) + tf.range(chunk, dtype=tf.int64)
            self._settle(variable, target, records, ids, done, start)
            return [start + chunk]

        first = tf.constant(0, tf.int64)  # int32 could overflow
        tf.while_loop(lambda start: start < total, sweep_chunk, [first], parallel_iterations=1)

    # `alpha="auto"`, from the length of an epoch.

    def begin_epoch(self):
        optimizer = self._optimizer
        if self.alpha_variable is None or self._epoch_steps is None or not optimizer.built:
            return
        self._epoch_began_at = optimizer.steps_done()
        steps = int(self._epoch_steps.numpy())
        if self.steps_per_epoch is not None:
            steps = self.steps_per_epoch if self._epoch_began_at >= self.steps_per_epoch else 0
        found, before = alpha_for(steps) if steps else 0.0, float(self.alpha_variable.numpy())
        if steps == 0 or abs(found - before) <= 1e-6 * found:
            return
        logging.info("alpha='auto': %d steps per epoch, alpha %.3g", steps, found)
        variables = keras_access.trained_variables(optimizer)
        self.finalize(variables)  # with the previous alpha
        fill(self.alpha_variable, found)
        for variable in variables:
            slots = optimizer.slots_of(variable)
            # Tables that are not trained do not change.
            if before or HISTORY not in slots or not self._is_trained(variable):
                continue
            for copy in replicas.copies(slots[HISTORY]):
                history = RowHistory(optimizer.history_columns(), copy.read_value())
                copy.assign(history.replace(decayed_to=history["last_step"]).record)
            self._write_swept_at(variable, -1)
            table = tables.of(variable)
            if table is not None:
                table.restored()

    def end_epoch(self):
        if self._epoch_steps is not None and self._optimizer.built:
            steps = self._optimizer.steps_done() - self._epoch_began_at
            if steps >= _LEAST_EPOCH:
                fill(self._epoch_steps, max(steps, int(self._epoch_steps.numpy())))

    def epoch_state(self):
        return [] if self.alpha_variable is None else [self._epoch_began_at]

    def set_epoch_state(self, state):
        if self.alpha_variable is not None:
            (self._epoch_began_at,) = state

    def config(self):
        steps = {"sweep_every": self.sweep_every, "steps_per_epoch": self.steps_per_epoch}
        return steps | self.clock.config()


def make_absent_rows(
    optimizer: Any, sweep_every: int, steps_per_epoch: int | None, clock: str, time_unit: float
) -> StillRows:
    """Creates what an optimizer knows about absent rows, by its rule.

    Args:
        optimizer: `RowSparseOptimizer` with a rule.
        sweep_every, steps_per_epoch, clock, time_unit: see `AbsentRows`.

    Returns:
        `AbsentRows` if absent rows decay, else `StillRows`.

    Raises:
        ValueError: on a value out of range, or a clock without such a decay.
    """
    if optimizer.rule.decays_absent_rows:
        return AbsentRows(optimizer, sweep_every, steps_per_epoch, clock, time_unit)
    if clock != "steps":
        refuse_clock(type(optimizer).__name__, clock)
    return StillRows(optimizer)

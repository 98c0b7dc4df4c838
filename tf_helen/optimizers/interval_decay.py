"""Decay by occurrence interval: a row forgets while it is away, at no cost while it is away.

Every row remembers `last_step`, the step s of its last non-zero gradient. At step t the interval is
`I = t - s - 1` and the row is multiplied by `1 - min(1, alpha I)`, so after an absence of n steps
it has been multiplied by `P(n) = prod_{i=1..n} (1 - min(1, alpha i))`. Both are functions of (t, s)
alone, so nothing is done while the row is away: whoever reads it multiplies by what is missing.
A second integer beside it, `decayed_to`, says up to which step the stored row has been decayed.
Both are columns of the row's `RowHistory`.

The steps are those of the table: a step of the optimizer that does not train a table (it is frozen,
or the step has other variables) is not one of the table's, and decays no row of it. One integer per
variable, `swept_at`, holds the optimizer's steps that were not the table's in its upper 32 bits,
and the table's step up to which all rows have been decayed in its lower 32 bits.
"""

from __future__ import annotations

from collections.abc import Sequence

import keras
import tensorflow as tf

from tf_helen import checks, replicas, tables
from tf_helen.optimizers.decay_law import checked_alpha
from tf_helen.optimizers.epoch_alpha import EpochAlpha
from tf_helen.optimizers.history import RowHistory
from tf_helen.optimizers.row_sparse import RowSparseOptimizer
from tf_helen.optimizers.slots import HISTORY, SlotBook, add_slot
from tf_helen.optimizers.step import compute_dtype
from tf_helen.rows import RowBlock, per_row, read_rows, write_rows

_SWEEP_ROWS = 1 << 17  # rows per chunk of a sweep: bounds its memory, not its result
_MISSED = 1 << 32  # one step of the optimizer without the table, in `swept_at`


class IntervalDecay(EpochAlpha, RowSparseOptimizer):
    """Adds the decay by occurrence interval to a row-sparse optimizer (a mixin, named first).

    Args:
        *args, **kwargs: the optimizer's own.
        alpha: decay per step of absence, in [0, 1], or "auto".
        decay: "continuous" or "on_occurrence".
        sweep_every: steps between sweeps over tables whose layer is not ours.
        steps_per_epoch: for `alpha="auto"`; `None`: the steps of the first epoch.

    Raises:
        ValueError: on a value out of range.
    """

    def __init__(
        self,
        *args,
        alpha=1e-4,
        decay="continuous",
        sweep_every=100,
        steps_per_epoch=None,
        **kwargs,
    ):
        super().__init__(*args, **kwargs)
        self.alpha = checked_alpha(alpha)
        self.decay = checks.one_of("decay", decay, ("continuous", "on_occurrence"))
        self.sweep_every = checks.whole_number("sweep_every", sweep_every)
        self.steps_per_epoch = steps_per_epoch
        self._swept_at = SlotBook()
        self._pending = _PendingBook()
        self._law = self._make_law()

    def history(self):
        return {*super().history(), "last_step", "decayed_to"}

    def is_table(self, block: RowBlock, variable: keras.Variable) -> bool:
        """A dense gradient of a table (a regularizer made it so) or of the literal whole-table
        comparison: rows with a zero gradient were absent."""
        if len(variable.shape) == 0:
            return False
        literal = self.moments == "dense" and len(variable.shape) > 1
        return block.is_sparse or literal or tables.of(variable) is not None

    def settle_rows(self, rows, history, step):
        if self.decay == "continuous":
            factor = self._law.missing(history, step, rows.dtype)
        else:
            last_step = tf.bitcast(history["last_step"], tf.int32)
            interval = tf.cast(step, tf.int32) - 1 - last_step
            factor = 1 - tf.clip_by_value(self.alpha * tf.cast(interval, rows.dtype), 0, 1)
        return rows * per_row(factor, rows)

    # Rows that nobody looked up.

    def build(self, variables: Sequence[keras.Variable]) -> None:
        if self.built:
            return
        super().build(variables)
        # A scalar per variable, so that settling a settled table costs nothing.
        self._swept_at.by_index = [
            {"swept_at": add_slot(self, variable, "swept_at", (), "int64", 0)}
            for variable in variables
        ]
        self.attach(variables)

    def attach(self, variables: Sequence[keras.Variable]) -> None:
        self._check_variables_are_known(variables)
        self._pending.trained = {self._get_variable_index(variable) for variable in variables}
        if self.decay != "continuous":
            super().attach(variables)
            return
        for variable in variables:
            if HISTORY not in self.slots_of(variable):
                continue
            table, decay = tables.of(variable), self._pending_decay_of(variable)
            if table is None:
                if tables.sweeper_of(variable) is not decay:
                    tables.release(variable)
                    tables.note_sweeper(variable, decay)
            elif table.holder() is not decay:
                with tf.init_scope():
                    missed, swept_at = self._read_swept_at(variable)
                    is_pending = swept_at != self.steps_done() - missed
                table.take(variable, decay, is_pending)

    def _pending_decay_of(self, variable: keras.Variable) -> _PendingDecay:
        made = self._pending.by_index
        index = self._get_variable_index(variable)
        if index not in made:
            made[index] = _PendingDecay(self, variable)
        return made[index]

    # The steps of a table.

    def table_step(self, variable):
        return super().table_step(variable) - _missed(self._local_swept_at(variable).read_value())

    def table_steps_done(self, variable):
        return super().table_steps_done(variable) - self._read_swept_at(variable)[0]

    def _local_swept_at(self, variable: keras.Variable) -> tf.Variable:
        index = self._get_variable_index(variable)
        return replicas.local(self._swept_at.by_index[index]["swept_at"])

    def _read_swept_at(self, variable: keras.Variable) -> tuple[int, int]:
        """Steps of the optimizer that were not the table's, and the step of its last sweep."""
        index = self._get_variable_index(variable)
        copy = replicas.copies(self._swept_at.by_index[index]["swept_at"])[0]
        # A variable made while a step is traced has no value before the step runs.
        stored = int(copy.numpy()) if bool(copy.is_initialized()) else 0
        missed = (stored + 1) // _MISSED
        return missed, stored - missed * _MISSED

    def _write_swept_at(self, variable: keras.Variable, swept_at: int) -> None:
        """Sets the step of the last sweep; -1: none, so that the next sweep is not skipped."""
        missed, _ = self._read_swept_at(variable)
        index = self._get_variable_index(variable)
        for copy in replicas.copies(self._swept_at.by_index[index]["swept_at"]):
            copy.assign(missed * _MISSED + swept_at)

    def is_trained(self, variable: keras.Variable) -> bool:
        """Whether the step under way, or else the last one, trains a variable."""
        trained = self._pending.trained
        return trained is None or self._get_variable_index(variable) in trained

    def apply_blocks(self, blocks, variables):
        super().apply_blocks(blocks, variables)
        for variable in self._trainable_variables:
            if HISTORY not in self.slots_of(variable):
                continue
            if not self.is_trained(variable):
                self._local_swept_at(variable).assign_add(_MISSED, read_value=False)
            elif self.decay == "continuous" and tables.of(variable) is not None:
                tables.of(variable).hold(self._pending_decay_of(variable), variable.path)
        if self.decay == "on_occurrence":
            return
        foreign = [
            variable
            for block, variable in zip(blocks, variables, strict=True)
            if block.is_sparse and tables.of(variable) is None
        ]
        if foreign:
            done = self.step_number() - 1
            tf.cond(
                tf.equal(done % self.sweep_every, 0),
                lambda: self._sweep_on_this_replica(foreign),
                lambda: tf.constant(False),
            )

    def _sweep_on_this_replica(self, variables) -> tf.Tensor:
        for variable in variables:
            records = replicas.local(self.slots_of(variable)[HISTORY])
            self._sweep(replicas.local(variable), records, self.table_step(variable) - 1)
        return tf.constant(True)

    def rows_as_read(self, variable, ids):
        rows = super().rows_as_read(variable, ids)
        if self.decay == "on_occurrence" or HISTORY not in self.slots_of(variable):
            return rows
        done = self.table_step(variable) - 1
        return self.settle_rows(rows, self.stored_history(variable, ids), done)

    def bring_up_to_date(self, block: RowBlock, variable: keras.Variable):
        if self.decay == "on_occurrence" or not block.is_sparse:
            return []
        target = replicas.local(variable)
        records = replicas.local(self.slots_of(variable)[HISTORY])
        return self._settle(target, records, block.ids, self.table_step(variable) - 1)

    def _settle(self, target: tf.Variable, records: tf.Variable, ids, done: tf.Tensor) -> list:
        stored, record = read_rows(target, ids), read_rows(records, ids)
        history = RowHistory(self.history_columns(), record)
        rows = self.settle_rows(tf.cast(stored, compute_dtype(target)), history, done)
        write_rows(target, ids, rows)
        write_rows(records, ids, history.replace(decayed_to=done).record)
        return [(target, ids, stored), (records, ids, record)]

    def finalize_variable_values(self, var_list: Sequence[keras.Variable]) -> None:
        """Brings every row of the given variables up to date.

        Keras calls it at the end of `fit`; `tf_helen.Model` also before validation, saving and
        export. A second call changes nothing. It reads and writes the whole tables, in chunks.

        Args:
            var_list: variables this optimizer was built with; others are ignored.
        """
        if not self.built or self.decay == "on_occurrence":
            return
        for variable in var_list:
            if self._var_key(variable) not in self._trainable_variables_indices:
                continue
            slots = self.slots_of(variable)
            if HISTORY not in slots:
                continue
            done = self.table_steps_done(variable)
            if self._read_swept_at(variable)[1] != done:
                if self._has_absent_rows(variable):
                    copies = replicas.copies(variable), replicas.copies(slots[HISTORY])
                    for target, records in zip(*copies, strict=True):
                        self._sweep(target, records, tf.constant(done, tf.int64))
                self._write_swept_at(variable, done)
            if tables.of(variable) is not None:
                tables.of(variable).settled_by(self._pending_decay_of(variable))

    def _has_absent_rows(self, variable: keras.Variable) -> bool:
        """Dense weights keep their records at 0; a table has had rows counted."""
        if tables.of(variable) is not None:
            return True
        records = replicas.copies(self.slots_of(variable)[HISTORY])[0]
        return bool(tf.reduce_any(tf.cast(records.read_value(), tf.int64) > 0))

    def _sweep(self, target: tf.Variable, records: tf.Variable, done: tf.Tensor) -> None:
        total = target.shape[0]
        chunk = min(_SWEEP_ROWS, total)

        def sweep_chunk(start):
            # The last chunk reaches back: XLA wants one size, and a settled row stays as it is.
            ids = tf.minimum(start, total - chunk) + tf.range(chunk)
            self._settle(target, records, ids, done)
            return [start + chunk]

        tf.while_loop(lambda start: start < total, sweep_chunk, [0], parallel_iterations=1)

    def get_config(self):
        return {
            **super().get_config(),
            "alpha": self.alpha,
            "decay": self.decay,
            "sweep_every": self.sweep_every,
            "steps_per_epoch": self.steps_per_epoch,
        }


def _missed(swept_at: tf.Tensor) -> tf.Tensor:
    """The optimizer's steps that were not the table's, from what `swept_at` stores."""
    return tf.bitwise.right_shift(swept_at + 1, tf.constant(32, tf.int64))


class _PendingBook:
    """Decays by variable, and which variables a step trains; a plain object, not to be tracked."""

    def __init__(self) -> None:
        self.by_index: dict[int, _PendingDecay] = {}
        self.trained: set[int] | None = None  # `None`: all


class _PendingDecay(tf.Module):
    """What a table's layer asks when it reads rows (`tf_helen.tables.RowDecay`)."""

    def __init__(self, optimizer: IntervalDecay, variable: keras.Variable):
        super().__init__(name="pending_decay")
        self.number = tables.next_number()
        self._records = optimizer.slots_of(variable)[HISTORY].value
        self._columns = optimizer.history_columns()
        self._steps_done = optimizer._iterations.value
        index = optimizer._get_variable_index(variable)
        self._swept_at = optimizer._swept_at.by_index[index]["swept_at"].value
        self._law = optimizer._law
        self._dtype = compute_dtype(variable)
        self.optimizer = optimizer
        self._finish = lambda: optimizer.finalize_variable_values([variable])

    def factor(self, ids: tf.Tensor | None) -> tf.Tensor:
        history = RowHistory(self._columns, read_rows(replicas.local(self._records), ids))
        done = replicas.local(self._steps_done).read_value()
        done = tf.cast(done, tf.int64) - _missed(replicas.local(self._swept_at).read_value())
        return self._law.missing(history, done, self._dtype)

    def finish(self) -> None:
        self._finish()

    def _trackable_children(self, save_type="checkpoint", **kwargs):
        children = super()._trackable_children(save_type, **kwargs)
        # A checkpoint holds it by its optimizer; a SavedModel serves and trains no more.
        children.pop("_swept_at" if save_type == "checkpoint" else "optimizer", None)
        return children

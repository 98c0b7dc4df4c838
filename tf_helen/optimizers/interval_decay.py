"""Decay by occurrence interval: a row forgets while it is away, at no cost while it is away.

Every row remembers `last_step`, the step s of its last non-zero gradient. At step t the interval is
`I = t - s - 1` and the row is multiplied by `1 - min(1, alpha I)`, so after an absence of n steps
it has been multiplied by `P(n) = prod_{i=1..n} (1 - min(1, alpha i))`. Both are functions of (t, s)
alone, so nothing is done while the row is away: whoever reads it multiplies by what is missing.
A second integer beside it, `decayed_to`, says up to which step the stored row has been decayed.
Both are columns of the row's `RowHistory`.
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
        for variable in variables:
            table = tables.of(variable)
            if self.decay != "continuous" or table is None:
                continue
            if getattr(table.decay, "optimizer", None) is not self:
                tables.release(variable)
                table.decay = _PendingDecay(self, variable)

    def apply_blocks(self, blocks, variables):
        super().apply_blocks(blocks, variables)
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
                lambda: self._sweep_on_this_replica(foreign, done),
                lambda: tf.constant(False),
            )

    def _sweep_on_this_replica(self, variables, done) -> tf.Tensor:
        for variable in variables:
            records = replicas.local(self.slots_of(variable)[HISTORY])
            self._sweep(replicas.local(variable), records, done)
        return tf.constant(True)

    def rows_as_read(self, variable, ids):
        rows = super().rows_as_read(variable, ids)
        if self.decay == "on_occurrence" or HISTORY not in self.slots_of(variable):
            return rows
        return self.settle_rows(rows, self.stored_history(variable, ids), self.step_number() - 1)

    def bring_up_to_date(self, block: RowBlock, variable: keras.Variable):
        if self.decay == "on_occurrence" or not block.is_sparse:
            return []
        target = replicas.local(variable)
        records = replicas.local(self.slots_of(variable)[HISTORY])
        return self._settle(target, records, block.ids, self.step_number() - 1)

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
        done = self.steps_done()
        for variable in var_list:
            if self._var_key(variable) not in self._trainable_variables_indices:
                continue
            index, slots = self._get_variable_index(variable), self.slots_of(variable)
            swept_at = replicas.copies(self._swept_at.by_index[index]["swept_at"])
            if int(swept_at[0].numpy()) == done or HISTORY not in slots:
                continue
            if self._has_absent_rows(variable):
                pairs = zip(replicas.copies(variable), replicas.copies(slots[HISTORY]), strict=True)
                for target, records in pairs:
                    self._sweep(target, records, tf.constant(done, tf.int64))
            for copy in swept_at:
                copy.assign(done)

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


class _PendingDecay(tf.Module):
    """What a table's layer asks when it reads rows (`tf_helen.tables.RowDecay`)."""

    def __init__(self, optimizer: IntervalDecay, variable: keras.Variable):
        super().__init__(name="pending_decay")
        self._records = optimizer.slots_of(variable)[HISTORY].value
        self._columns = optimizer.history_columns()
        self._steps_done = optimizer._iterations.value
        self._law = optimizer._law
        self._dtype = compute_dtype(variable)
        self.optimizer = optimizer
        self._finish = lambda: optimizer.finalize_variable_values([variable])

    def factor(self, ids: tf.Tensor) -> tf.Tensor:
        history = RowHistory(self._columns, replicas.local(self._records).sparse_read(ids))
        done = replicas.local(self._steps_done).read_value()
        return self._law.missing(history, done, self._dtype)

    def finish(self) -> None:
        self._finish()

"""Decay by occurrence interval: a row forgets while it is away, at no cost while it is away.

Every row remembers `last_step`, the step s of its last non-zero gradient. At step t the interval is
`I = t - s - 1` and the row is multiplied by `1 - min(1, alpha I)`, so after an absence of n steps
it has been multiplied by `P(n) = prod_{i=1..n} (1 - min(1, alpha i))`. Both are functions of (t, s)
alone, so nothing is done while the row is away: whoever reads it multiplies by what is missing.
A second integer, `decayed_to`, says up to which step the stored row has been decayed already.
"""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from tf_helen import checks, replicas, tables
from tf_helen.optimizers.row_sparse import RowSparseOptimizer
from tf_helen.rows import RowBlock, per_row, read_rows, write_rows

_SWEEP_ROWS = 1 << 17  # rows per chunk of a sweep: bounds its memory, not its result
_LOG_UNDERFLOW = -745.0  # exp of less is 0 even in float64


def log_decay_table(alpha: float) -> np.ndarray:
    """log P(n) for n = 0, 1, ... in float64, until P underflows to 0 (the last entry is -inf).

    Args:
        alpha: decay per step of absence, not negative.

    Returns:
        float64 `[n]`. About `sqrt(1490 / alpha)` entries, at most `1 / alpha`; one for alpha 0.
    """
    if alpha == 0:
        return np.zeros(1)
    longest = int(min(np.ceil(1 / alpha), np.ceil(np.sqrt(-2 * _LOG_UNDERFLOW / alpha)))) + 1
    with np.errstate(divide="ignore"):
        steps = np.log1p(-np.minimum(1.0, alpha * np.arange(1, longest + 1)))
    table = np.concatenate([[0.0], np.cumsum(steps)])
    beyond = np.flatnonzero(table < _LOG_UNDERFLOW)
    table = table[: beyond[0]] if beyond.size else table
    return np.concatenate([table, [-np.inf]])


class IntervalDecay(RowSparseOptimizer):
    """Adds the decay by occurrence interval to a row-sparse optimizer (a mixin, named first).

    Args:
        *args, **kwargs: the optimizer's own.
        alpha: decay per step of absence, in [0, 1].
        decay: "continuous" or "on_occurrence".
        sweep_every: steps between sweeps over tables whose layer is not ours.

    Raises:
        ValueError: on a value out of range.
    """

    def __init__(self, *args, alpha=1e-4, decay="continuous", sweep_every=100, **kwargs):
        super().__init__(*args, **kwargs)
        self.alpha = checks.number_in_range("alpha", alpha, 0, 1)
        self.decay = checks.one_of("decay", decay, ("continuous", "on_occurrence"))
        if int(sweep_every) != sweep_every or sweep_every < 1:
            raise ValueError(
                f"`sweep_every` must be an integer >= 1. Received: sweep_every={sweep_every!r}"
            )
        self.sweep_every = int(sweep_every)

    def row_slots(self):
        return (*super().row_slots(), "last_step", "decayed_to")

    def is_table(self, block: RowBlock, variable: keras.Variable) -> bool:
        """A dense gradient of a table (a regularizer made it so) or of the literal whole-table
        comparison: rows with a zero gradient were absent."""
        if len(variable.shape) == 0:
            return False
        literal = self.moments == "dense" and len(variable.shape) > 1
        return block.is_sparse or literal or tables.of(variable) is not None

    def settle_rows(self, rows, slots, before):
        if self.decay == "on_occurrence":
            return rows
        factor = self.missing_factor(slots["last_step"], slots["decayed_to"], before - 1)
        return rows * tf.cast(per_row(factor, rows), rows.dtype)

    def missing_factor(
        self, last_step: tf.Tensor, decayed_to: tf.Tensor, until: tf.Tensor
    ) -> tf.Tensor:
        """What decay the stored rows still owe for the steps after `decayed_to` up to `until`.

        Args:
            last_step: `[rows]`, s.
            decayed_to: `[rows]`.
            until: scalar, a step.

        Returns:
            float64 `[rows]`: `P(until - s - 1) / P(decayed_to - s - 1)`.
        """
        table = log_decay_table(self.alpha)
        last_step = tf.cast(last_step, tf.int64)
        already = tf.maximum(tf.cast(decayed_to, tf.int64) - last_step - 1, 0)
        away = tf.maximum(tf.cast(until, tf.int64) - last_step - 1, already)
        log_p = tf.constant(table)
        end = len(table) - 1
        owed = tf.gather(log_p, tf.minimum(away, end)) - tf.gather(log_p, tf.minimum(already, end))
        # Where P has reached 0 the difference is not a number; nothing is owed for no steps,
        # and everything otherwise.
        gone = tf.math.is_nan(owed)
        return tf.where(
            away == already, tf.ones_like(owed), tf.where(gone, tf.zeros_like(owed), tf.exp(owed))
        )

    def update_rows(self, rows, gradient, slots, step):
        last_step, decayed_to = slots.pop("last_step", None), slots.pop("decayed_to", None)
        if not step.is_table:
            # Dense weights are in every batch: no interval, no decay.
            return super().update_rows(rows, gradient, slots, step)
        interval = tf.maximum(step.number - tf.cast(last_step, tf.int64) - 1, 0)
        share = tf.minimum(self.alpha * tf.cast(interval, tf.float64), 1)
        rows = rows * tf.cast(1 - per_row(share, rows), rows.dtype)
        rows, slots = super().update_rows(rows, gradient, slots, step)
        now = tf.fill(tf.shape(last_step), tf.cast(step.number, last_step.dtype))
        slots["last_step"] = tf.where(step.occurred(), now, last_step)
        slots["decayed_to"] = tf.maximum(decayed_to, now)
        return rows, slots

    # Rows that nobody looked up.

    def build(self, variables: Sequence[keras.Variable]) -> None:
        if self.built:
            return
        super().build(variables)
        if self.decay == "continuous":
            for variable in variables:
                if (table := tables.of(variable)) is not None:
                    if table.decay is not None:
                        with tf.init_scope():
                            table.decay.finish()  # what an earlier optimizer still owes
                    table.decay = _PendingDecay(self, variable)

    def apply(self, grads, trainable_variables=None):
        gradients = list(grads)
        super().apply(gradients, trainable_variables)
        if self.decay == "on_occurrence":
            return
        variables = (
            self._trainable_variables if trainable_variables is None else trainable_variables
        )
        foreign = [
            variable
            for gradient, variable in zip(gradients, variables)
            if isinstance(gradient, tf.IndexedSlices) and tables.of(variable) is None
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
            slots = self.slots_of(variable)
            clock = [replicas.local(slots[name]) for name in ("last_step", "decayed_to")]
            self._sweep(replicas.local(variable), *clock, done)
        return tf.constant(True)

    def bring_up_to_date(self, block: RowBlock, variable: keras.Variable) -> None:
        """Writes the decay that the named rows still owe, so that what is stored is what is read."""
        if self.decay == "on_occurrence" or not block.is_sparse:
            return
        target = replicas.local(variable)
        slots = {n: replicas.local(v) for n, v in self.slots_of(variable).items()}
        clock = {name: read_rows(slots[name], block.ids) for name in ("last_step", "decayed_to")}
        number = self.step_number()
        write_rows(target, block.ids, self.settle_rows(read_rows(target, block.ids), clock, number))
        settled = tf.fill(tf.shape(block.ids), tf.cast(number - 1, tf.uint32))
        write_rows(slots["decayed_to"], block.ids, settled)

    def finalize_variable_values(self, var_list: Sequence[keras.Variable]) -> None:
        """Brings every row of the given variables up to date.

        Keras calls it at the end of `fit`; `tf_helen.Model` also before validation, saving and
        export. A second call changes nothing. It reads and writes the whole tables, in chunks.

        Args:
            var_list: variables this optimizer was built with; others are ignored.
        """
        if not self.built or self.decay == "on_occurrence":
            return
        done = int(replicas.copies(self._iterations)[0].numpy())
        for variable in var_list:
            if self._var_key(variable) not in self._trainable_variables_indices:
                continue
            slots = self.slots_of(variable)
            if "last_step" not in slots or not self._swept_as_table(variable):
                continue
            clocks = (replicas.copies(slots[name]) for name in ("last_step", "decayed_to"))
            for target, last_step, decayed_to in zip(replicas.copies(variable), *clocks):
                self._sweep(target, last_step, decayed_to, tf.constant(done, tf.int64))

    def _swept_as_table(self, variable: keras.Variable) -> bool:
        """Dense weights keep both counters at 0; a table has had rows counted."""
        if tables.of(variable) is not None:
            return True
        decayed_to = replicas.copies(self.slots_of(variable)["decayed_to"])[0]
        return bool(tf.reduce_any(tf.cast(decayed_to.read_value(), tf.int64) > 0))

    def _sweep(self, target, last_step, decayed_to, done) -> None:
        total = target.shape[0]

        def sweep_chunk(start):
            ids = tf.range(start, tf.minimum(start + _SWEEP_ROWS, total))
            clock = [read_rows(counter, ids) for counter in (last_step, decayed_to)]
            factor = self.missing_factor(*clock, done)
            rows = read_rows(target, ids)
            write_rows(target, ids, rows * tf.cast(per_row(factor, rows), rows.dtype))
            now = tf.fill(tf.shape(ids), tf.cast(done, decayed_to.dtype))
            write_rows(decayed_to, ids, tf.maximum(now, clock[1]))
            return [start + _SWEEP_ROWS]

        tf.while_loop(lambda start: start < total, sweep_chunk, [0], parallel_iterations=1)

    def get_config(self):
        return {
            **super().get_config(),
            "alpha": self.alpha,
            "decay": self.decay,
            "sweep_every": self.sweep_every,
        }


class _PendingDecay(tf.Module):
    """What a table's layer asks when it reads rows (`tf_helen.tables.RowDecay`)."""

    def __init__(self, optimizer: IntervalDecay, variable: keras.Variable):
        super().__init__(name="pending_decay")
        slots = optimizer.slots_of(variable)
        self._last_step = slots["last_step"].value
        self._decayed_to = slots["decayed_to"].value
        self._steps_done = optimizer._iterations.value
        self._missing_factor = optimizer.missing_factor
        self._finish = lambda: optimizer.finalize_variable_values([variable])

    def factor(self, ids: tf.Tensor) -> tf.Tensor:
        last_step = replicas.local(self._last_step).sparse_read(ids)
        decayed_to = replicas.local(self._decayed_to).sparse_read(ids)
        done = replicas.local(self._steps_done).read_value()
        return self._missing_factor(last_step, decayed_to, done)

    def finish(self) -> None:
        self._finish()

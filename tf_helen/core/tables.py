"""What an embedding layer and an optimizer tell each other about a table.

The layer leaves a `Table` on its variable: which rows belong to which field, and that it reads
rows through `Table.read`. The optimizer may leave a `RowDecay` there: how to bring rows that have
been away up to date when they are read.
"""

from __future__ import annotations

import contextlib
import itertools
import weakref
from collections.abc import Iterable, Mapping
from typing import Protocol

import keras
import numpy as np
import tensorflow as tf

from tf_helen.core import replicas, whole_reads

# On a variable of tf_keras: the `keras.Variable` that `tf_helen.legacy` made of it.
ADAPTED = "_tf_helen_variable"
_TABLE, _SWEEPER = "_tf_helen_table", "_tf_helen_sweeper"
_numbers = itertools.count(1)
_STALE = (
    "has rows whose decay is pending, and this function was traced when another optimizer, or none,"
    " trained the table, so it cannot apply the decay. Call `tf_helen.settle(model)` before it, or "
    "trace it again, or read through a `tf_helen.Model` or a model given to `tf_helen.enable`, "
    "which do the first by themselves."
)


def next_number() -> int:
    """A number from 1 on, given once in the process: how a `RowDecay` is known to its table."""
    return next(_numbers)


class RowDecay(Protocol):
    """What an optimizer hangs on a table whose rows change while they are away.

    Attributes:
        number: `next_number()`.
        optimizer: whose decay it is.
    """

    number: int
    optimizer: keras.optimizers.Optimizer

    def factor(self, ids: tf.Tensor | None) -> tf.Tensor:
        """`[n]`: what each stored row must be multiplied by to be up to date (`None`: all)."""

    def finish(self) -> None:
        """Applies the pending decay to the whole table."""


class Table(tf.Module):
    """Rows of one variable, grouped by field.

    A `tf.Module`, so that a model exported in the middle of training can hold what its lookups
    depend on.

    A function is traced once and called for years, while optimizers come and go. So what decides
    about a read is a variable, `state`: 0 where no decay is pending for anybody; n where the decay
    with number n may be pending; -n where that decay has been applied to the whole table and
    nobody has trained since. A function reads right if it was traced with the decay n, or where
    the state is not positive; else it raises.

    Args:
        field_sizes: rows of each field, in the order of their ranges in the table.

    Attributes:
        offsets: int64 `[fields + 1]`, the first row of each field, then the number of rows.
        decay: the `RowDecay` that was attached last, or `None`.
        state: int64 scalar, see above; `None` until a layer marks its variable.
    """

    def __init__(self, field_sizes: Mapping[str, int]):
        super().__init__()
        self.fields = tuple(field_sizes)
        self.offsets = np.concatenate([[0], np.cumsum(list(field_sizes.values()))]).astype(np.int64)
        self.decay: RowDecay | None = None
        self.state: tf.Variable | None = None
        # Weak: a decay lives as long as its optimizer, or until another one takes the table.
        self._decays: weakref.WeakValueDictionary[int, RowDecay] = weakref.WeakValueDictionary()
        self._plain_reads = 0

    @property
    def rows(self) -> int:
        return int(self.offsets[-1])

    def field_of_rows(self, ids: tf.Tensor) -> tf.Tensor:
        """int32 `[n]`: the number of the field that each row belongs to."""
        if len(self.fields) == 1:
            return tf.zeros_like(ids, tf.int32)
        bounds = tf.constant(self.offsets[1:], ids.dtype)
        return tf.searchsorted(bounds, ids, side="right")

    # Reading.

    def read(self, variable: keras.Variable, ids: tf.Tensor) -> tf.Tensor:
        """Reads rows `[n, dim]` as they stand now, whatever the optimizer has put off.

        The gradient with respect to the variable is that of a plain lookup: the optimizer's rule
        acts on the row that was read.

        Raises:
            tf.errors.InvalidArgumentError: when a traced function runs that cannot know of the
                decay that is pending now.
        """
        stored = replicas.local(variable)
        if not hasattr(stored, "sparse_read"):
            # While Keras builds a subclassed model symbolically, a new variable is a plain tensor.
            return tf.gather(stored, ids)
        self._guard(variable)
        return self._settled(stored.sparse_read(ids), ids, variable.path)

    def whole(self, value: tf.Tensor, name: str) -> tf.Tensor:
        """The table as it stands now, from what is stored, in a function being traced."""
        return self._settled(value, None, name)

    def _settled(self, rows: tf.Tensor, ids: tf.Tensor | None, name: str) -> tf.Tensor:
        if self._plain_reads or self.state is None:
            return rows
        decay = self.holder()
        if tf.executing_eagerly():
            return rows if decay is None else _scaled(rows, decay.factor(ids))
        state = replicas.local(self.state).read_value()
        number = 0 if decay is None else decay.number
        _check_state(state, number, name)
        if decay is None:
            return rows
        factor = decay.factor(ids)
        # The decay of an optimizer that has lost the table says nothing about its rows.
        is_held = tf.equal(tf.abs(state), number)
        return _scaled(rows, tf.where(is_held, factor, tf.ones_like(factor)))

    def _guard(self, variable: keras.Variable) -> None:
        for stored in replicas.copies(variable):
            whole_reads.guard(stored, self)

    # Who holds the table.

    def holder(self) -> RowDecay | None:
        """The decay that the rows need now, or `None`; asked of the state, outside of any graph."""
        if self.state is None or not self._decays:
            return None
        return self._decays.get(abs(self._state_now()))

    def _state_now(self) -> int:
        with tf.init_scope():
            return int(replicas.copies(self.state)[0].numpy())

    def _set_state(self, number: int) -> None:
        with tf.init_scope():
            for copy in replicas.copies(self.state):
                copy.assign(number, read_value=False)

    def take(self, variable: keras.Variable, decay: RowDecay, is_pending: bool) -> None:
        """Hands the table to a decay, after the one before has been applied.

        Args:
            variable: the table's.
            decay: the new one.
            is_pending: whether stored rows may not be up to date.
        """
        self.let_go()
        self._guard(variable)
        self.decay = decay
        self._decays[decay.number] = decay
        self._set_state(decay.number if is_pending else -decay.number)

    def let_go(self) -> None:
        """Applies what is pending to the whole table, and forgets whose decay it was."""
        if self.decay is None and self.holder() is None:
            return
        self.settle()
        self.decay = None
        self._set_state(0)

    def settle(self) -> None:
        """Brings every row up to date. A second call changes nothing."""
        decay = self.holder()
        if decay is not None:
            with tf.init_scope():
                decay.finish()

    def hold(self, decay: RowDecay, name: str) -> None:
        """Notes, in a training step, that rows are away from now on."""
        state = replicas.local(self.state)
        _check_state(state.read_value(), decay.number, name)
        state.assign(decay.number, read_value=False)

    def settled_by(self, decay: RowDecay) -> None:
        """Notes that a decay has been applied to the whole table."""
        if self.state is not None and abs(self._state_now()) == decay.number:
            self._set_state(-decay.number)

    def restored(self) -> None:
        """Notes that a checkpoint has replaced the stored rows: some may not be up to date."""
        if self.state is not None:
            self._set_state(abs(self._state_now()))

    def _trackable_children(self, save_type="checkpoint", **kwargs):
        children = super()._trackable_children(save_type, **kwargs)
        if save_type == "checkpoint":
            children.pop("state", None)  # it is about this process
        else:
            self.settle()  # before a SavedModel's values are written
        return children


def _check_state(state: tf.Tensor, number: int, name: str) -> None:
    is_known = tf.logical_or(state <= 0, tf.equal(state, number))
    tf.debugging.Assert(is_known, [f"The embedding table {name} {_STALE}"])


def _scaled(rows: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """`rows * factor` to the bit, with the gradient of `rows`.

    Not `tf.custom_gradient`, which registers its function, and so the model, for ever.
    """
    factor = tf.cast(factor, rows.dtype)
    factor = tf.reshape(factor, [-1] + [1] * (rows.shape.rank - 1))
    # Subtracting +0 also keeps the sign of a zero.
    return tf.stop_gradient(rows * factor) - (tf.stop_gradient(rows) - rows)


def mark(variable: keras.Variable, table: Table) -> None:
    """Notes that a layer reads `variable` through `table`."""
    setattr(variable, _TABLE, table)
    if table.state is None:
        with tf.init_scope():
            table.state = tf.Variable(0, trainable=False, dtype=tf.int64, name="pending_decay")


def of(variable: keras.Variable) -> Table | None:
    """The `Table` that a layer left on a variable, or `None`."""
    return getattr(variable, _TABLE, None)


def of_or_single(variable: keras.Variable) -> Table:
    """The variable's `Table`; where no layer of ours left one, all its rows are one field."""
    return of(variable) or Table({variable.name: variable.shape[0]})


def note_sweeper(variable: keras.Variable, decay: RowDecay) -> None:
    """Notes whose decay the rows of a variable need that no layer of ours reads."""
    setattr(variable, _SWEEPER, decay)


def sweeper_of(variable: keras.Variable) -> RowDecay | None:
    """What `note_sweeper` has noted, or `None`."""
    return getattr(variable, _SWEEPER, None)


def decaying(variable: keras.Variable) -> list[keras.optimizers.Optimizer]:
    """The optimizers whose decay the rows of a variable need now: one, or none."""
    table = of(variable)
    decay = sweeper_of(variable) if table is None else table.holder()
    return [] if decay is None else [decay.optimizer]


def release(variable: keras.Variable) -> None:
    """Applies the decay of an earlier optimizer, and forgets that optimizer."""
    table, sweeper = of(variable), sweeper_of(variable)
    if table is not None:
        table.let_go()
    if sweeper is not None:
        with tf.init_scope():
            sweeper.finish()
        note_sweeper(variable, None)


def settle(variables: Iterable[keras.Variable | tf.Variable]) -> None:
    """Brings the tables among some variables up to date, whichever optimizer trains them."""
    for variable in variables:
        variable = getattr(variable, ADAPTED, variable)
        table, sweeper = of(variable), sweeper_of(variable)
        if table is not None:
            table.settle()
        elif sweeper is not None:
            with tf.init_scope():
                sweeper.finish()


@contextlib.contextmanager
def plain_reads(variables: Iterable[keras.Variable]):
    """Within it lookups in tables that are up to date are traced as lookups, and nothing else."""
    found = [table for variable in variables if (table := of(variable)) is not None]
    for table in found:
        table._plain_reads += 1
    try:
        yield
    finally:
        for table in found:
            table._plain_reads -= 1

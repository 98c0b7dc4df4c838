"""The object that an embedding layer and an optimizer share for a table.

The layer attaches a `Table` to its variable, which has the rows of each field, and reads rows with
`Table.read`. The optimizer may attach a `RowDecay`, which brings rows that were absent up to date
when they are read.
"""

from __future__ import annotations

import contextlib
import itertools
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Protocol

import keras
import tensorflow as tf

from tf_helen.core import lookups, overlay, replicas, whole_reads
from tf_helen.core.rounding import Rounding
from tf_helen.core.table_group import TableGroup

# Attribute of a variable of tf_keras: the `keras.Variable` of `tf_helen.legacy` for it.
ADAPTED = "_tf_helen_variable"
_TABLE, _SWEEPER = "_tf_helen_table", "_tf_helen_sweeper"
_numbers = itertools.count(1)
_STALE = (
    "has rows whose decay is pending, and this function was traced before the current optimizer "
    "trained the table, so it cannot apply the decay. Call `tf_helen.settle(model)` before the "
    "function, trace it again, or use `tf_helen.Model` or `tf_helen.enable(model)`, which call "
    "`settle`."
)


def next_number() -> int:
    """Returns a number from 1 that is unique in the process, for a new `RowDecay`."""
    return next(_numbers)


class RowDecay(Protocol):
    """The decay of a table's absent rows, which an optimizer attaches to the table.

    Attributes:
        number: int, the result of `next_number()`.
        optimizer: the optimizer that decays the rows.
    """

    number: int
    optimizer: keras.optimizers.Optimizer

    def factor(self, ids: tf.Tensor | None) -> tf.Tensor:
        """Returns the pending factor of each stored row, `[n]` (`None`: of all rows)."""

    def finish(self) -> None:
        """Applies the pending decay to the whole table."""


class Table(tf.Module):
    """The rows of one variable, a table or one of its shards, and their pending decay.

    It is a `tf.Module`, so that a model that is exported during training tracks the variables that
    its lookups need.

    A traced function may be called after the optimizer has changed. Reads therefore depend on a
    variable, `state`: 0 if no decay is pending; n if the decay with number n may be pending; -n if
    that decay has been applied to the whole table and the table has not been trained since. A
    traced function may read rows if it was traced with decay n, or if the state is not positive;
    otherwise it raises an error.

    Args:
        field_sizes: dict from field to its number of rows, in the order of the table; or the
            `TableGroup` of a shard.
        rank: int, rank of the shard. Defaults to 0.

    Attributes:
        group: `TableGroup`, the whole table; with one shard, unless another was passed.
        decay: the `RowDecay` that was attached last, or `None`.
        state: int64 scalar variable, see above; `None` until a layer marks its variable.
        kept: float32 variable `[rows]`, 0 for rows that stay zero and 1 for the others, or `None`.
            Lookups multiply by it, so that rows that stay zero get no gradient.
        rounding: `Rounding` of the rows that an optimizer writes, or `None`.
    """

    def __init__(
        self,
        field_sizes: Mapping[str, int] | TableGroup,
        rank: int = 0,
        rounding: Rounding | None = None,
    ):
        super().__init__()
        if not isinstance(field_sizes, TableGroup):
            field_sizes = TableGroup(field_sizes)
        self.group: TableGroup = field_sizes
        self.group.members.append(self)
        self.rank = rank
        self.rounding = rounding
        self.decay: RowDecay | None = None
        self.state: tf.Variable | None = None
        self.kept: tf.Variable | None = None
        # Weak references: a decay lives as long as its optimizer.
        self._decays: weakref.WeakValueDictionary[int, RowDecay] = weakref.WeakValueDictionary()
        self._plain_reads = 0

    @property
    def rows(self) -> int:
        """The number of rows of the variable."""
        return self.group.size(self.rank)

    def rows_of(self, local: tf.Tensor) -> tf.Tensor:
        """Returns the rows of the whole table of some rows of the variable."""
        return self.group.rows_of(self.rank, local)

    # Reads.

    @property
    def reads_plainly(self) -> bool:
        """Whether lookups are traced for an export, see `plain_reads`."""
        return self._plain_reads > 0

    def read(
        self, variable: keras.Variable, ids: tf.Tensor, dtype: str | tf.DType | None = None
    ) -> tf.Tensor:
        """Reads rows, `[n, dim]`, with the pending decay applied.

        Args:
            variable: Keras variable of the table.
            ids: int `[n]`, rows of the variable.
            dtype: dtype of the result. Defaults to `None`: that of the variable.

        Returns:
            `[n, dim]`.

        The gradient with respect to the variable is that of a plain lookup, because the rule of
        the optimizer applies to the row that was read.

        Raises:
            tf.errors.InvalidArgumentError: in a traced function that does not know the decay that
                is pending.
        """
        stored = replicas.local(variable)
        if not hasattr(stored, "sparse_read"):
            # In the symbolic build of a subclassed model, a new variable is a plain tensor.
            return tf.cast(tf.gather(stored, ids), dtype or stored.dtype)
        self._guard(variable)

        def settled(rows, ids):
            return self._settled(tf.cast(rows, dtype or rows.dtype), ids, variable.path)

        layer = overlay.layer_of(stored)
        if layer is not None:  # the perturbation is added to the rows that the first pass has read
            rows = layer.lookup(ids, settled)
        elif replicas.is_asynchronous() and not tf.executing_eagerly():
            # The rows are on a server, which sends each of them once.
            rows = lookups.distinct(stored, ids, lambda ids: settled(stored.sparse_read(ids), ids))
        else:
            rows = settled(stored.sparse_read(ids), ids)
        if self.kept is None or self._plain_reads:
            return rows
        return rows * tf.cast(replicas.local(self.kept).sparse_read(ids), rows.dtype)[:, None]

    def whole(self, value: tf.Tensor, name: str) -> tf.Tensor:
        """Returns the stored table with the pending decay applied, while a function is traced."""
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
        # The decay of a replaced optimizer does not apply to the rows.
        is_held = tf.equal(tf.abs(state), number)
        return _scaled(rows, tf.where(is_held, factor, tf.ones_like(factor)))

    def _guard(self, variable: keras.Variable) -> None:
        for stored in replicas.copies(variable):
            whole_reads.guard(stored, self)

    # The current decay.

    def holder(self) -> RowDecay | None:
        """Returns the decay that the rows need now, or `None`, according to the state."""
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
        """Attaches a decay to the table, after applying the previous one.

        Args:
            variable: Keras variable of the table.
            decay: `RowDecay`, the new decay.
            is_pending: boolean, whether stored rows may not be up to date.
        """
        self.let_go()
        self._guard(variable)
        self.decay = decay
        self._decays[decay.number] = decay
        self._set_state(decay.number if is_pending else -decay.number)

    def let_go(self) -> None:
        """Applies the pending decay to the whole table, and detaches the decay."""
        if self.decay is None and self.holder() is None:
            return
        self.settle()
        self.decay = None
        self._set_state(0)

    def settle(self) -> None:
        """Applies the pending decay to the whole table; a second call changes nothing."""
        decay = self.holder()
        if decay is not None:
            with tf.init_scope():
                decay.finish()

    def hold(self, decay: RowDecay, name: str) -> None:
        """Marks the decay as pending, in a training step."""
        state = replicas.local(self.state)
        _check_state(state.read_value(), decay.number, name)
        state.assign(decay.number, read_value=False)

    def settled_by(self, decay: RowDecay) -> None:
        """Marks the decay as applied to the whole table."""
        if self.state is not None and abs(self._state_now()) == decay.number:
            self._set_state(-decay.number)

    def restored(self) -> None:
        """Marks the decay as pending after a checkpoint has replaced the stored rows."""
        if self.state is not None:
            self._set_state(abs(self._state_now()))

    def _trackable_children(self, save_type="checkpoint", **kwargs):
        children = super()._trackable_children(save_type, **kwargs)
        if save_type == "checkpoint":
            for name in ("state", "kept"):  # valid in this process only
                children.pop(name, None)
        else:
            self.settle()  # before a SavedModel's values are written
        return children


def _check_state(state: tf.Tensor, number: int, name: str) -> None:
    is_known = tf.logical_or(state <= 0, tf.equal(state, number))
    tf.debugging.Assert(is_known, [f"The embedding table {name} {_STALE}"])


def _scaled(rows: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """Returns exactly `rows * factor`, with the gradient of `rows`.

    `tf.custom_gradient` is not used, because it keeps a reference to its function, and so to the
    model.
    """
    factor = tf.cast(factor, rows.dtype)
    factor = tf.reshape(factor, [-1] + [1] * (rows.shape.rank - 1))
    # Subtracting +0 also keeps the sign of a zero.
    return tf.stop_gradient(rows * factor) - (tf.stop_gradient(rows) - rows)


def mark(variable: keras.Variable, table: Table) -> None:
    """Attaches the table of a layer to its variable."""
    setattr(variable, _TABLE, table)
    if table.state is None:
        with tf.init_scope():
            table.state = tf.Variable(0, trainable=False, dtype=tf.int64, name="pending_decay")


def of(variable: keras.Variable) -> Table | None:
    """Returns the `Table` of a variable, or `None`."""
    return getattr(variable, _TABLE, None)


def rounded(
    variable: keras.Variable, rows: tf.Tensor, step: tf.Tensor, first: tf.Tensor | int = -1
) -> tf.Tensor:
    """Returns new rows of a variable in its dtype, rounded as its table says; see `Rounding`."""
    table, dtype = of(variable), tf.as_dtype(variable.dtype)
    if table is None or table.rounding is None:
        return tf.cast(rows, dtype)
    return table.rounding(rows, dtype, step, first)


def of_or_single(variable: keras.Variable) -> Table:
    """Returns the `Table` of a variable, or a new one with all rows in one field."""
    return of(variable) or Table({variable.name: variable.shape[0]})


def grouped(variables: Sequence[keras.Variable]) -> list[list[int]]:
    """Returns the positions of variables that are one table, by rank; others are alone.

    Args:
        variables: sequence of Keras variables.

    Returns:
        List of lists of positions, in the order of their first variable.

    Example:
        >>> from tf_helen.core import tables
        >>> layer = tf_helen.layers.Embedding(5, 2, shards=2)
        >>> layer.build()
        >>> tables.grouped([keras.Variable(1.0), *layer.trainable_variables])
        [[0], [1, 2]]
    """
    found: dict[int, list[int]] = {}
    for place, variable in enumerate(variables):
        table = of(variable)
        found.setdefault(id(variable if table is None else table.group), []).append(place)
    for places in found.values():
        if len(places) > 1:
            places.sort(key=lambda place: of_or_single(variables[place]).rank)
    return list(found.values())


def note_sweeper(variable: keras.Variable, decay: RowDecay | None) -> None:
    """Attaches a decay to a variable that is not read by `tf_helen.layers.Embedding`."""
    setattr(variable, _SWEEPER, decay)


def sweeper_of(variable: keras.Variable) -> RowDecay | None:
    """Returns the decay that `note_sweeper` attached, or `None`."""
    return getattr(variable, _SWEEPER, None)


def decaying(variable: keras.Variable) -> list[keras.optimizers.Optimizer]:
    """Returns the optimizers whose decay the rows of a variable need: at most one."""
    table = of(variable)
    decay = sweeper_of(variable) if table is None else table.holder()
    return [] if decay is None else [decay.optimizer]


def release(variable: keras.Variable) -> None:
    """Applies the decay of an earlier optimizer, and detaches it."""
    table, sweeper = of(variable), sweeper_of(variable)
    if table is not None:
        table.let_go()
    if sweeper is not None:
        with tf.init_scope():
            sweeper.finish()
        note_sweeper(variable, None)


def settle(variables: Iterable[keras.Variable | tf.Variable]) -> None:
    """Applies the pending decay to the tables among some variables, for any optimizer."""
    for variable in variables:
        variable = getattr(variable, ADAPTED, variable)
        table, sweeper = of(variable), sweeper_of(variable)
        if table is not None:
            table.settle()
        elif sweeper is not None:
            with tf.init_scope():
                sweeper.finish()


@contextlib.contextmanager
def plain_reads(variables: Iterable[keras.Variable]) -> Iterator[None]:
    """Context in which lookups are traced without a pending decay; tables must be up to date."""
    found = [table for variable in variables if (table := of(variable)) is not None]
    for table in found:
        table._plain_reads += 1
    try:
        yield
    finally:
        for table in found:
            table._plain_reads -= 1

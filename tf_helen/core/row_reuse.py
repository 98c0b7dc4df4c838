"""Rows that a layer gives to other ids, and the optimizers that have state for them.

A `tf_helen.layers.DynamicEmbedding` gives a row to another id within the forward pass. The slots
and records of the row must begin anew before the optimizer reads them, also those of the pending
decay, which lookups apply. Optimizers therefore register with the table, and the layer calls them.
The layer needs the number of updates of the table as its clock: rows of the current step must not
be given to other ids before the step has updated them.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from typing import Any, Protocol

import keras
import numpy as np
import tensorflow as tf

from tf_helen.core import replicas, tables
from tf_helen.core.table_group import TableGroup
from tf_helen.core.whole_state import trained_by_slot

_RECORD = "_tf_helen_row_record"
_STALE = (
    "gives rows to new ids, and this function was traced before another optimizer was built for "
    "the table, whose slots it cannot reset. Trace the function again: compile the model again, or "
    "create a new `tf.function`."
)


class Optimizer(Protocol):
    """The interface of an optimizer with state for single rows."""

    def restart_rows(self, variable: keras.Variable, ids: tf.Tensor) -> None:
        """Gives rows the slots and records of new rows, within a step of this replica."""


class RowReuse(tf.Module):
    """The optimizers of a table whose rows are given to other ids.

    Args:
        clock: int64 scalar Keras variable, number of updates of the table.
        evicts: boolean, whether rows are taken from ids.
        name: string, name of the layer, for messages.

    Attributes:
        loaded: int64 `[fields]`, the capacities of the file that the layer was loaded from, or
            `None`. The slots of the same file have them.
    """

    def __init__(self, clock: keras.Variable, evicts: bool, name: str):
        super().__init__(name="row_reuse")
        self.clock, self.evicts, self._layer = clock, evicts, name
        self._optimizers: list[weakref.ref] = []
        self.loaded: np.ndarray | None = None
        with tf.init_scope():
            self._noted = tf.Variable(0, trainable=False, dtype=tf.int64, name="optimizers")

    def note(self, optimizer: Optimizer) -> None:
        """Registers an optimizer that is built for the table; a second call changes nothing."""
        if any(known() is optimizer for known in self._optimizers):
            return
        self._optimizers.append(weakref.ref(optimizer))
        with tf.init_scope():
            for copy in replicas.copies(self._noted):
                copy.assign(len(self._optimizers), read_value=False)

    @property
    def can_restart(self) -> bool:
        """Whether an optimizer is registered. Before, rows cannot be given to other ids."""
        return bool(self._optimizers)

    def restart(self, variable: keras.Variable, ids: tf.Tensor) -> None:
        """Gives rows the slots and records of new rows, for every optimizer of the table.

        Args:
            variable: the Keras variable of the table or shard.
            ids: int `[n]`, distinct rows of the variable.

        Raises:
            tf.errors.InvalidArgumentError: in a traced function that does not know all optimizers.
        """
        noted = replicas.local(self._noted).read_value()
        is_current = tf.equal(noted, len(self._optimizers))
        tf.debugging.Assert(is_current, [f"The embedding table {self._layer} {_STALE}"])
        for known in self._optimizers:
            optimizer = known()
            if optimizer is not None:
                optimizer.restart_rows(variable, ids)

    def _trackable_children(self, save_type="checkpoint", **kwargs):
        children = super()._trackable_children(save_type, **kwargs)
        if save_type == "checkpoint":
            children.pop("_noted", None)  # valid in this process only
        return children


def note_record(variable: keras.Variable, group: TableGroup, kind: str) -> None:
    """Notes that a variable has records of a table's rows, which a later pass does not change.

    Args:
        variable: Keras variable.
        group: `TableGroup` of the table.
        kind: string, "row" if it has one entry per row, else the name of the record.
    """
    setattr(variable, _RECORD, (group, kind))


def is_record(variable: keras.Variable) -> bool:
    """Returns whether `note_record` was called with a variable."""
    return hasattr(variable, _RECORD)


def place_of(variable: keras.Variable) -> tuple[TableGroup, str] | None:
    """Returns the table whose capacities determine the size of a variable, and its kind.

    Args:
        variable: Keras variable: a record, a table or shard, or a slot.

    Returns:
        `TableGroup` and kind, see `note_record`; `None` for other variables.
    """
    found = getattr(variable, _RECORD, None)
    if found is not None:
        return found
    table = tables.of(trained_by_slot(variable))
    if table is None or table.group.reuse is None:
        return None
    return table.group, "row" if len(variable.shape) else "other"


def of(variable: keras.Variable) -> RowReuse | None:
    """Returns the `RowReuse` of a variable's table, or `None`: its rows keep their ids."""
    table = tables.of(variable)
    return None if table is None else table.group.reuse


def note(optimizer: Optimizer, variables: Iterable[keras.Variable]) -> None:
    """Registers an optimizer with the tables among some variables."""
    for variable in variables:
        reuse = of(variable)
        if reuse is not None:
            reuse.note(optimizer)


def tick(variables: Iterable[keras.Variable]) -> None:
    """Counts an update of the tables among some variables, on this replica."""
    found = {id(reuse): reuse for v in variables if (reuse := of(v)) is not None}
    for reuse in found.values():
        replicas.local(reuse.clock).assign_add(1, read_value=False)


def refuse(optimizer: Any, variables: Iterable[keras.Variable]) -> None:
    """Raises an error if the rows of a table are given to other ids.

    Args:
        optimizer: an optimizer of Keras, for the message.
        variables: the variables that it trains.

    Raises:
        TypeError: names the optimizer and what to do.
    """
    for variable in variables:
        reuse = of(variable)
        if reuse is not None and reuse.evicts:
            raise TypeError(
                f"{type(optimizer).__name__} of Keras cannot reset the slots of single rows, which "
                f"{variable.path!r} needs, because it evicts ids. Use an optimizer of tf_helen, "
                "such as `tf_helen.Adam()`, or `eviction=None`."
            )

"""Variables as files contain them: the shards of a table, and of its slots, as one array."""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable, Iterable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_helen.core import replicas, tables
from tf_helen.core.rows import write_rows
from tf_helen.core.table_group import TableGroup

_SLOT = "_tf_helen_slot"


@dataclasses.dataclass(frozen=True)
class WholeVariable:
    """A variable, or the variables of all shards of a table or of one of its slots.

    Attributes:
        parts: tuple of Keras variables, by rank.
        group: `TableGroup` of the shards; `None`: a single variable.
    """

    parts: tuple[keras.Variable, ...]
    group: TableGroup | None = None

    @property
    def path(self) -> str:
        return self.parts[0].path

    @property
    def by_row(self) -> bool:
        """Whether the parts have the rows of their shards; or else all parts are equal."""
        return self.group is not None and len(self.parts[0].shape) > 0

    @property
    def shape(self) -> tuple[int, ...]:
        shape = tuple(self.parts[0].shape)
        return (self.group.rows, *shape[1:]) if self.by_row and self.group else shape

    def numpy(self) -> np.ndarray:
        """Returns the whole value."""
        if not self.by_row or self.group is None:
            return self.parts[0].numpy()
        return self.group.whole([part.numpy() for part in self.parts])

    def assign(self, value: Any) -> None:
        """Sets the whole value.

        Raises:
            ValueError: on another shape.
        """
        if self.group is None:
            self.parts[0].assign(value)
            return
        value = np.asarray(value)
        if value.shape != self.shape:
            raise ValueError(
                f"The value of {self.path!r} must have the shape {self.shape}. Received the shape "
                f"{value.shape}."
            )
        for rank, part in enumerate(self.parts):
            part.assign(self.group.part(value, rank) if self.by_row else value)


def note_slot(slot: keras.Variable, variable: keras.Variable, label: Hashable) -> None:
    """Notes that a variable is a slot of another one, so that files contain whole slots.

    Args:
        slot: Keras variable with one row per row of `variable`, or a scalar that is equal for all
            shards.
        variable: the variable that is trained.
        label: name of the slot, equal for all shards of a table.
    """
    setattr(slot, _SLOT, (variable, label))


def trained_by_slot(variable: keras.Variable) -> keras.Variable:
    """Returns the variable whose slot another one is, or a variable that is no slot itself."""
    return getattr(variable, _SLOT, (variable, None))[0]


def whole_variables(variables: Iterable[keras.Variable]) -> list[WholeVariable]:
    """Returns variables with the shards of a table, and of its slots, as one.

    Args:
        variables: Keras variables, such as `optimizer.variables`; of shards, all or none.

    Returns:
        List of `WholeVariable`, each at the place of its first part: as many, in the same order, as
        without shards.
    """
    found: dict[Hashable, list[keras.Variable]] = {}
    groups: dict[Hashable, TableGroup] = {}
    for place, variable in enumerate(variables):
        trained, label = getattr(variable, _SLOT, (variable, None))
        table = tables.of(trained)
        key: Hashable = place
        if table is not None and table.group.shards > 1:
            key = (id(table.group), label)
            groups[key] = table.group
        found.setdefault(key, []).append(variable)
    return [WholeVariable(tuple(parts), groups.get(key)) for key, parts in found.items()]


class ShardedTable:
    """The table of a `tf_helen.layers.Embedding` with several shards: `layer.embeddings`.

    Args:
        variables: sequence of Keras variables, the shards by rank.
        group: their `TableGroup`.

    Attributes:
        variables: tuple of the variables.

    Example:
        >>> layer = tf_helen.layers.Embedding(5, 2, shards=2)
        >>> layer.build()
        >>> layer.embeddings.shape, [tuple(v.shape) for v in layer.embeddings.variables]
        ((5, 2), [(3, 2), (2, 2)])
    """

    def __init__(self, variables: Sequence[keras.Variable], group: TableGroup):
        self.variables = tuple(variables)
        self.group = group
        self._whole = WholeVariable(self.variables, group)

    @property
    def shape(self) -> tuple[int, ...]:
        return self._whole.shape

    @property
    def dtype(self) -> str:
        return self.variables[0].dtype

    @property
    def path(self) -> str:
        return self.variables[0].path

    @property
    def name(self) -> str:
        return self.variables[0].name

    @property
    def trainable(self) -> bool:
        return self.variables[0].trainable

    def numpy(self) -> np.ndarray:
        """Returns the whole table, with the pending decay applied."""
        return self._whole.numpy()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self.numpy(), dtype)

    def assign(self, value: Any) -> None:
        """Sets the whole table to an array `[rows, dim]`."""
        self._whole.assign(value)


def parts_of(table: keras.Variable | ShardedTable) -> tuple[keras.Variable, ...]:
    """Returns the variables of a table: itself, or its shards by rank."""
    return table.variables if isinstance(table, ShardedTable) else (table,)


def group_of(table: keras.Variable | ShardedTable) -> TableGroup:
    """Returns the `TableGroup` of a table."""
    return table.group if isinstance(table, ShardedTable) else tables.of_or_single(table).group


def write_whole(table: keras.Variable | ShardedTable, ids: tf.Tensor, rows: tf.Tensor) -> None:
    """Writes distinct rows of a table, on every replica.

    Args:
        table: Keras variable or `ShardedTable`.
        ids: int `[n]`, rows of the whole table.
        rows: `[n, dim]`.
    """
    parts = parts_of(table)

    def write(rank: int, local: tf.Tensor, values: tf.Tensor) -> None:
        for copy in replicas.copies(parts[rank]):
            write_rows(copy, local, values)

    group_of(table).send(ids, rows, write)


def read_whole(table: keras.Variable | ShardedTable, ids: tf.Tensor) -> tf.Tensor:
    """Reads rows of a table as they are stored, without a pending decay.

    Args:
        table: Keras variable or `ShardedTable`.
        ids: int `[n]`, rows of the whole table.

    Returns:
        `[n, dim]`.
    """
    copies = [replicas.copies(part)[0] for part in parts_of(table)]
    return group_of(table).lookup(ids, lambda rank, local: copies[rank].sparse_read(local))

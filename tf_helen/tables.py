"""What an embedding layer and an optimizer tell each other about a table.

The layer leaves a `Table` on its variable: which rows belong to which field, and that it reads
rows through `Table.read`. The optimizer may leave a `RowDecay` there: how to bring rows that have
been away up to date when they are read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import keras
import numpy as np
import tensorflow as tf

from tf_helen import replicas

_ATTRIBUTE = "_tf_helen_table"


class RowDecay(Protocol):
    """What an optimizer hangs on a table whose rows change while they are away."""

    def factor(self, ids: tf.Tensor) -> tf.Tensor:
        """`[n]`: what each stored row must be multiplied by to be up to date."""

    def finish(self) -> None:
        """Writes what every row still owes to the table."""


class Table(tf.Module):
    """Rows of one variable, grouped by field.

    A `tf.Module`, so that a model exported in the middle of training can hold what its lookups
    depend on.

    Args:
        field_sizes: rows of each field, in the order of their ranges in the table.

    Attributes:
        offsets: int64 `[fields + 1]`, the first row of each field, then the number of rows.
        decay: the optimizer's `RowDecay`, or `None`.
    """

    def __init__(self, field_sizes: Mapping[str, int]):
        super().__init__()
        self.fields = tuple(field_sizes)
        self.offsets = np.concatenate([[0], np.cumsum(list(field_sizes.values()))]).astype(np.int64)
        self.decay: RowDecay | None = None

    @property
    def rows(self) -> int:
        return int(self.offsets[-1])

    def field_of_rows(self, ids: tf.Tensor) -> tf.Tensor:
        """int32 `[n]`: the number of the field that each row belongs to."""
        if len(self.fields) == 1:
            return tf.zeros_like(ids, tf.int32)
        bounds = tf.constant(self.offsets[1:], ids.dtype)
        return tf.searchsorted(bounds, ids, side="right")

    def read(self, variable: keras.Variable, ids: tf.Tensor) -> tf.Tensor:
        """Reads rows `[n, dim]` as they stand now, whatever the optimizer has put off.

        The gradient with respect to the variable is that of a plain lookup: the optimizer's rule
        acts on the row that was read.
        """
        stored = replicas.local(variable)
        if not hasattr(stored, "sparse_read"):
            # While Keras builds a subclassed model symbolically, a new variable is a plain tensor.
            return tf.gather(stored, ids)
        rows = stored.sparse_read(ids)
        if self.decay is None:
            return rows
        return _scaled(rows, tf.cast(self.decay.factor(ids), rows.dtype)[:, None])


@tf.custom_gradient
def _scaled(rows: tf.Tensor, factor: tf.Tensor):
    return rows * factor, lambda upstream: (upstream, None)


def mark(variable: keras.Variable, table: Table) -> None:
    """Notes that a layer reads `variable` through `table`."""
    setattr(variable, _ATTRIBUTE, table)


def of(variable: keras.Variable) -> Table | None:
    """The `Table` that a layer left on a variable, or `None`."""
    return getattr(variable, _ATTRIBUTE, None)


def release(variable: keras.Variable) -> None:
    """Settles what an earlier optimizer still owes a table, and forgets that optimizer."""
    table = of(variable)
    if table is not None and table.decay is not None:
        with tf.init_scope():
            table.decay.finish()
        table.decay = None


def of_or_single(variable: keras.Variable) -> Table:
    """The variable's `Table`; where no layer of ours left one, all its rows are one field."""
    return of(variable) or Table({variable.name: variable.shape[0]})

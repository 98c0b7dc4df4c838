"""The alphas of single rows, stored in their records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_helen import keras_access
from tf_helen.core import replicas, tables
from tf_helen.core.history import RowHistory
from tf_helen.core.table_group import TableGroup
from tf_helen.optimizers.frequency import keys_of
from tf_helen.optimizers.slots import HISTORY
from tf_helen.rules.interval_decay import OTHERS


class RowAlphas:
    """The column "alpha" of an optimizer's records.

    A table has an alpha for every row or for none. Records are initialized with zeros, so an alpha
    of 0 is stored as -0 to distinguish it from a missing one.

    Args:
        optimizer: a `RowSparseOptimizer`.
        given: dict from the path of a variable, the end of the path, or a field to a scalar or an
            array `[rows]`, and from "*" to a scalar for tables without another entry. `None` if the
            state of the optimizer contains them.
    """

    def __init__(self, optimizer: Any, given: Mapping[str, np.ndarray] | None):
        self._optimizer, self._given = optimizer, given
        self._known: set[int] = set()

    def store(self, variables: Sequence[keras.Variable]) -> None:
        """Writes the given alphas into the records.

        Args:
            variables: the variables of the optimizer.

        Raises:
            ValueError: if a table of `tf_helen.layers.Embedding` has no entry, an entry has no
                table, or the length of an array is not that of its table or field.
        """
        if self._given is None:
            return
        given = self._given
        unused = set(given) - {OTHERS}
        for variable in (variable for variable in variables if len(variable.shape)):
            table = tables.of_or_single(variable)
            keys = keys_of(variable, given, table.group)
            unused.difference_update(keys)
            keys = keys or [key for key in given if key == OTHERS]
            # A matrix without a layer of this package may be a dense kernel, which has no alpha.
            if keys or tables.of(variable) is not None:
                alphas = _alphas_of(variable, given, keys, table.group)
                self._write(variable, table.group.part(alphas, table.rank))
        if unused:
            raise ValueError(
                f"`alpha` has entries without a table: {', '.join(sorted(unused))}. Variables of "
                f"this optimizer: {', '.join(variable.path for variable in variables)}."
            )

    def _write(self, variable: keras.Variable, alphas: np.ndarray) -> None:
        bits = np.where(alphas == 0, np.float32(-0.0), alphas).view(np.uint32)
        # Keras may build an optimizer while it traces a step, of which this is not a part. The new
        # variables then have no values.
        with tf.init_scope():
            for copy in replicas.copies(self._optimizer.slots_of(variable)[HISTORY]):
                is_new = not copy.is_initialized()
                record = tf.zeros(copy.shape, copy.dtype) if is_new else copy.read_value()
                history = RowHistory(self._optimizer.history_columns(), record)
                copy.assign(history.replace(alpha=tf.constant(bits)).record, read_value=False)

    def check(self, variable: keras.Variable) -> None:
        """Raises `ValueError` if the rows of a table have no alpha."""
        index = keras_access.index_of(self._optimizer, variable)
        if index in self._known:
            return
        record = replicas.copies(self._optimizer.slots_of(variable)[HISTORY])[0]
        with tf.init_scope():
            is_known = bool(record.is_initialized())
            if is_known:
                first = RowHistory(self._optimizer.history_columns(), record.sparse_read([0]))
                is_known = first["alpha"].numpy()[0] != 0
            if not is_known:
                raise ValueError(
                    f"The rows of {variable.path!r} have no `alpha`. It was passed for other "
                    "tables only, or the optimizer was created from a configuration, which does "
                    "not contain it. Load the optimizer with its state (a trained model), or pass "
                    "`alpha`."
                )
        self._known.add(index)


def _alphas_of(
    variable: keras.Variable,
    given: Mapping[str, np.ndarray],
    keys: list[str],
    group: TableGroup,
) -> np.ndarray:
    """Returns the alpha of every row of the whole table, float32 `[rows]`."""
    if not keys:
        raise ValueError(
            f"`alpha` has no entry for the table {variable.path!r} (rows: {group.rows}, "
            f"fields: {', '.join(group.fields[:20])}). Given: "
            f"{', '.join(list(given)[:20])}. Use the variable's path or all its field "
            "names as keys, or '*' for all other tables, with 0 for no decay."
        )
    sizes = np.diff(group.offsets) if keys == list(group.fields) else [group.rows]
    for key, size in zip(keys, sizes, strict=True):
        shape = given[key].shape
        if group.reuse is not None and shape:
            raise ValueError(
                f"The rows of {variable.path!r} are given to ids in training; `alpha[{key!r}]` "
                f"must be a number. Received the shape {list(shape)}."
            )
        if shape not in ((), (size,)):
            raise ValueError(
                f"`alpha[{key!r}]` must be a number or have one per row, [{size}]. Received "
                f"the shape {list(shape)}."
            )
    pairs = zip(keys, sizes, strict=True)
    return np.concatenate([np.broadcast_to(given[key], size) for key, size in pairs])

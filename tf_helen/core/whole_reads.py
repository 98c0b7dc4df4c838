"""Reads of a table as a whole: `numpy()`, `get_weights`, operations on the variable, exports.

Lookups read rows and ask the table what these rows still have to be multiplied by. Everybody else
reads the variable itself. The functions here make such a read find rows that are up to date, too.
They replace methods of the one `tf.Variable` behind a layer's weights, because every reader ends
there: `keras.Variable`, models and layers of Keras 3 and of tf_keras, `tf.convert_to_tensor`,
NumPy, `tf.saved_model.save`.

Private names of TensorFlow that this file relies on:
    `_read_variable_op`: the one method through which a variable is read as a whole.
    `_restore_from_tensors`: called on each variable that a checkpoint restores.
    `_trackable_children`: asked of each variable before a SavedModel's values are written.
"""

from __future__ import annotations

import functools
from typing import Protocol

import tensorflow as tf

_GUARDED = "_tf_helen_guarded"
_ASSIGNMENTS = (
    *("assign", "assign_add", "assign_sub", "batch_scatter_update"),
    *(f"scatter_{name}" for name in ("add", "div", "max", "min", "mul", "sub", "update")),
    *(f"scatter_nd_{name}" for name in ("add", "max", "min", "sub", "update")),
)


class Guard(Protocol):
    """What a guarded variable asks (a `tf_helen.core.tables.Table`)."""

    def settle(self) -> None:
        """Writes what every row still has to be multiplied by to the table."""

    def whole(self, value: tf.Tensor, name: str) -> tf.Tensor:
        """The table as it stands now, from what is stored, in a function being traced."""

    def restored(self) -> None:
        """Notes that a checkpoint has replaced the stored rows."""


def raw(variable: tf.Variable) -> tf.Tensor:
    """Returns what a plain variable stores, also where rows are not up to date.

    Args:
        variable: a plain `tf.Variable`.

    Returns:
        A copy of its value.

    Example:
        >>> raw(tf.Variable([1.0, 2.0])).numpy().tolist()
        [1.0, 2.0]
    """
    return tf.identity(
        tf.raw_ops.ReadVariableOp(resource=variable.handle, dtype=variable.dtype.base_dtype)
    )


def guard(stored: tf.Variable, table: Guard) -> None:
    """Has whole reads of a plain variable go through its table; a second call changes nothing.

    Args:
        stored: the plain variable (one replica's copy) behind a layer's weights.
        table: what is asked.
    """
    if getattr(stored, _GUARDED, False):
        return
    read, children = stored._read_variable_op, stored._trackable_children
    restore = stored._restore_from_tensors

    def guarded_read(no_copy=False):
        if no_copy:  # a checkpoint, which holds rows and records as they are stored
            return read(no_copy=True)
        if tf.executing_eagerly():
            table.settle()
            return read()
        return table.whole(read(), stored.name)

    def guarded_restore(*args, **kwargs):
        table.restored()
        return restore(*args, **kwargs)

    def guarded_children(save_type="checkpoint", **kwargs):
        if save_type == "savedmodel":
            table.settle()
        return children(save_type, **kwargs)

    stored._read_variable_op = guarded_read
    stored._restore_from_tensors = guarded_restore
    stored._trackable_children = guarded_children
    for name in _ASSIGNMENTS:
        setattr(stored, name, _guarded_assignment(getattr(stored, name), table))
    setattr(stored, _GUARDED, True)


def _guarded_assignment(assignment, table: Guard):
    @functools.wraps(assignment)
    def guarded(*args, **kwargs):
        if tf.executing_eagerly():
            table.settle()  # or else what is assigned would decay for time before it
        return assignment(*args, **kwargs)

    return guarded

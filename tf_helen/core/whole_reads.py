"""Reads of a whole table: `numpy()`, `get_weights`, operations on the variable, exports.

Lookups read rows through the table, which applies their pending decay. Other reads use the variable
itself. The functions here make such reads return rows that are up to date. They replace methods of
the `tf.Variable` of a layer's weights, because all reads use it: `keras.Variable`, models and
layers of Keras 3 and of tf_keras, `tf.convert_to_tensor`, NumPy, `tf.saved_model.save`.

Private names of TensorFlow that this file uses:
    `_read_variable_op`: reads the whole variable.
    `_restore_from_tensors`: called for each variable that a checkpoint restores.
    `_trackable_children`: called for each variable before the values of a SavedModel are written.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Protocol

import tensorflow as tf

_GUARDED = "_tf_helen_guarded"
_ASSIGNMENTS = [
    "assign",
    "assign_add",
    "assign_sub",
    "batch_scatter_update",
    *[f"scatter_{name}" for name in ("add", "div", "max", "min", "mul", "sub", "update")],
    *[f"scatter_nd_{name}" for name in ("add", "max", "min", "sub", "update")],
]


class Guard(Protocol):
    """The interface of a guarded variable's table, see `tf_helen.core.tables.Table`."""

    def settle(self) -> None:
        """Applies the pending decay to the whole table."""

    def whole(self, value: tf.Tensor, name: str) -> tf.Tensor:
        """Returns the stored table with the pending decay applied, while a function is traced."""

    def restored(self) -> None:
        """Marks the decay as pending after a checkpoint has replaced the stored rows."""


def raw(variable: tf.Variable) -> tf.Tensor:
    """Returns the stored value of a plain variable, without the pending decay.

    Args:
        variable: plain `tf.Variable`.

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
    """Makes whole reads of a plain variable apply the pending decay of its table.

    A second call changes nothing.

    Args:
        stored: plain `tf.Variable` of a layer's weights, the copy of one replica.
        table: `Guard`, the table of the variable.
    """
    if getattr(stored, _GUARDED, False):
        return
    read, children = stored._read_variable_op, stored._trackable_children
    restore = stored._restore_from_tensors

    def guarded_read(no_copy=False):
        if no_copy:  # a checkpoint, which stores rows without the pending decay
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


def _guarded_assignment(assignment: Callable, table: Guard) -> Callable:
    @functools.wraps(assignment)
    def guarded(*args, **kwargs):
        if tf.executing_eagerly():
            table.settle()  # or the assigned values would decay for earlier steps
        return assignment(*args, **kwargs)

    return guarded

"""The slot variables of an optimizer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from tf_helen import keras_access
from tf_helen.core import replicas
from tf_helen.core.history import RowHistory
from tf_helen.core.rows import read_rows, write_rows
from tf_helen.core.rule import compute_dtype, settings
from tf_helen.core.whole_state import note_slot

HISTORY = "history"


class SlotsByVariable:
    """Slots by variable, in a plain object, because Keras would track a list again."""

    def __init__(self) -> None:
        self.by_index: list[dict[str, keras.Variable]] = []


def make_slots(
    optimizer: keras.optimizers.Optimizer, variable: keras.Variable
) -> dict[str, keras.Variable]:
    """Creates the slots, row slots and row records of a rule for a variable."""
    dtype, shape = compute_dtype(variable), tuple(variable.shape)
    made = {
        name: add_slot(optimizer, variable, name, shape, dtype, initial)
        for name, initial in optimizer.rule.slots().items()
    }
    per_row = shape[:1] + (1,) * (len(shape) - 1)
    for name, initial in optimizer.rule.row_slots().items():
        made[name] = add_slot(optimizer, variable, name, per_row, dtype, initial)
    columns = optimizer.history_columns()
    if columns and shape:
        size = (shape[0], len(columns))
        made[HISTORY] = add_slot(optimizer, variable, HISTORY, size, "uint32", 0)
    return made


def add_slot(
    optimizer: keras.optimizers.Optimizer,
    variable: keras.Variable,
    name: str,
    shape: Sequence[int],
    dtype: str,
    initial: float,
    of_table: bool = False,
) -> keras.Variable:
    """Creates a slot, on the device of its variable and with its name.

    Args:
        optimizer: the optimizer of the slot.
        variable: the variable that is trained.
        name: string, name of the slot.
        shape: sequence of ints, one row per row of `variable`, or `()`.
        dtype: string, dtype of the slot.
        initial: float, initial value.
        of_table: boolean, whether only one of the shards of a table has the slot, which may then
            have any shape. Defaults to `False`.

    Returns:
        The slot.
    """
    strategy = keras_access.strategy_of(optimizer)
    with (
        strategy.extended.colocate_vars_with(variable.value),
        replicas.same_on_every_worker(strategy),
    ):
        slot = optimizer.add_variable(
            shape=shape,
            dtype=dtype,
            # Keras's Constant converts to float32, which rounds 0.1.
            initializer=lambda shape, dtype: tf.fill(shape, tf.constant(initial, dtype)),
            name=f"{variable.path.replace('/', '_')}_{name}",
        )
    if not of_table:
        note_slot(slot, variable, (id(optimizer), name))
    return slot


def fill(slot: keras.Variable, value: float, ids: tf.Tensor | None = None) -> None:
    """Sets all numbers of a slot, or of some of its rows, on every replica."""
    for copy in replicas.copies(slot):
        shape = copy.shape if ids is None else (len(ids), *copy.shape[1:])
        write_rows(copy, ids, tf.fill(shape, tf.constant(value, copy.dtype)))


def reset_slots(optimizer: Any, variable: keras.Variable, ids: tf.Tensor | None) -> None:
    """Sets the slots of a variable to their initial values, and its records to this step.

    Args:
        optimizer: a `RowSparseOptimizer`.
        variable: a variable that it trains.
        ids: int `[n]`, distinct row numbers; the records of these rows stay. `None`: all rows.
    """
    slots, rule = optimizer.slots_of(variable), optimizer.rule
    for name, initial in {**rule.slots(), **rule.row_slots()}.items():
        fill(slots[name], initial, ids)
    if HISTORY in slots and ids is None:
        begin_rows(optimizer, variable)


def begin_rows(optimizer: Any, variable: keras.Variable, ids: tf.Tensor | None = None) -> None:
    """Sets the records of rows that get new initial values: their absence begins now.

    Args:
        optimizer: a `RowSparseOptimizer` that keeps records.
        variable: a variable that it trains.
        ids: int `[n]`, distinct row numbers. Defaults to `None`: all rows.
    """
    done = optimizer.absent_rows.table_steps_done(variable)
    # A re-initialized row counts as one that has not occurred, if unseen rows do not decay.
    last_step = done if settings(optimizer.rule).get("decay_unseen", True) else 0
    for copy in replicas.copies(optimizer.slots_of(variable)[HISTORY]):
        history = RowHistory(optimizer.history_columns(), read_rows(copy, ids))
        new = history.replace(last_step=last_step, decayed_to=done, recent_count=0, last_touch=0)
        write_rows(copy, ids, new.record)


def restart_rows(optimizer: Any, variable: keras.Variable, ids: tf.Tensor) -> None:
    """Gives rows of a table the slots and records of rows that begin in the current step.

    Args:
        optimizer: a `RowSparseOptimizer`.
        variable: a table that it trains.
        ids: int `[n]`, distinct row numbers.
    """
    slots, rule = optimizer.slots_of(variable), optimizer.rule
    for name, initial in {**rule.slots(), **rule.row_slots()}.items():
        slot = replicas.local(slots[name])
        shape = tf.concat([tf.shape(ids), slot.shape[1:]], 0)
        write_rows(slot, ids, tf.fill(shape, tf.constant(initial, slot.dtype)))
    if HISTORY not in slots:
        return
    done = optimizer.absent_rows.table_passed(variable)
    last_step = done if settings(rule).get("decay_unseen", True) else tf.zeros_like(done)
    history = optimizer.stored_history(variable, ids)
    # An alpha of a single row belongs to the table: it stays.
    new = history.replace(
        last_step=last_step,
        decayed_to=done,
        count=0,
        recent_count=0,
        last_touch=0,
        step_count=0,
    )
    write_rows(replicas.local(slots[HISTORY]), ids, new.record)

"""Carries the state of a training into a model whose tables have other rows."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_helen.callbacks.state_files import SavedState
from tf_helen.callbacks.training_state import TrainingState, keys_by_name, whole_shape
from tf_helen.core import replicas, tables
from tf_helen.core.rows import write_rows
from tf_helen.core.table_group import TableGroup, joined
from tf_helen.core.whole_state import WholeVariable, trained_by_slot, whole_variables
from tf_helen.optimizers.foreign import driver_of
from tf_helen.optimizers.slots import HISTORY, begin_rows
from tf_helen.training import loss_scaling

_CHUNK_ROWS = 1 << 17
DROPPED = -1  # the place of a row that is not carried over


@dataclasses.dataclass(frozen=True)
class _Target:
    """A variable that receives a value.

    Attributes:
        name: string, name in a state.
        whole: `WholeVariable`.
        table: string, path of the table whose rows it has; `None`: it has none.
        group: `TableGroup` of that table, or `None`.
    """

    name: str
    whole: WholeVariable
    table: str | None = None
    group: TableGroup | None = None


@dataclasses.dataclass(frozen=True)
class _Source:
    """A value, in parts of a table whose row r is in part `r mod n`.

    Attributes:
        shape: tuple of ints, shape of the whole value.
        parts: functions that read a part.
    """

    shape: tuple[int, ...]
    parts: Sequence[Callable[[], np.ndarray]]


def carry_state(
    model: keras.Model,
    saved: SavedState,
    rows: Mapping[str, np.ndarray],
    kept: Sequence[keras.Variable] = (),
) -> None:
    """Sets a new model and its optimizer to a state of a model whose tables have other rows.

    The rows of tables, of slots and of row records are moved to their new places. Rows of the new
    tables without an earlier one keep their initial values; in the clock of optimizers with decay
    of absent rows, they begin now. Dense weights, their slots and the step counters are copied. The
    learning rates are those of the new optimizer. One table of the state is in memory at a time.

    Args:
        model: built, compiled Keras model that was not trained.
        saved: `SavedState` of a model with the same layers and the same optimizer.
        rows: dict from the path of a table to int64 `[rows of the earlier table]`, the new row of
            each earlier row; -1: the row is dropped.
        kept: variables of the optimizer that keep their values. Defaults to `()`.

    Raises:
        ValueError: if the state belongs to another model or optimizer; then nothing is changed.
    """
    shapes, apart = saved.shapes(), {id(variable) for variable in kept}
    reader = saved.reader
    found = {
        name: _Source(
            whole_shape(shapes, keys),
            [functools.partial(reader.get_tensor, key) for key in keys],
        )
        for name, keys in keys_by_name(shapes).items()
        if name.startswith(("model_", "optimizer_"))
    }
    targets = [*_targets("model", model.variables), *_targets("optimizer", _optimizer(model))]
    names = {target.name for target in targets}
    for name in sorted(names ^ found.keys()):
        there = saved.path if name in found else "the new model or optimizer"
        raise ValueError(f"only {there} has {name}; use the same model and optimizer")
    for target in targets:
        _check(target, found[target.name], rows, saved.path)
    for target in targets:
        parts = target.whole.parts
        if not _is_rate(target.name) and not any(id(part) in apart for part in parts):
            _move(target, found[target.name], rows)
    _begin(model, rows)


def load_state(model: keras.Model, saved: SavedState, kept: Sequence[keras.Variable] = ()) -> None:
    """Sets a new model and its optimizer to a state of a model whose tables have the same ids.

    Capacities of `tf_helen.layers.DynamicEmbedding` may be others. The learning rates are those of
    the new optimizer.

    Args:
        model: built, compiled Keras model that was not trained.
        saved: `SavedState` of a model with the same layers and the same optimizer.
        kept: variables of the optimizer that keep their values. Defaults to `()`.

    Raises:
        ValueError: if the state belongs to another model or optimizer; then nothing is changed.
    """
    apart = [variable for variable in _optimizer(model) if _is_rate(f"optimizer_{variable.path}")]
    values = [(variable, variable.numpy()) for variable in (*apart, *kept)]
    TrainingState(model).load(saved)
    for variable, value in values:
        variable.assign(value)


def carry_weights(model: keras.Model, earlier: keras.Model, rows: Mapping[str, np.ndarray]) -> None:
    """Sets the weights of a new model to those of a model whose tables have other rows.

    Args:
        model: built Keras model that was not trained.
        earlier: Keras model with the same layers.
        rows: dict from the path of a table of `model` to int64 `[rows of the earlier table]`, the
            new row of each earlier row; -1: the row is dropped.

    Raises:
        ValueError: if the models do not have the same weights; then nothing is changed.
    """
    targets = list(_targets("model", model.variables))
    values = whole_variables(earlier.variables)
    if len(values) != len(targets):
        raise ValueError(
            f"{earlier.name} has {len(values)} weights, {model.name} has {len(targets)}; use the "
            "same model"
        )
    sources = [_Source(value.shape, [value.numpy]) for value in values]
    for target, source in zip(targets, sources, strict=True):
        _check(target, source, rows, earlier.name)
    for target, source in zip(targets, sources, strict=True):
        _move(target, source, rows)


def _optimizer(model: Any) -> list[keras.Variable]:
    if not model.optimizer.built:
        with model.distribute_strategy.scope():
            model.optimizer.build(model.trainable_variables)
    return model.optimizer.variables


def _targets(kind: str, variables: Sequence[keras.Variable]) -> Iterator[_Target]:
    for place, whole in enumerate(whole_variables(variables)):
        name = f"{kind}_{place:04d}_{whole.path}"
        trained = trained_by_slot(whole.parts[0])
        table = tables.of(trained)
        if table is None or whole.shape[:1] != (table.group.rows,):
            yield _Target(name, whole)
        else:
            yield _Target(name, whole, trained.path, table.group)


def _is_rate(name: str) -> bool:
    return name.startswith("optimizer_") and name.endswith("rate")


def _check(target: _Target, source: _Source, rows: Mapping[str, np.ndarray], where: str) -> None:
    wanted = target.whole.shape
    if target.table is not None and target.table in rows:
        wanted = (len(rows[target.table]), *wanted[1:])
    if source.shape != wanted:
        raise ValueError(
            f"{where} has {target.name} of shape {source.shape}, expected {wanted}; use the same "
            "model, with the same arguments"
        )


def _move(target: _Target, source: _Source, rows: Mapping[str, np.ndarray]) -> None:
    if target.table is None or target.table not in rows or target.group is None:
        target.whole.assign(joined([part() for part in source.parts]))
        return
    shards = target.group.shards
    for rank, read in enumerate(source.parts):
        values = read()  # the only part in memory
        places = rows[target.table][rank :: len(source.parts)]
        for i, part in enumerate(target.whole.parts):
            mine = np.flatnonzero((places >= 0) & (places % shards == i))
            for start in range(0, len(mine), _CHUNK_ROWS):
                chosen = mine[start : start + _CHUNK_ROWS]
                ids, moved = tf.constant(places[chosen] // shards), values[chosen]
                for copy in replicas.copies(part):
                    write_rows(copy, ids, moved)


def _begin(model: Any, rows: Mapping[str, np.ndarray]) -> None:
    """Sets the records of rows that were not carried over, and marks the decay as pending."""
    driver = driver_of(loss_scaling.unwrap(model.optimizer))
    for variable in model.trainable_variables:
        table = tables.of(variable)
        if table is None or variable.path not in rows:
            continue
        owner = driver.record_owner(variable)
        if owner is not None and HISTORY in owner.slots_of(variable):
            is_new = np.ones(table.group.rows, bool)
            places = rows[variable.path]
            is_new[places[places >= 0]] = False
            fresh = np.flatnonzero(table.group.part(is_new, table.rank))
            for start in range(0, len(fresh), _CHUNK_ROWS):
                begin_rows(owner, variable, tf.constant(fresh[start : start + _CHUNK_ROWS]))
        table.restored()

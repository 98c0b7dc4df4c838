"""The step of an optimizer on one variable, which writes rows and slots."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from tf_helen import keras_access
from tf_helen.core import replicas, tables
from tf_helen.core.history import RowHistory
from tf_helen.core.rows import RowBlock, change_rows, densify, per_row, read_rows, write_rows
from tf_helen.core.rule import Step
from tf_helen.optimizers.slots import HISTORY


def prepared(
    optimizer: Any, blocks: Sequence[RowBlock], variables: Sequence[keras.Variable]
) -> list[RowBlock]:
    """Applies the `prepare` of an optimizer's rule to the blocks of tables."""
    if not optimizer.rule.prepares:
        return list(blocks)
    changed = []
    for block, variable in zip(blocks, variables, strict=True):
        if block.is_sparse:
            rows = optimizer.rows_as_read(variable, block.ids)
            block = block.with_values(optimizer.rule.prepare(rows, block.values, block.counts))
        changed.append(block)
    return changed


def update_variable(optimizer: Any, block: RowBlock, variable: keras.Variable) -> None:
    """Performs the step of an optimizer on one variable.

    Args:
        optimizer: `RowSparseOptimizer`.
        block: `RowBlock`, gradient of the variable with duplicates summed, and clipped.
        variable: Keras variable.
    """
    with replicas.at_owner(replicas.local(variable)):
        _update(optimizer, block, variable)


def _update(optimizer: Any, block: RowBlock, variable: keras.Variable) -> None:
    is_table = _is_table(optimizer, block, variable)
    is_embedding = block.is_sparse or tables.of(variable) is not None
    if optimizer.moments == "dense":
        block = densify(block, tf.TensorShape(variable.shape))
    rule, coupled = optimizer.step_rule, optimizer.coupled_weight_decay
    absent = optimizer.absent_rows
    target = replicas.local(variable)
    slot_variables = {n: replicas.local(v) for n, v in optimizer.slots_of(variable).items()}
    slots = {name: read_rows(slot, block.ids) for name, slot in slot_variables.items()}
    record, dtype = slots.pop(HISTORY, None), block.values.dtype
    slots_before = dict(slots)
    curvature = block.curvature
    if curvature is not None and coupled:
        curvature = curvature + coupled
    step = Step(
        number=optimizer.step_number(),
        table_step=absent.table_step(variable),
        learning_rate=tf.cast(optimizer.current_rate(is_embedding), dtype),
        raw_gradient=block.values,
        is_table=is_table,
        path=variable.path,
        history=None if record is None else RowHistory(optimizer.history_columns(), record),
        curvature=curvature,
        counts=block.counts,
    )
    rows_before = read_rows(target, block.ids)
    rows = tf.cast(rows_before, dtype)
    if is_table:
        absent.check_alphas(variable)
        settled = rule.settle(rows, step.history, step.table_step, absent.found_alpha)
        if not (absent.continuous or block.is_sparse):
            settled = tf.where(per_row(step.touched(), rows), settled, rows)
        rows = settled
    gradient = block.values + coupled * rows if coupled else block.values
    if optimizer.weight_decay is not None and keras_access.decays(optimizer, variable):
        strength = tf.convert_to_tensor(rule.decay_strength(optimizer.weight_decay, step), dtype)
        strength = per_row(strength, rows) if strength.shape.rank else strength
        rows = rows * (1 - step.learning_rate * strength)
    rows, slots = rule.update(rows, gradient, slots, step)
    if variable.constraint is not None:
        rows = variable.constraint(rows)
    rows = tables.rounded(variable, rows, step.number)
    change_rows(target, block.ids, rows_before, rows)
    for name, value in slots.items():
        change_rows(slot_variables[name], block.ids, slots_before[name], value)
    if is_table and step.history is not None:
        record = rule.records_after(step, block.counts).record
        write_rows(slot_variables[HISTORY], block.ids, record)


def _is_table(optimizer: Any, block: RowBlock, variable: keras.Variable) -> bool:
    """Returns whether rows without a gradient count as absent.

    For rules that decay absent rows, this includes rows with a zero gradient in tables with a dense
    gradient (due to a regularizer), and in matrices with `moments="dense"`.
    """
    if not optimizer.rule.decays_absent_rows or block.is_sparse:
        return block.is_sparse
    literal = optimizer.moments == "dense" and len(variable.shape) > 1
    return len(variable.shape) > 0 and (literal or tables.of(variable) is not None)

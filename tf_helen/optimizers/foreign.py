"""An adapter that gives optimizers of Keras the methods of `RowSparseOptimizer`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from typing import Any

import keras
import tensorflow as tf

from tf_helen.core import replicas, row_reuse, tables
from tf_helen.core.rows import RowBlock, as_block, read_rows
from tf_helen.core.rule import compute_dtype
from tf_helen.optimizers.passes import gradients_of, summed_blocks
from tf_helen.optimizers.row_sparse import RowSparseOptimizer


class ForeignOptimizer:
    """An optimizer of Keras with the methods of `RowSparseOptimizer` that wrappers use.

    It has no row records and no decay of absent rows, and needs one gradient per step. Duplicates
    are summed before the optimizer applies gradients.

    Args:
        optimizer: optimizer of Keras.
    """

    needs = None
    needs_time = False

    def __init__(self, optimizer: keras.optimizers.Optimizer):
        self.optimizer = optimizer

    # State.

    @property
    def built(self) -> bool:
        return self.optimizer.built

    def build(self, variables: Sequence[keras.Variable]) -> None:
        """Builds the optimizer, outside of a step that is traced.

        Keras would build it in the step. What an optimizer assigns to its variables in `build`, as
        `keras.optimizers.ScheduleFreeAdamW` does, would then be part of every step.
        """
        self.attach(variables)
        if self.built:
            return
        is_alone = replicas.count() == 1
        with tf.init_scope():
            # Weights that are created in the step have no values before it runs.
            copies = [copy for variable in variables for copy in replicas.copies(variable)]
            is_outside = is_alone and all(copy.is_initialized() for copy in copies)
            if is_outside:
                self.optimizer.build(list(variables))
        if not is_outside:
            self.optimizer.build(list(variables))

    def attach(self, variables: Sequence[keras.Variable]) -> None:
        row_reuse.refuse(self.optimizer, variables)
        for variable in variables:
            tables.release(variable)

    def let_go(self, variables: Iterable[keras.Variable]) -> None:
        """Does nothing."""

    def reset_slots(self, variable: keras.Variable, ids: tf.Tensor | None = None) -> None:
        raise TypeError(
            f"{type(self.optimizer).__name__} of Keras cannot reset the slots of one table. Use an "
            "optimizer of tf_helen, such as `tf_helen.Adam()`."
        )

    def wrap_rule(self, kind: type, **settings: Any) -> None:
        raise ValueError(
            f"{type(self.optimizer).__name__} of Keras has no rule that {kind.__name__} could "
            "change. Use an optimizer of tf_helen, such as `tf_helen.Adam()`, or wrap only those."
        )

    # Rows.

    def ask_history(self, *names: str) -> None:
        """Does nothing."""

    def record_owner(self, variable: keras.Variable) -> None:
        return None

    def rows_as_read(self, variable: keras.Variable, ids: tf.Tensor | None) -> tf.Tensor:
        return tf.cast(read_rows(replicas.local(variable), ids), compute_dtype(variable))

    def bring_up_to_date(self, block: RowBlock, variable: keras.Variable) -> list:
        return []

    def finalize_variable_values(self, var_list: Sequence[keras.Variable]) -> None:
        # The optimizer accepts only the variables that it was built with.
        self.optimizer.finalize_variable_values(var_list)

    # Epochs.

    def begin_epoch(self) -> None:
        """Does nothing."""

    def end_epoch(self) -> None:
        """Does nothing."""

    def epoch_state(self) -> list[int]:
        return []

    def set_epoch_state(self, state: list[int]) -> None:
        """Does nothing."""

    def advance_clock(self, time: tf.Tensor) -> None:
        """Does nothing."""

    # Step.

    def multi_pass(self):
        return contextlib.nullcontext()

    def compute_gradients(self, closure, variables, loss_scale=None, pass_state=()):
        return gradients_of(closure, variables, loss_scale)

    def blocks_of(self, gradients: Sequence, variables: Sequence[keras.Variable]) -> list[RowBlock]:
        return summed_blocks(gradients, variables)

    def plain_gradient(self, gradient, variable):
        return gradient

    def with_gradient(self, gradient, plain, variable):
        return plain

    def apply(self, gradients: Sequence, variables: Sequence[keras.Variable]) -> None:
        """Applies gradients whose slices may have duplicates.

        Raises:
            ValueError: for sparse gradients under several replicas.
        """
        if any(isinstance(gradient, tf.IndexedSlices) for gradient in gradients):
            self._refuse_replicas()
        pairs = zip(gradients, variables, strict=True)
        self.optimizer.apply([_summed(gradient, v) for gradient, v in pairs], variables)

    def apply_blocks(self, blocks: Sequence[RowBlock], variables: Sequence[keras.Variable]) -> None:
        self._refuse_replicas()
        pairs = zip(blocks, variables, strict=True)
        self.optimizer.apply([as_gradient(block, v) for block, v in pairs], variables)

    def _refuse_replicas(self) -> None:
        if replicas.count() > 1:
            raise ValueError(
                f"{type(self.optimizer).__name__} does not combine duplicate ids correctly across "
                "replicas. Use an optimizer of tf_helen for embedding tables."
            )


def driver_of(optimizer: keras.optimizers.Optimizer) -> RowSparseOptimizer | ForeignOptimizer:
    """Returns an optimizer of tf_helen itself, or the adapter of another one."""
    return optimizer if isinstance(optimizer, RowSparseOptimizer) else ForeignOptimizer(optimizer)


def as_gradient(block: RowBlock, variable: keras.Variable) -> tf.Tensor | tf.IndexedSlices:
    """Returns a block as a gradient without duplicates, in the dtype of the variable."""
    values = tf.cast(block.values, variable.dtype)
    if not block.is_sparse:
        return values
    return tf.IndexedSlices(values, block.ids, tf.constant(tuple(variable.shape)))


def _summed(gradient, variable):
    # Optimizers of Keras treat duplicates as different rows.
    if not isinstance(gradient, tf.IndexedSlices):
        return gradient
    return as_gradient(as_block(gradient), variable)

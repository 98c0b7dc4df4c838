"""The base of optimizers that leave the update of weights to others."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Sequence

import keras
import tensorflow as tf

from tf_helen import keras_access
from tf_helen.core import replicas, tables
from tf_helen.core.rows import RowBlock, as_block
from tf_helen.core.rule import Rule
from tf_helen.optimizers.passes import summed_blocks
from tf_helen.optimizers.row_sparse import RowSparseOptimizer
from tf_helen.optimizers.update import prepared


class DelegatingOptimizer(RowSparseOptimizer):
    """An optimizer whose weights are updated by other optimizers, which it holds.

    Args:
        inner: those optimizers, of tf_helen or of Keras; the first optimizer's steps are the steps.
        name: the optimizer's name.
        rule: a rule whose `prepare` changes the gradients before the held optimizers apply them.
    """

    owns_rows = False

    def __init__(
        self,
        inner: Sequence[keras.optimizers.Optimizer],
        *,
        name: str,
        rule: Rule | None = None,
    ):
        super().__init__(0.0, rule=rule or Rule(), name=name)
        self._inner = list(inner)

    def optimizer_of(self, variable: keras.Variable) -> keras.optimizers.Optimizer:
        """Which of the held optimizers updates a variable."""
        return self._inner[0]

    def _row_sparse(self) -> list[RowSparseOptimizer]:
        return [optimizer for optimizer in self._inner if isinstance(optimizer, RowSparseOptimizer)]

    def ask_history(self, *names):
        for optimizer in self._row_sparse():
            optimizer.ask_history(*names)

    def build(self, variables):
        if self.built:
            return
        variables = list(variables)
        super().build(variables)
        shares = {id(optimizer): [] for optimizer in self._inner}
        for variable in variables:
            optimizer = self.optimizer_of(variable)
            shares[id(optimizer)].append(variable)
            if not isinstance(optimizer, RowSparseOptimizer):
                tables.release(variable)
        for optimizer in self._inner:
            if not optimizer.built:
                optimizer.build(shares[id(optimizer)])

    def attach(self, variables):
        for optimizer in self._inner:
            share = [v for v in variables if self.optimizer_of(v) is optimizer]
            if isinstance(optimizer, RowSparseOptimizer):
                optimizer.attach(share)
            else:
                for variable in share:
                    tables.release(variable)

    def let_go(self, variables):
        variables = list(variables)
        for optimizer in self._row_sparse():
            optimizer.let_go(variables)

    def record_owner(self, variable):
        optimizer = self.optimizer_of(variable)
        if isinstance(optimizer, RowSparseOptimizer):
            return optimizer.record_owner(variable)
        return None

    def rows_as_read(self, variable, ids):
        optimizer = self.optimizer_of(variable)
        if isinstance(optimizer, RowSparseOptimizer):
            return optimizer.rows_as_read(variable, ids)
        return super().rows_as_read(variable, ids)

    def bring_up_to_date(self, block, variable):
        optimizer = self.optimizer_of(variable)
        if isinstance(optimizer, RowSparseOptimizer):
            return optimizer.bring_up_to_date(block, variable)
        return []

    def reset_slots(self, variable):
        optimizer = self.optimizer_of(variable)
        if not isinstance(optimizer, RowSparseOptimizer):
            raise TypeError(
                f"{type(optimizer).__name__} of Keras cannot reset the slots of one table."
            )
        optimizer.reset_slots(variable)

    @contextlib.contextmanager
    def multi_pass(self):
        with contextlib.ExitStack() as stack:
            stack.enter_context(super().multi_pass())
            for optimizer in self._row_sparse():
                stack.enter_context(optimizer.multi_pass())
            yield

    @property
    def variables(self):
        held = [variable for optimizer in self._inner for variable in optimizer.variables]
        return keras_access.own_variables(self) + held

    @property
    def iterations(self):
        return self._inner[0].iterations

    @property
    def learning_rate(self):
        return self._inner[0].learning_rate

    @learning_rate.setter
    def learning_rate(self, learning_rate):
        self._inner[0].learning_rate = learning_rate

    @property
    def embedding_learning_rate(self):
        return self._first_row_sparse().embedding_learning_rate

    @embedding_learning_rate.setter
    def embedding_learning_rate(self, rate):
        self._first_row_sparse().embedding_learning_rate = rate

    def _first_row_sparse(self) -> RowSparseOptimizer:
        if not self._row_sparse():
            raise TypeError(
                f"{type(self._inner[0]).__name__} of Keras has one learning rate for all "
                "weights. Use an optimizer of tf_helen for an `embedding_learning_rate`."
            )
        return self._row_sparse()[0]

    def begin_epoch(self):
        for optimizer in self._row_sparse():
            optimizer.begin_epoch()

    def end_epoch(self):
        for optimizer in self._row_sparse():
            optimizer.end_epoch()

    def epoch_state(self):
        return [value for optimizer in self._row_sparse() for value in optimizer.epoch_state()]

    def set_epoch_state(self, state):
        for optimizer in self._row_sparse():
            count = len(optimizer.epoch_state())
            optimizer.set_epoch_state(state[:count])
            state = state[count:]

    def scale_loss(self, loss):
        return self._inner[0].scale_loss(loss)

    def finalize_variable_values(self, var_list):
        for optimizer in self._inner:
            # Keras's optimizers take only the variables that they were built with.
            share = [v for v in var_list if self.optimizer_of(v) is optimizer]
            optimizer.finalize_variable_values(share)

    def exclude_from_weight_decay(self, var_list=None, var_names=None):
        for optimizer in self._inner:
            optimizer.exclude_from_weight_decay(var_list, var_names)

    # A step: each of the held optimizers takes its own, on its share of the variables.

    def compute_gradients(self, closure, variables, loss_scale=None, pass_state=()):
        needy = [optimizer for optimizer in self._row_sparse() if optimizer.needs]
        compute = needy[0].compute_gradients if needy else super().compute_gradients
        return compute(closure, variables, loss_scale, pass_state)

    @property
    def needs(self):
        return next((optimizer.needs for optimizer in self._row_sparse() if optimizer.needs), None)

    def _shares(self, values: Sequence, variables: Sequence[keras.Variable]):
        """Yields (optimizer, positions, its values, its variables)."""
        for optimizer in self._inner:
            mine = [i for i, v in enumerate(variables) if self.optimizer_of(v) is optimizer]
            if mine:
                yield optimizer, mine, [values[i] for i in mine], [variables[i] for i in mine]

    def apply(self, grads, trainable_variables=None):
        grads = list(grads)
        if not grads:
            return
        self.check_trainer()
        variables = self._known_variables(grads, trainable_variables)
        self.before_base(grads, variables)
        for optimizer, _, gradients, theirs in self._shares(grads, variables):
            if any(gradient is not None for gradient in gradients):
                apply_by(optimizer, gradients, theirs)

    def before_base(self, grads, variables) -> None:
        """Hook: what else a step changes, skipped together with it."""

    def blocks_of(self, gradients, variables):
        blocks = [None] * len(variables)
        for optimizer, positions, share, theirs in self._shares(gradients, variables):
            is_row_sparse = isinstance(optimizer, RowSparseOptimizer)
            sum_up = optimizer.blocks_of if is_row_sparse else summed_blocks
            made = sum_up(share, theirs)
            for i, block in zip(positions, made, strict=True):
                blocks[i] = block
        return blocks

    def plain_gradient(self, gradient, variable):
        optimizer = self.optimizer_of(variable)
        if isinstance(optimizer, RowSparseOptimizer):
            return optimizer.plain_gradient(gradient, variable)
        return gradient

    def with_gradient(self, gradient, plain, variable):
        optimizer = self.optimizer_of(variable)
        if isinstance(optimizer, RowSparseOptimizer):
            return optimizer.with_gradient(gradient, plain, variable)
        return plain

    def apply_blocks(self, blocks, variables):
        blocks = prepared(self, blocks, variables)
        for optimizer, _, share, theirs in self._shares(blocks, variables):
            if isinstance(optimizer, RowSparseOptimizer):
                optimizer.apply_blocks(share, theirs)
            else:
                _refuse_replicas(optimizer)
                pairs = zip(share, theirs, strict=True)
                optimizer.apply([as_gradient(block, v) for block, v in pairs], theirs)

    # Keras stores the held optimizers beside this one, so `variables` would be stored twice.

    def save_own_variables(self, store):
        self._settle_known_tables()
        for i, variable in enumerate(keras_access.own_variables(self)):
            store[str(i)] = variable.numpy()

    def load_own_variables(self, store):
        own = keras_access.own_variables(self)
        if len(store.keys()) != len(own):
            # As Keras does: files of weights hold the optimizer as it was, built or not.
            warnings.warn(
                f"Skipping the state of {self.name!r}: it has {len(own)} variables, "
                f"the file {len(store.keys())}.",
                stacklevel=2,
            )
            return
        for i, variable in enumerate(own):
            variable.assign(store[str(i)])


def apply_by(
    optimizer: keras.optimizers.Optimizer, gradients: Sequence, variables: Sequence
) -> None:
    """Has an optimizer, of tf_helen or of Keras, apply gradients whose slices may hold duplicates.

    Raises:
        ValueError: for an optimizer of Keras and looked-up tables under several replicas.
    """
    if isinstance(optimizer, RowSparseOptimizer):
        optimizer.apply(gradients, variables)
        return
    if any(isinstance(gradient, tf.IndexedSlices) for gradient in gradients):
        _refuse_replicas(optimizer)
    # Keras's own optimizers take repeated ids for different rows.
    pairs = zip(gradients, variables, strict=True)
    optimizer.apply([_summed(gradient, variable) for gradient, variable in pairs], variables)


def _summed(gradient, variable):
    if not isinstance(gradient, tf.IndexedSlices):
        return gradient
    return as_gradient(as_block(gradient), variable)


def as_gradient(block: RowBlock, variable: keras.Variable) -> tf.Tensor | tf.IndexedSlices:
    """A block as a gradient without duplicates, in the variable's dtype."""
    values = tf.cast(block.values, variable.dtype)
    if not block.is_sparse:
        return values
    return tf.IndexedSlices(values, block.ids, tf.constant(tuple(variable.shape)))


def _refuse_replicas(optimizer: keras.optimizers.Optimizer) -> None:
    if replicas.count() > 1:
        raise ValueError(
            f"{type(optimizer).__name__} does not combine duplicate ids correctly across replicas. "
            "Use an optimizer of tf_helen for embedding tables."
        )

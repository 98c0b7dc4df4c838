"""The base of optimizers that leave the update of weights to others."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Sequence

import keras
import tensorflow as tf

from tf_helen.core import replicas, tables
from tf_helen.core.rows import RowBlock, as_block
from tf_helen.core.rule import Rule
from tf_helen.optimizers.passes import summed_blocks
from tf_helen.optimizers.row_sparse import RowSparseOptimizer
from tf_helen.optimizers.update import prepared


class DelegatingOptimizer(RowSparseOptimizer):
    """An optimizer whose weights are updated by other optimizers, which it holds.

    Args:
        inner: those optimizers, ours or Keras's; the first one's steps are the steps.
        name: the optimizer's name.
        rule: a rule whose `prepare` changes gradients on their way to the held optimizers.
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

    def _ours(self) -> list[RowSparseOptimizer]:
        return [one for one in self._inner if isinstance(one, RowSparseOptimizer)]

    def ask_history(self, *names):
        for one in self._ours():
            one.ask_history(*names)

    def build(self, variables):
        if self.built:
            return
        variables = list(variables)
        super().build(variables)
        shares = {id(one): [] for one in self._inner}
        for variable in variables:
            one = self.optimizer_of(variable)
            shares[id(one)].append(variable)
            if not isinstance(one, RowSparseOptimizer):
                tables.release(variable)
        for one in self._inner:
            if not one.built:
                one.build(shares[id(one)])

    def attach(self, variables):
        for one in self._inner:
            share = [v for v in variables if self.optimizer_of(v) is one]
            if isinstance(one, RowSparseOptimizer):
                one.attach(share)
            else:
                for variable in share:
                    tables.release(variable)

    def let_go(self, variables):
        variables = list(variables)
        for one in self._ours():
            one.let_go(variables)

    def history_keeper(self, variable):
        one = self.optimizer_of(variable)
        return one.history_keeper(variable) if isinstance(one, RowSparseOptimizer) else None

    def rows_as_read(self, variable, ids):
        one = self.optimizer_of(variable)
        if isinstance(one, RowSparseOptimizer):
            return one.rows_as_read(variable, ids)
        return super().rows_as_read(variable, ids)

    def bring_up_to_date(self, block, variable):
        one = self.optimizer_of(variable)
        return one.bring_up_to_date(block, variable) if isinstance(one, RowSparseOptimizer) else []

    def reset_slots(self, variable):
        one = self.optimizer_of(variable)
        if not isinstance(one, RowSparseOptimizer):
            raise TypeError(f"{type(one).__name__} of Keras cannot forget the slots of one table.")
        one.reset_slots(variable)

    @contextlib.contextmanager
    def seam(self):
        with contextlib.ExitStack() as stack:
            stack.enter_context(super().seam())
            for one in self._ours():
                stack.enter_context(one.seam())
            yield

    @property
    def variables(self):
        return self._variables + [v for one in self._inner for v in one.variables]

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
        return self._first_of_ours().embedding_learning_rate

    @embedding_learning_rate.setter
    def embedding_learning_rate(self, rate):
        self._first_of_ours().embedding_learning_rate = rate

    def _first_of_ours(self) -> RowSparseOptimizer:
        if not self._ours():
            raise TypeError(
                f"{type(self._inner[0]).__name__} of Keras has one learning rate for all weights. "
                "Use an optimizer of tf_helen for an `embedding_learning_rate`."
            )
        return self._ours()[0]

    def begin_epoch(self):
        for one in self._ours():
            one.begin_epoch()

    def end_epoch(self):
        for one in self._ours():
            one.end_epoch()

    def epoch_state(self):
        return [value for one in self._ours() for value in one.epoch_state()]

    def set_epoch_state(self, state):
        for one in self._ours():
            count = len(one.epoch_state())
            one.set_epoch_state(state[:count])
            state = state[count:]

    def scale_loss(self, loss):
        return self._inner[0].scale_loss(loss)

    def finalize_variable_values(self, var_list):
        for one in self._inner:
            # Keras's take the variables that they were built with, and no others.
            one.finalize_variable_values([v for v in var_list if self.optimizer_of(v) is one])

    def exclude_from_weight_decay(self, var_list=None, var_names=None):
        for one in self._inner:
            one.exclude_from_weight_decay(var_list, var_names)

    # A step: each of the held optimizers takes its own, on its share of the variables.

    def compute_gradients(self, closure, variables, loss_scale=None, pass_state=()):
        needy = [one for one in self._ours() if one.needs]
        compute = needy[0].compute_gradients if needy else super().compute_gradients
        return compute(closure, variables, loss_scale, pass_state)

    @property
    def needs(self):
        return next((one.needs for one in self._ours() if one.needs), "")

    def _shares(self, values: Sequence, variables: Sequence[keras.Variable]):
        """Yields (optimizer, positions, its values, its variables)."""
        for one in self._inner:
            mine = [i for i, v in enumerate(variables) if self.optimizer_of(v) is one]
            if mine:
                yield one, mine, [values[i] for i in mine], [variables[i] for i in mine]

    def apply(self, grads, trainable_variables=None):
        grads = list(grads)
        if not grads:
            return
        self.check_seam()
        variables = self._known_variables(grads, trainable_variables)
        self.before_base(grads, variables)
        for one, _, gradients, theirs in self._shares(grads, variables):
            if any(gradient is not None for gradient in gradients):
                apply_by(one, gradients, theirs)

    def before_base(self, grads, variables) -> None:
        """Hook: what else a step changes, skipped together with it."""

    def blocks_of(self, gradients, variables):
        blocks = [None] * len(variables)
        for one, positions, share, theirs in self._shares(gradients, variables):
            ours = isinstance(one, RowSparseOptimizer)
            made = one.blocks_of(share, theirs) if ours else summed_blocks(share, theirs)
            for i, block in zip(positions, made, strict=True):
                blocks[i] = block
        return blocks

    def apply_blocks(self, blocks, variables):
        blocks = prepared(self, blocks, variables)
        for one, _, share, theirs in self._shares(blocks, variables):
            if isinstance(one, RowSparseOptimizer):
                one.apply_blocks(share, theirs)
            else:
                _refuse_replicas(one)
                one.apply([as_gradient(b, v) for b, v in zip(share, theirs, strict=True)], theirs)

    # Keras stores the held optimizers beside this one, so `variables` would be stored twice.

    def save_own_variables(self, store):
        self._settle_our_tables()
        for i, variable in enumerate(self._variables):
            store[str(i)] = variable.numpy()

    def load_own_variables(self, store):
        if len(store.keys()) != len(self._variables):
            # As Keras does: files of weights hold the optimizer as it was, built or not.
            warnings.warn(
                f"Skipping the state of {self.name!r}: it has {len(self._variables)} variables, "
                f"the file {len(store.keys())}.",
                stacklevel=2,
            )
            return
        for i, variable in enumerate(self._variables):
            variable.assign(store[str(i)])


def apply_by(
    optimizer: keras.optimizers.Optimizer, gradients: Sequence, variables: Sequence
) -> None:
    """Has an optimizer, ours or Keras's, apply gradients whose slices may hold duplicates.

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
            f"{type(optimizer).__name__} adds repeated ids wrongly over replicas. Use an optimizer "
            "of tf_helen for embedding tables."
        )

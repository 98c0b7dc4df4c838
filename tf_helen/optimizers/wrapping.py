"""The base of optimizers that leave the update of weights to others."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from tf_helen import replicas, tables
from tf_helen.optimizers import registry
from tf_helen.optimizers.row_sparse import RowSparseOptimizer
from tf_helen.rows import RowBlock, as_block


class DelegatingOptimizer(RowSparseOptimizer):
    """An optimizer whose weights are updated by other optimizers, which it holds.

    Args:
        inner: those optimizers, ours or Keras's; the first one's steps are the steps.
        name: the optimizer's name.
    """

    owns_rows = False

    def __init__(self, inner: Sequence[keras.optimizers.Optimizer], *, name: str):
        super().__init__(learning_rate=0.0, name=name)
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
        return self._inner[0].embedding_learning_rate

    @embedding_learning_rate.setter
    def embedding_learning_rate(self, rate):
        self._inner[0].embedding_learning_rate = rate

    def scale_loss(self, loss):
        return self._inner[0].scale_loss(loss)

    def finalize_variable_values(self, var_list):
        for one in self._inner:
            one.finalize_variable_values(var_list)

    def exclude_from_weight_decay(self, var_list=None, var_names=None):
        for one in self._inner:
            one.exclude_from_weight_decay(var_list, var_names)

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


class WrappingOptimizer(DelegatingOptimizer):
    """An optimizer around one base optimizer.

    Args:
        learning_rate: the base optimizer's, when that is given by name; `None`: its own default.
        base_optimizer: a name or an optimizer, ours or Keras's.
        name: the optimizer's name.
        **kwargs: passed to the base optimizer when it is given by name.

    Raises:
        ValueError: as `tf_helen.optimizers.get`.
    """

    def __init__(self, learning_rate: Any, base_optimizer: Any, *, name: str, **kwargs: Any):
        base = registry.get(base_optimizer, learning_rate, **kwargs)
        super().__init__([base], name=name)
        self.base_optimizer = base

    def get_config(self):
        return {
            "name": self.name,
            "base_optimizer": keras.saving.serialize_keras_object(self.base_optimizer),
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        config = dict(config)
        if isinstance(config.get("base_optimizer"), dict):
            config["base_optimizer"] = keras.saving.deserialize_keras_object(
                config["base_optimizer"], custom_objects=custom_objects
            )
        return cls(**config)


def apply_by(
    optimizer: keras.optimizers.Optimizer, gradients: Sequence, variables: Sequence | None
) -> None:
    """Has an optimizer, ours or Keras's, apply gradients whose slices may hold duplicates.

    Raises:
        ValueError: for an optimizer of Keras and looked-up tables under several replicas.
    """
    if isinstance(optimizer, RowSparseOptimizer):
        optimizer.apply(gradients, variables)
        return
    sparse = any(isinstance(gradient, tf.IndexedSlices) for gradient in gradients)
    if sparse and replicas.count() > 1:
        raise ValueError(
            f"{type(optimizer).__name__} adds repeated ids wrongly over replicas. Use an optimizer "
            "of tf_helen for embedding tables."
        )
    # Keras's own optimizers take repeated ids for different rows.
    optimizer.apply([_summed(gradient) for gradient in gradients], variables)


def _summed(gradient):
    if not isinstance(gradient, tf.IndexedSlices):
        return gradient
    return as_slices(as_block(gradient), gradient.dense_shape)


def as_slices(block: RowBlock, dense_shape: tf.Tensor) -> tf.Tensor | tf.IndexedSlices:
    """A block as a gradient without duplicates."""
    if not block.is_sparse:
        return block.values
    return tf.IndexedSlices(block.values, block.ids, dense_shape)

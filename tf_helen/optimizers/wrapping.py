"""The base of optimizers that wrap another one."""

from __future__ import annotations

import warnings
from typing import Any

import keras

from tf_helen import tables
from tf_helen.optimizers import registry
from tf_helen.optimizers.row_sparse import RowSparseOptimizer


class WrappingOptimizer(RowSparseOptimizer):
    """An optimizer that leaves the update of weights to a base optimizer.

    Args:
        learning_rate: the base optimizer's, when that is given by name; `None`: its own default.
        base_optimizer: a name or an optimizer, ours or Keras's.
        name: the optimizer's name.
        **kwargs: passed to the base optimizer when it is given by name.

    Raises:
        ValueError: as `tf_helen.optimizers.get`.
    """

    owns_rows = False

    def __init__(self, learning_rate: Any, base_optimizer: Any, *, name: str, **kwargs: Any):
        base = registry.get(base_optimizer, learning_rate, **kwargs)
        if isinstance(base, WrappingOptimizer):
            raise ValueError(
                f"`base_optimizer` of {type(self).__name__} must be one that updates weights "
                f"itself. Received: {type(base).__name__}, which wraps one."
            )
        super().__init__(learning_rate=0.0, name=name)
        self.base_optimizer = base

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        if not isinstance(self.base_optimizer, RowSparseOptimizer):
            for variable in variables:
                tables.release(variable)
        if not self.base_optimizer.built:
            self.base_optimizer.build(list(variables))

    @property
    def variables(self):
        return self._variables + self.base_optimizer.variables

    @property
    def iterations(self):
        return self.base_optimizer.iterations

    @property
    def learning_rate(self):
        return self.base_optimizer.learning_rate

    @learning_rate.setter
    def learning_rate(self, learning_rate):
        self.base_optimizer.learning_rate = learning_rate

    def scale_loss(self, loss):
        return self.base_optimizer.scale_loss(loss)

    def finalize_variable_values(self, var_list):
        self.base_optimizer.finalize_variable_values(var_list)

    def exclude_from_weight_decay(self, var_list=None, var_names=None):
        self.base_optimizer.exclude_from_weight_decay(var_list, var_names)

    # Keras stores the base optimizer beside this one, so `variables` would be stored twice.

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

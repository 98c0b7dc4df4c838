"""The state of a training, without the data."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_helen.callbacks.state_files import SavedState
from tf_helen.core import replicas
from tf_helen.optimizers.foreign import driver_of
from tf_helen.training import loss_scaling

_PLAIN = (bool, int, float, str, type(None))
# Keras's callbacks store the comparison of their metric as a function.
_FUNCTIONS = {
    "keras.ops.less": keras.ops.less,
    "keras.ops.greater": keras.ops.greater,
    "numpy.less": np.less,
    "numpy.greater": np.greater,
}


class TrainingState:
    """The variables of a model, its optimizer, its random layers and its metrics, by name.

    This includes the seeds of dropout, which `tf.train.Checkpoint(model=...)` does not save. If the
    replicas of a variable differ, as in metrics, each one is included.

    Args:
        model: built, compiled Keras model.
        metrics: boolean, whether to include the metrics, which are reset between two epochs.
            Defaults to `False`.

    Example:
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> [key.split("_")[0] for key in TrainingState(model).variables]
        ['model', 'model', 'optimizer', 'optimizer']
    """

    def __init__(self, model: keras.Model, metrics: bool = False):
        if not model.optimizer.built:  # some optimizers create variables again if built twice
            with model.distribute_strategy.scope():
                model.optimizer.build(model.trainable_variables)
        kinds = [("model", model.variables), ("optimizer", model.optimizer.variables)]
        if metrics:
            kinds.append(("metric", model.metrics_variables))
        self.variables: dict[str, tf.Variable] = {}
        for kind, variables in kinds:
            for place, variable in enumerate(variables):
                self._add(f"{kind}_{place:04d}_{variable.path}", variable.value)
        self._epoch = tf.Variable(0, dtype=tf.int64, name="epoch")
        self._checkpoint = tf.train.Checkpoint(epoch=self._epoch, state=self.variables)

    def _add(self, key: str, variable: tf.Variable) -> None:
        apart = getattr(variable, "synchronization", None) == tf.VariableSynchronization.ON_READ
        if not apart or not isinstance(variable, tf.distribute.DistributedValues):
            self.variables[key] = variable
            return
        # TensorFlow would save the sum and restore an equal part of it on each replica.
        for number, copy in enumerate(replicas.copies(variable)):
            self.variables[f"{key}@{number}"] = copy

    def checkpoint(self, epoch: int) -> tf.train.Checkpoint:
        """Returns the checkpoint to write after a number of epochs."""
        self._epoch.assign(epoch)
        return self._checkpoint

    def load(self, saved: SavedState) -> None:
        """Sets all variables to the values of a state.

        Args:
            saved: intact `SavedState`.

        Raises:
            ValueError: if it belongs to another model or optimizer; then nothing is changed.
        """
        shapes = saved.shapes()
        keys = {_key(name): variable for name, variable in self.variables.items()}
        known = {key for key in shapes if key.startswith("state/")}
        for key in sorted(keys.keys() | known):
            name = _plain(key)
            if key not in shapes:
                raise ValueError(
                    f"{saved.path} has no {name}; build the model and the optimizer as before"
                )
            if key not in keys:
                raise ValueError(
                    f"{saved.path} has {name}, which is not part of this training; build the model "
                    "as before, with the same names of layers"
                )
            if list(keys[key].shape) != list(shapes[key]):
                raise ValueError(
                    f"{saved.path} has {name} of shape {tuple(shapes[key])}, the model has shape "
                    f"{tuple(keys[key].shape)}; build the model as before"
                )
        reader = tf.compat.v1.train.NewCheckpointReader(saved.path)
        for key, variable in keys.items():
            variable.assign(reader.get_tensor(key))


def _key(name: str) -> str:
    """Returns the key of a variable in `tf.train.Checkpoint(state={name: ...})`."""
    return f"state/{name.replace('.', '..').replace('/', '.S')}/.ATTRIBUTES/VARIABLE_VALUE"


def _plain(key: str) -> str:
    name = key.removeprefix("state/").removesuffix("/.ATTRIBUTES/VARIABLE_VALUE")
    return name.replace(".S", "/").replace("..", ".")


def epoch_state(model: keras.Model) -> list[int]:
    """Returns the optimizer's state of the current epoch that is not in its variables."""
    return driver_of(loss_scaling.unwrap(model.optimizer)).epoch_state()


def set_epoch_state(model: keras.Model, state: list[int]) -> None:
    """Restores the result of `epoch_state` in the optimizer."""
    driver_of(loss_scaling.unwrap(model.optimizer)).set_epoch_state(list(state))


def attributes_of(callbacks: Iterable[keras.callbacks.Callback]) -> list[dict[str, Any]]:
    """Returns the attributes of callbacks that are numbers, strings, arrays or lists of them."""
    found = []
    for callback in callbacks:
        values = {name: _encoded(value) for name, value in vars(callback).items()}
        found.append({name: value for name, value in values.items() if value is not _encoded})
    return found


def set_attributes(
    callbacks: Iterable[keras.callbacks.Callback], values: list[dict[str, Any]]
) -> None:
    """Restores the result of `attributes_of` in callbacks."""
    callbacks = list(callbacks)
    if len(callbacks) != len(values):
        raise ValueError(
            f"the state was saved with {len(values)} callbacks in `callbacks`. Received: "
            f"{len(callbacks)} callbacks; pass the same ones"
        )
    for callback, attributes in zip(callbacks, values, strict=True):
        for name, value in attributes.items():
            setattr(callback, name, _decoded(value))


def _encoded(value: Any) -> Any:
    """Returns a value for JSON, or the function `_encoded` itself if it is not supported."""
    if isinstance(value, np.generic | np.ndarray):
        value = np.asarray(value)
        if value.dtype == object:
            return _encoded
        return {"array": value.tobytes().hex(), "dtype": value.dtype.str, "shape": value.shape}
    if isinstance(value, _PLAIN):
        return {"value": value}
    for name, function in _FUNCTIONS.items():
        if value is function:
            return {"function": name}
    if isinstance(value, list):
        values = [_encoded(item) for item in value]
        return _encoded if any(item is _encoded for item in values) else {"list": values}
    return _encoded


def _decoded(value: dict[str, Any]) -> Any:
    if "list" in value:
        return [_decoded(item) for item in value["list"]]
    if "function" in value:
        return _FUNCTIONS[value["function"]]
    if "value" in value:
        return value["value"]
    array = np.frombuffer(bytes.fromhex(value["array"]), value["dtype"])
    array = array.reshape(value["shape"]).copy()
    return array if value["shape"] else array[()]

"""The state of a training, without the data."""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_helen.callbacks.changed_capacities import ChangedCapacities
from tf_helen.callbacks.replica_values import ReplicaValues
from tf_helen.callbacks.state_files import SavedState
from tf_helen.core import replicas
from tf_helen.core.rows import write_rows
from tf_helen.core.whole_state import WholeVariable, whole_variables
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
    replicas of a variable differ, as in metrics, each one is included; another number of replicas
    gets the sum. The shards of a table and of its slots are written as they are, and can be loaded
    into another number of shards. With several workers, all of them must create a state at the same
    step.

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
        self._entries: dict[str, _Entry] = {}
        self._wholes: dict[str, WholeVariable] = {}
        self._of_replicas = ReplicaValues(model.distribute_strategy)
        for kind, variables in kinds:
            for place, whole in enumerate(whole_variables(variables)):
                name = f"{kind}_{place:04d}_{whole.path}"
                self._add(name, whole)
                self._wholes[name] = whole
        self._epoch = tf.Variable(0, dtype=tf.int64, name="epoch")
        self._checkpoint = tf.train.Checkpoint(epoch=self._epoch, state=self.variables)

    @property
    def variables(self) -> dict[str, tf.Variable]:
        """The variables that are written, by name."""
        shards = {
            _shard_name(name, rank, len(entry.parts)): copies[0]
            for name, entry in self._entries.items()
            for rank, copies in enumerate(entry.parts)
        }
        # TensorFlow would save the sum and restore an equal part of it on each replica.
        apart = {
            f"{name}@{number}": part
            for name, parts in self._of_replicas.parts.items()
            for number, part in enumerate(parts)
        }
        return {**shards, **apart}

    def gather(self) -> None:
        """Reads what only other workers know; all of them must call it, before `checkpoint`."""
        self._of_replicas.gather()

    def _add(self, name: str, whole: WholeVariable) -> None:
        variable = whole.parts[0].value
        apart = getattr(variable, "synchronization", None) == tf.VariableSynchronization.ON_READ
        if apart and isinstance(variable, tf.distribute.DistributedValues) and whole.group is None:
            self._of_replicas.add(name, variable)
            return
        # A checkpoint of all copies would read the variable as a whole, which applies the pending
        # decay, of several workers only on the one that writes.
        parts = [replicas.copies(part) for part in whole.parts]
        equal: list[tf.Variable] = []
        if whole.group is not None and not whole.by_row:
            parts, equal = parts[:1], [copy for copies in parts[1:] for copy in copies]
        self._entries[name] = _Entry(whole.shape, tuple(parts), tuple(equal))

    def checkpoint(self, epoch: int) -> tf.train.Checkpoint:
        """Returns the checkpoint to write after a number of epochs."""
        self._epoch.assign(epoch)
        return self._checkpoint

    def load(self, saved: SavedState) -> None:
        """Sets all variables to the values of a state.

        Args:
            saved: intact `SavedState`, with any number of shards of a table.

        Raises:
            ValueError: if it belongs to another model or optimizer; then nothing is changed.
        """
        shapes = saved.shapes()
        found = keys_by_name(shapes)
        reader = saved.reader
        changed = ChangedCapacities(self._wholes, found, reader)
        apart = {name: _replica_keys(found, name) for name in self._of_replicas.parts}
        for name in sorted(self._entries.keys() | found.keys()):
            if name not in found:
                raise ValueError(
                    f"{saved.path} has no {name}; build the model and the optimizer as before"
                )
            if name not in self._entries:
                raise ValueError(
                    f"{saved.path} has {name}, which is not part of this training; build the model "
                    "as before, with the same names of layers"
                )
            shape, wanted = whole_shape(shapes, found[name]), self._entries[name].shape
            if shape != wanted and name not in changed.names:
                raise ValueError(
                    f"{saved.path} has {name} of shape {shape}, the model has shape {wanted}; "
                    "build the model as before"
                )
        for name, keys in apart.items():
            of_replica = list(self._of_replicas.parts[name][0].shape)
            if not keys or any(list(shapes[key]) != of_replica for key in keys):
                raise ValueError(
                    f"{saved.path} has no {name} of shape {of_replica}; build the model as before"
                )
        for name, keys in apart.items():
            self._of_replicas.assign(name, [reader.get_tensor(key) for key in keys])
        for name, entry in self._entries.items():
            if name in changed.names:
                changed.assign(name)
            else:
                entry.assign([functools.partial(reader.get_tensor, key) for key in found[name]])


@dataclasses.dataclass(frozen=True)
class _Entry:
    """A variable of a state, or the shards of a table or slot.

    Attributes:
        shape: tuple of ints, shape of the variable or whole table.
        parts: for each shard, by rank, a tuple of the copies on each replica, of which the first
            one is written.
        equal: tuple of variables that have the same value, and are not written.
    """

    shape: tuple[int, ...]
    parts: tuple[tuple[tf.Variable, ...], ...]
    equal: tuple[tf.Variable, ...] = ()

    def assign(self, read: Sequence[Callable[[], np.ndarray]]) -> None:
        """Sets the variables to the values of the shards in a file, one function per shard."""
        if len(read) == len(self.parts):
            for copies, value in zip(self.parts, read, strict=True):
                found = value()
                for copy in copies:
                    copy.assign(found)
            for part in self.equal:
                part.assign(read[0]())
            return
        number = len(self.parts)
        for copy in (copy for copies in self.parts for copy in copies):
            copy.assign(tf.zeros(copy.shape, copy.dtype))  # also ends a pending decay
        for rank, value in enumerate(read):  # only one shard of the file in memory
            values = value()
            rows = rank + len(read) * np.arange(len(values))
            for i, copies in enumerate(self.parts):
                mine = rows % number == i
                for copy in copies:
                    write_rows(copy, tf.constant(rows[mine] // number), values[mine])


_SHARD = re.compile(r"(.+)@shard-(\d+)-of-(\d+)")
_ESCAPED = re.compile(r"\.(\.|S)")  # TensorFlow writes "." as ".." and "/" as ".S"


def _shard_name(name: str, rank: int, shards: int) -> str:
    return name if shards == 1 else f"{name}@shard-{rank}-of-{shards}"


def keys_by_name(shapes: Iterable[str]) -> dict[str, list[str]]:
    """Returns the keys of each variable of a file, one per shard, by rank."""
    found: dict[str, dict[int, str]] = {}
    for key in shapes:
        if key.startswith("state/"):
            name = key.removeprefix("state/").removesuffix("/.ATTRIBUTES/VARIABLE_VALUE")
            name = _ESCAPED.sub(lambda found: "." if found[1] == "." else "/", name)
            shard = _SHARD.fullmatch(name)
            name, rank = (shard[1], int(shard[2])) if shard else (name, 0)
            found.setdefault(name, {})[rank] = key
    return {name: [keys[rank] for rank in sorted(keys)] for name, keys in found.items()}


def _replica_keys(found: dict[str, list[str]], name: str) -> list[str]:
    """Removes the keys of a variable's replicas from those of a file, and returns them."""
    keys: list[str] = []
    while (key := found.pop(f"{name}@{len(keys)}", None)) is not None:
        keys += key
    return keys


def whole_shape(shapes: Mapping[str, Sequence[int]], keys: Sequence[str]) -> tuple[int, ...]:
    first = tuple(shapes[keys[0]])
    return first if len(keys) == 1 else (sum(shapes[key][0] for key in keys), *first[1:])


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

"""Metrics whose states can be merged, also those that keep rows."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

__all__ = ["KeptRows", "Mergeable"]


class KeptRows:
    """Columns of rows that arrive in batches, in the memory of the process.

    All replicas of a process add to the same rows. Batches that are added in a `tf.function` are
    passed by `tf.numpy_function`, which XLA cannot compile.

    Args:
        columns: int, number of columns.

    Example:
        >>> rows = KeptRows(2)
        >>> rows.add(tf.constant([1.0]), tf.constant([7]))
        >>> [column.tolist() for column in rows.columns()]
        [[1.0], [7]]
    """

    def __init__(self, columns: int) -> None:
        self._columns = columns
        self._lock = threading.Lock()
        self._parts: list[tuple[np.ndarray, ...]] = []

    def add(self, *columns: tf.Tensor) -> None:
        """Adds a batch: tensors `[B]`, one per column."""
        if tf.executing_eagerly():
            self.append(*(column.numpy() for column in columns))
        else:
            tf.numpy_function(self.append, columns, tf.int32)

    def columns(self) -> list[np.ndarray]:
        """Returns all rows: one array `[n]` per column, floats as float64."""
        with self._lock:
            parts = list(self._parts)
        found = [[part[place] for part in parts] for place in range(self._columns)]
        arrays = [np.concatenate(column) if column else np.zeros(0) for column in found]
        return [a.astype(np.float64) if a.dtype == np.float32 else a for a in arrays]

    def computed(self, function: Callable[[], Any], shape: Sequence[int] = ()) -> tf.Tensor:
        """Returns the value of a function of the rows, float64, also in a graph."""
        if tf.executing_eagerly():
            return tf.constant(function(), tf.float64, shape)
        value = tf.numpy_function(lambda: np.asarray(function(), np.float64), [], tf.float64)
        return tf.ensure_shape(value, shape)

    def clear(self) -> None:
        """Removes all rows."""
        with self._lock:
            self._parts.clear()

    def append(self, *columns: np.ndarray) -> np.int32:
        """Adds a batch: arrays `[B]`, one per column; returns 0."""
        small = tuple(_small(column) for column in columns)
        with self._lock:
            self._parts.append(small)
        return np.int32(0)


class Mergeable(keras.metrics.Metric):
    """A metric that can take over the state of others, such as those of other processes.

    The variables of a subclass are sums. If it keeps rows, `kept` holds them.

    Args:
        name: string, name in the logs.
        dtype: dtype of the result.

    Example:
        >>> from tf_helen.metrics import LogLoss
        >>> first, second = LogLoss(), LogLoss()
        >>> first.update_state([1], [0.5])
        >>> second.update_state([0], [0.5])
        >>> first.merge_state([second])
        >>> round(float(first.result()), 4)
        0.6931
    """

    kept: KeptRows | None = None

    def merge_state(self, metrics: Iterable[Mergeable]) -> None:
        """Adds the states of other metrics, as if their batches had been added to this one.

        Args:
            metrics: sequence of metrics of the same class with the same settings; their names and
                dtypes may differ.

        Raises:
            ValueError: if the class or a setting differs.
        """
        others = list(metrics)
        for other in others:
            mine, theirs = (_settings(metric) for metric in (self, other))
            if type(other) is not type(self) or mine != theirs:
                raise ValueError(
                    f"`metrics` must be of class {type(self).__name__} with the settings {mine}. "
                    f"Received: {type(other).__name__} with {theirs}"
                )
        for other in others:
            self.add_state(other.state())

    def state(self) -> list[np.ndarray]:
        """Returns the state as arrays, such as for `np.savez` in another process.

        Returns:
            List of arrays: the sums, then the columns of the rows, if the metric keeps rows.
        """
        sums = [np.asarray(tf.convert_to_tensor(variable.value)) for variable in self.variables]
        kept = [] if self.kept is None else self.kept.columns()
        return sums + [as_names(column) for column in kept]

    def add_state(self, state: Sequence[np.ndarray]) -> None:
        """Adds the `state` of another metric of the same class with the same settings.

        Args:
            state: sequence of arrays, the result of `state`.

        Raises:
            ValueError: if it has another number of arrays, or their shapes differ.
        """
        known = self.state()
        sums = len(self.variables)
        shapes = [array.shape for array in known[:sums]]
        if len(state) != len(known) or [np.shape(array) for array in state[:sums]] != shapes:
            raise ValueError(
                f"`state` must be that of a {type(self).__name__} with the same settings: "
                f"{len(known)} arrays, with the shapes {shapes} first. Received: {len(state)} "
                f"arrays, with the shapes {[np.shape(array) for array in state[:sums]]} first."
            )
        for variable, own, added in zip(self.variables, known, state, strict=False):
            variable.assign(own + added)  # under replicas, `assign_add` raises an error
        if self.kept is not None and len(state[sums]):
            self.kept.append(*state[sums:])

    def reset_state(self) -> None:
        """Sets the metric to its initial state."""
        super().reset_state()
        if self.kept is not None:
            self.kept.clear()


def _settings(metric: keras.metrics.Metric) -> dict[str, Any]:
    config = metric.get_config()
    return {name: value for name, value in config.items() if name not in ("name", "dtype")}


def _small(column: np.ndarray) -> np.ndarray:
    """Returns float64 values as float32 if that loses nothing: half of the memory."""
    if column.dtype != np.float64:
        return column
    with np.errstate(over="ignore"):
        narrow = column.astype(np.float32)
    return narrow if np.array_equal(narrow, column, equal_nan=True) else column


def one_per_row(name: str, values: Any, rows: int | None, example: str) -> tf.Tensor:
    """Flattens an argument of `update_state` that has one integer or string per row.

    Args:
        name: string, name of the argument.
        values: `[B]` or `[B, 1]`.
        rows: int, number of rows; `None`: unknown.
        example: string, what to pass, for the message.

    Returns:
        A tensor `[B]`, int64 or string.

    Raises:
        ValueError: if it is `None`, has another dtype or another number of values.

    Example:
        >>> one_per_row("group", [[3], [4]], 2, "").numpy().tolist()
        [3, 4]
    """
    if values is None:
        raise ValueError(
            f"`{name}` is missing: call `update_state(y_true, y_pred, {name}={example})`. The "
            "metrics of `compile` do not receive it."
        )
    found = tf.reshape(tf.convert_to_tensor(values), [-1])
    if found.dtype != tf.string:
        if not (found.dtype.is_integer or found.dtype == tf.bool):
            raise ValueError(
                f"`{name}` must be integers or strings. Received the dtype {found.dtype.name}."
            )
        found = tf.cast(found, tf.int64)
    if rows is not None and found.shape[0] not in (None, rows):
        raise ValueError(
            f"`{name}` must have one value per row. Received: {found.shape[0]} for {rows} rows."
        )
    return found


def as_names(groups: Sequence[bytes] | np.ndarray) -> np.ndarray:
    """Returns an array of ids that NumPy can sort: bytes of a fixed length instead of objects."""
    array = np.asarray(groups)
    return array.astype(bytes) if array.dtype == object else array

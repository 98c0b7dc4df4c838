"""Checks arrays against a schema before they become records."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from zoo.data.files import DataError
from zoo.data.schema import Schema


class Rows(NamedTuple):
    """Checked rows of a block of records.

    Attributes:
        ids: [n, W] integers.
        numeric: [n, N] float32.
        label: [n] float32.
        weight: [n] float32, or None.
        group: [n] int64, or None.
        time: [n] int64, or None.
    """

    ids: np.ndarray
    numeric: np.ndarray
    label: np.ndarray
    weight: np.ndarray | None
    group: np.ndarray | None
    time: np.ndarray | None = None

    def between(self, start: int, stop: int) -> Rows:
        """Returns the rows from `start` up to `stop`, as views."""
        return Rows(
            self.ids[start:stop],
            self.numeric[start:stop],
            self.label[start:stop],
            None if self.weight is None else self.weight[start:stop],
            None if self.group is None else self.group[start:stop],
            None if self.time is None else self.time[start:stop],
        )


def checked_batch(batch: Mapping[str, np.ndarray], schema: Schema, first_row: int) -> Rows:
    """Checks the arrays of a batch before they are written.

    Args:
        batch: dict of arrays: "ids" [n, W] integers, "numeric" [n, N] floats, "label" [n] or [n, 1]
            from 0 to 1, "weight" [n] floats of 0 or more, "group" and "time" [n] integers, as far
            as the schema has them.
        schema: columns of the rows.
        first_row: number of the batch's first row, for error messages.

    Returns:
        The rows. Without categorical fields the ids are [n, 0], without numeric columns the
        numbers.

    Raises:
        DataError: names the array, row or field that is wrong.

    Example:
        >>> from zoo.data.schema import Categorical
        >>> schema = Schema("tiny", [Categorical("user", 10)])
        >>> checked_batch({"ids": [[3]], "label": [1]}, schema, first_row=0).label
        array([1.], dtype=float32)
    """
    label = _vector(batch, "label", np.floating, None)
    count = len(label)
    _check(label, (label >= 0) & (label <= 1), first_row, "label", "use a number from 0 to 1")
    ids, numeric = np.zeros((count, 0), np.int64), np.zeros((count, 0), np.float32)
    if schema.categorical:
        ids = _array(batch, "ids", np.integer, (count, schema.ids_width))
        low, high = id_limits(schema)
        bad = np.flatnonzero(((ids < low) | (ids > high)).any(axis=1))
        if bad.size:
            trouble = explain_bad_id(ids[bad[0]], schema)
            raise DataError(f"row {first_row + int(bad[0])}: {trouble}; encode it as 0 (unknown)")
    if schema.numeric:
        numeric = _array(batch, "numeric", np.floating, (count, len(schema.numeric)))
        finite = np.isfinite(numeric)
        if not finite.all():
            row, column = np.argwhere(~finite)[0]
            raise DataError(
                f"row {first_row + int(row)}: column {schema.numeric[column].name!r} is "
                f"{numeric[row, column]}; replace it by a finite number"
            )
    weight = group = time = None
    if schema.weight is not None:
        weight = _vector(batch, "weight", np.floating, count)
        good = (weight >= 0) & np.isfinite(weight)
        _check(weight, good, first_row, "weight", "use a finite number of 0 or more")
    if schema.group is not None:
        group = _vector(batch, "group", np.integer, count)
        _check(group, group <= 2**63 - 1, first_row, "group", "use a number below 2**63")
        group = group.astype(np.int64)
    if schema.keep_time:
        time = _vector(batch, "time", np.integer, count).astype(np.int64)
    return Rows(ids, numeric, label, weight, group, time)


def id_limits(schema: Schema) -> tuple[np.ndarray, np.ndarray]:
    """Returns the smallest and largest id allowed at each position of the `ids` vector.

    Args:
        schema: columns of the records.

    Returns:
        Two int64 arrays [W]; the smallest is -1 (padding) in fields longer than 1, else 0.

    Example:
        >>> from zoo.data.schema import Categorical
        >>> low, high = id_limits(Schema("s", [Categorical("a", 5), Categorical("b", 3, 2)]))
        >>> low.tolist(), high.tolist()
        ([0, -1, -1], [4, 2, 2])
    """
    sizes = schema.field_sizes
    low = [-1 if f.length > 1 else 0 for f in schema.categorical for _ in range(f.length)]
    high = [sizes[f.name] - 1 for f in schema.categorical for _ in range(f.length)]
    return np.array(low, np.int64), np.array(high, np.int64)


def explain_bad_id(row: np.ndarray, schema: Schema) -> str | None:
    """Describes the first id of a row that is out of range.

    Args:
        row: [W] integers.
        schema: columns of the records.

    Returns:
        A string with field, id and size, or `None` if all ids are valid.

    Example:
        >>> from zoo.data.schema import Categorical
        >>> explain_bad_id(np.array([7]), Schema("s", [Categorical("a", 5)]))
        "field 'a' has id 7, allowed are 0 to 4 (size 5)"
    """
    low, high = id_limits(schema)
    bad = np.flatnonzero((row < low) | (row > high))
    if not bad.size:
        return None
    place = int(bad[0])
    fields = [field for field in schema.categorical for _ in range(field.length)]
    field = fields[place]
    return (
        f"field {field.name!r} has id {int(row[place])}, allowed are {low[place]} to "
        f"{high[place]} (size {field.size})"
    )


def _check(values: np.ndarray, good: np.ndarray, first_row: int, key: str, fix: str) -> None:
    bad = np.flatnonzero(~good)  # a comparison with NaN is False
    if bad.size:
        raise DataError(f"row {first_row + int(bad[0])}: {key!r} is {values[bad[0]]}; {fix}")


def _vector(batch: Mapping[str, np.ndarray], key: str, kind: type, count: int | None) -> np.ndarray:
    array = _array(batch, key, kind, None)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1 or (count is not None and len(array) != count):
        raise DataError(f"{key!r} has the shape {array.shape}; use [{count or 'rows'}]")
    return array


def _array(
    batch: Mapping[str, np.ndarray], key: str, kind: type, shape: tuple[int, ...] | None
) -> np.ndarray:
    if key not in batch:
        raise DataError(f"a batch has no {key!r}, only {sorted(batch)}; add the array")
    array = np.asarray(batch[key])
    if kind is np.floating and array.dtype.kind in "fiub":
        # Integers are valid numbers; values that float32 cannot hold become inf.
        with np.errstate(over="ignore"):
            array = array.astype(np.float32, copy=False)
    if not np.issubdtype(array.dtype, kind) or (shape is not None and array.shape != shape):
        raise DataError(
            f"{key!r} is {array.dtype} of shape {array.shape}; use {kind.__name__} values of "
            f"shape {shape or '[rows]'}"
        )
    return array

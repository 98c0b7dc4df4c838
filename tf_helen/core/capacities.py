"""Rows of a table whose fields have a capacity, when the capacities change.

Each field has a default row and then as many rows as its capacity. A file may have been written
with other capacities than those of the layer or optimizer that reads it.
"""

from __future__ import annotations

import numpy as np

SKETCH_DEPTH = 4  # rows of a count-min sketch


class CapacityError(ValueError):
    """The ids of a file do not fit the capacities of a layer."""


def offsets_of(capacities: np.ndarray) -> np.ndarray:
    """Returns the first row of each field, and the number of rows, with a default row per field."""
    return np.concatenate([[0], np.cumsum(np.asarray(capacities, np.int64) + 1)])


def moved(
    values: np.ndarray, before: np.ndarray, initial: np.ndarray, now: np.ndarray
) -> np.ndarray:
    """Returns the values of rows at the places that they have with other capacities.

    Args:
        values: `[rows, ...]` with the capacities `before`.
        before: int64 `[fields]`.
        initial: `[rows, ...]` with the capacities `now`, values of rows that are not in `values`.
        now: int64 `[fields]`.

    Returns:
        An array like `initial`.

    Example:
        >>> moved(np.array([1, 2, 3, 4]), np.array([1, 1]), np.zeros(5, int), np.array([1, 2]))
        array([1, 2, 3, 4, 0])
    """
    found = np.array(initial)
    old, new = offsets_of(before), offsets_of(now)
    for field, rows in enumerate(np.minimum(before, now) + 1):
        start, end = new[field], new[field] + rows
        found[start:end] = values[old[field] : old[field] + rows]
    return found


def check_fit(before: np.ndarray, now: np.ndarray, used: np.ndarray, what: str) -> None:
    """Raises an error unless the ids of a file fit a layer.

    Args:
        before, now: int64, capacities of the file and of the layer.
        used: int64, number of rows of each field of the file that have ids.
        what: string, the layer for the message.

    Raises:
        CapacityError: on another number of fields, or a capacity below the number of ids.
    """
    if len(before) != len(now) or (np.asarray(used) > now).any():
        raise CapacityError(
            f"{what} has the capacities {list(map(int, now))}, and the file has ids in "
            f"{list(map(int, used))} rows of {list(map(int, before))}. Use capacities that are not "
            "below the number of ids."
        )


def resized_sketch(counters: np.ndarray, size: int) -> np.ndarray:
    """Returns the counters of a sketch with another width, which never count too few.

    Args:
        counters: uint8 `[4 * width]`.
        size: int, 4 times the new width; both widths are powers of 2.

    Returns:
        uint8 `[size]`.
    """
    rows, width = counters.reshape(SKETCH_DEPTH, -1), size // SKETCH_DEPTH
    if width >= rows.shape[1]:
        return np.tile(rows, width // rows.shape[1]).reshape(-1)
    return rows.reshape(SKETCH_DEPTH, -1, width).max(axis=1).reshape(-1)

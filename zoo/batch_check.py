"""Checks arrays against a schema before they become records."""

from collections.abc import Mapping

import numpy as np

from zoo.files import DataError
from zoo.record_check import explain_bad_id, id_limits
from zoo.schema import Schema


def checked_batch(
    batch: Mapping[str, np.ndarray], schema: Schema, first_row: int
) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
    """Checks the arrays of a batch before they are written.

    Args:
        batch: "ids" [n, W] integers, "numeric" [n, N] floats, "label" [n] or [n, 1].
        schema: Columns of the rows.
        first_row: Number of the batch's first row, for messages.

    Returns:
        The ids ([n, 0] without categorical fields), the numbers (None without such columns) and
        the labels [n].

    Raises:
        DataError: Naming the array, row or field that is wrong.

    Example:
        >>> from zoo.schema import Categorical
        >>> schema = Schema("tiny", [Categorical("user", 10)])
        >>> checked_batch({"ids": [[3]], "label": [1]}, schema, first_row=0)[2]
        array([1.], dtype=float32)
    """
    label = _array(batch, "label", np.floating, None)
    label = label.reshape(-1) if label.ndim == 2 and label.shape[1] == 1 else label
    if label.ndim != 1 or not np.all((label >= 0) & (label <= 1)):  # NaN fails too
        raise DataError(
            f"'label' of shape {label.shape}, rows from {first_row}: use a vector of numbers "
            "from 0 to 1"
        )
    ids, numeric = np.zeros((len(label), 0), np.int64), None
    if schema.categorical:
        ids = _array(batch, "ids", np.integer, (len(label), schema.ids_width))
        low, high = id_limits(schema)
        bad = np.flatnonzero(((ids < low) | (ids > high)).any(axis=1))
        if bad.size:
            trouble = explain_bad_id(ids[bad[0]], schema)
            raise DataError(f"row {first_row + int(bad[0])}: {trouble}; encode it as 0 (unknown)")
    if schema.numeric:
        numeric = _array(batch, "numeric", np.floating, (len(label), len(schema.numeric)))
        if not np.isfinite(numeric).all():
            row, column = np.argwhere(~np.isfinite(numeric))[0]
            raise DataError(
                f"row {first_row + int(row)}: column {schema.numeric[column].name!r} is "
                f"{numeric[row, column]}; replace it by a finite number"
            )
    return ids, numeric, label


def _array(
    batch: Mapping[str, np.ndarray], key: str, kind: type, shape: tuple[int, ...] | None
) -> np.ndarray:
    if key not in batch:
        raise DataError(f"a batch has no {key!r}, only {sorted(batch)}; add the array")
    array = np.asarray(batch[key])
    if kind is np.floating and array.dtype.kind in "iub":
        array = array.astype(np.float32)  # whole numbers are fine where numbers are wanted
    if not np.issubdtype(array.dtype, kind) or (shape is not None and array.shape != shape):
        raise DataError(
            f"{key!r} is {array.dtype} of shape {array.shape}; use {kind.__name__} values of "
            f"shape {shape or '[rows]'}"
        )
    return array

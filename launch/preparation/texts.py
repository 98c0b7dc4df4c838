"""Raw columns as the texts that ids stand for, and as finite numbers."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import numpy as np
import polars as pl

from launch.datasets.table_types import as_numbers
from zoo.data.columns import Categorical, Numeric
from zoo.data.subnormals import SMALLEST

_BREAKS = r"[\t\n\r]"  # would end the column or the line of a vocabulary file
_LOWEST = -(2.0**53)  # below, floats are no longer single whole numbers


class Texts(NamedTuple):
    """The values of a field over some rows.

    Attributes:
        values: [k] texts, "" for a missing one (only where the field has one value per row).
        rows: [k] the row of each value, ascending; None: one value per row.
        places: [k] its place within the row; None: one value per row.
    """

    values: pl.Series
    rows: np.ndarray | None = None
    places: np.ndarray | None = None


def texts(column: pl.Series, field: Categorical, changed: Counter[str]) -> Texts:
    """Gives the texts that the ids of a field stand for.

    A column of numbers or booleans counts as its text. Tabs and line ends become spaces. Of several
    values the first `field.length` are kept, empty ones are dropped.

    Args:
        column: [n] raw values: text (several values with separators), numbers, booleans, or lists.
        field: What the schema says of the column.
        changed: Receives how many values were changed, by reason.

    Returns:
        The texts.

    Example:
        >>> texts(pl.Series(["a|b|", ""]), Categorical("tags", length=2), Counter()).rows.tolist()
        [0, 0]
    """
    if field.length == 1:
        if column.dtype.is_float():
            column = column.fill_nan(None)
        return Texts(_clean(column.cast(pl.String).fill_null(""), field, changed))
    values, rows = _apart(column, field)
    starts = np.searchsorted(rows, np.arange(len(column)))
    places = np.arange(len(rows)) - starts[rows]
    kept = places < field.length
    _note(
        changed, f"values beyond the first {field.length} of {field.name} left out", (~kept).sum()
    )
    values = _clean(values.filter(pl.Series(kept)), field, changed)
    return Texts(values, rows[kept], places[kept])


def finite_numbers(column: pl.Series, dtype: type[pl.DataType] = pl.Float64) -> pl.Series:
    """Reads a column as numbers.

    Args:
        column: [n] text, numbers or booleans.
        dtype: What the numbers must fit into.

    Returns:
        [n] float64, null for what is missing, no number, or infinite in `dtype`; 0 for what is
        subnormal, see `zoo.data.subnormals`.

    Example:
        >>> finite_numbers(pl.Series([" 1.5", "nan", "1e39", "x", None]), pl.Float32).to_list()
        [1.5, None, None, None, None]
    """
    values = as_numbers(column)
    values = values.set((values.abs() < SMALLEST).fill_null(False), 0.0)
    return values.set(~values.cast(dtype).is_finite().fill_null(False), None)


def numbers(column: pl.Series, numeric: Numeric, changed: Counter[str]) -> np.ndarray:
    """Reads a number column; what is missing or no number becomes the column's `missing_value`.

    Args:
        column: [n] text, numbers or booleans.
        numeric: What the schema says of the column, its mean included.
        changed: Receives how many values were changed, by reason.

    Returns:
        [n] float32.

    Example:
        >>> numbers(pl.Series(["1", ""]), Numeric("price", mean=9.5), Counter()).tolist()
        [1.0, 9.5]
    """
    values = finite_numbers(column, pl.Float32)
    note_unread(numeric.name, *unread(column, values), changed)
    return values.fill_null(numeric.missing_value).cast(pl.Float32).to_numpy()


def unread(column: pl.Series, values: pl.Series) -> tuple[int, int]:
    """Counts what had to count as missing.

    Args:
        column: [n] raw values.
        values: [n] the numbers read, null for none.

    Returns:
        How many are missing, and how many are there but no number.

    Example:
        >>> unread(pl.Series(["x", "", "1"]), pl.Series([None, None, 1.0]))
        (1, 1)
    """
    if not values.null_count():
        return 0, 0
    absent = column.is_null()
    if column.dtype == pl.String:
        absent |= (column.str.strip_chars() == "").fill_null(True)
    missing = int(absent.sum())
    return missing, values.null_count() - missing


def note_unread(name: str, missing: int, no_number: int, changed: Counter[str]) -> None:
    """Enters what `unread` counted.

    Args:
        name: Name of the column.
        missing: Values that are missing.
        no_number: Values that are no number, and count as missing.
        changed: Receives both.

    Example:
        >>> note_unread("price", 1, 0, Counter())
    """
    _note(changed, f"values of {name} missing", missing)
    _note(changed, f"values of {name} that are no finite number taken as missing", no_number)


def log_squares(column: pl.Series) -> pl.Series:
    """Gives the texts that stand in the vocabulary of a field with `encoding="log_square"`.

    Args:
        column: [n] texts of numbers.

    Returns:
        [n] texts: of `floor(log(x)^2)` if x > 2, else of `trunc(x)`; "" for what is no number.

    Example:
        >>> log_squares(pl.Series(["20", "-1", "x"])).to_list()
        ['8', '-1', '']
    """
    values = finite_numbers(column)
    plain = values.fill_null(np.nan).to_numpy()
    large = np.floor(np.log(np.maximum(plain, 1.0)) ** 2)
    whole = np.where(plain > 2, large, np.trunc(np.maximum(plain, _LOWEST)))
    whole = pl.Series(whole).fill_nan(None).cast(pl.Int64)
    return whole.cast(pl.String).fill_null("")


def _apart(column: pl.Series, field: Categorical) -> tuple[pl.Series, np.ndarray]:
    """All values that are not empty, and the row of each."""
    if isinstance(column.dtype, (pl.List, pl.Array)):
        if column.dtype.inner.is_float():  # NaN is missing, as in a column of single values
            column = column.cast(pl.List(column.dtype.inner))
            column = column.list.eval(pl.element().fill_nan(None))
        # As a served model gets it: a value with a separator in it would there be two.
        joined = column.cast(pl.List(pl.String)).list.join(field.separator, ignore_nulls=True)
    else:
        joined = column.cast(pl.String)
    column = joined.fill_null("").str.split(field.separator)
    frame = pl.DataFrame({"row": np.arange(len(column)), "value": column})
    frame = frame.filter(pl.col("value").list.len() > 0).explode("value")
    frame = frame.filter(pl.col("value").fill_null("") != "")
    return frame["value"], frame["row"].to_numpy()


def _clean(values: pl.Series, field: Categorical, changed: Counter[str]) -> pl.Series:
    broken = int(values.str.contains(_BREAKS).sum())
    _note(changed, f"values of {field.name} with a tab or line end, replaced by a space", broken)
    return values.str.replace_all(_BREAKS, " ") if broken else values


def _note(changed: Counter[str], reason: str, count: int) -> None:
    if count:
        changed[reason] += int(count)

"""Raw columns as the texts of a field, and as finite numbers."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import numpy as np
import polars as pl

from launch.datasets.table_types import as_numbers
from zoo.data.columns import Categorical, Numeric
from zoo.data.subnormals import SMALLEST

_BREAKS = r"[\t\n\r]"  # separate columns and lines of a vocabulary file
_LOWEST = -(2.0**53)  # below, floats do not represent every integer


class Texts(NamedTuple):
    """The values of a field over some rows.

    Attributes:
        values: polars `Series` `[k]`, texts; "" is a missing value of a field with one value per
            row.
        rows: integers `[k]`, the row of each value, ascending; `None`: one value per row.
        places: integers `[k]`, the position of each value within its row; `None`: one value per
            row.
    """

    values: pl.Series
    rows: np.ndarray | None = None
    places: np.ndarray | None = None


def texts(column: pl.Series, field: Categorical, changed: Counter[str]) -> Texts:
    """Returns the texts of a field, which ids are assigned to.

    Numbers and booleans are converted to text. Tabs and line ends become spaces. In a field of
    several values, empty values are dropped and the first `field.length` are kept.

    Args:
        column: polars `Series` `[n]`, raw values: text (several values with separators), numbers,
            booleans, or lists.
        field: `Categorical`, the field in the schema.
        changed: `Counter` that receives the number of changed values by reason.

    Returns:
        `Texts`.

    Example:
        >>> texts(pl.Series(["a|b|", ""]), Categorical("tags", length=2), Counter()).rows.tolist()
        [0, 0]
    """
    if field.length == 1:
        return Texts(_clean(as_texts(column), field, changed))
    values, rows = _apart(column, field)
    starts = np.searchsorted(rows, np.arange(len(column)))
    places = np.arange(len(rows)) - starts[rows]
    kept = places < field.length
    _note(
        changed, f"values beyond the first {field.length} of {field.name} left out", (~kept).sum()
    )
    values = _clean(values.filter(pl.Series(kept)), field, changed)
    return Texts(values, rows[kept], places[kept])


def as_texts(column: pl.Series, separator: str = "") -> pl.Series:
    """Converts raw values to the texts that a served model takes.

    Args:
        column: polars `Series` `[n]`, raw values: text, numbers, booleans, or lists.
        separator: string that joins the values of a list. Defaults to "".

    Returns:
        Texts `[n]`; "" is missing. Booleans are "true" and "false", as text they keep their case.

    Example:
        >>> as_texts(pl.Series([1.0, float("nan"), None])).to_list()
        ['1.0', '', '']
        >>> as_texts(pl.Series([["a", None, "b"], []]), "|").to_list()
        ['a|b', '']
    """
    if isinstance(column.dtype, (pl.List, pl.Array)):
        if column.dtype.inner.is_float():  # NaN is missing, as in a column of single values
            column = column.cast(pl.List(column.dtype.inner))
            column = column.list.eval(pl.element().fill_nan(None))
        # Joined as in the input of a served model, where a separator within a value splits it.
        column = column.cast(pl.List(pl.String)).list.join(separator, ignore_nulls=True)
    elif column.dtype.is_float():
        column = column.fill_nan(None)
    return column.cast(pl.String).fill_null("")


def bucket_numbers(column: pl.Series) -> pl.Series:
    """Reads the numbers of a field with `encoding="buckets"`, as a served model reads their texts.

    Args:
        column: polars `Series` `[n]`, raw values.

    Returns:
        float64 `[n]`, see `finite_numbers`. float32 values are read as their shortest text, and
        booleans are not numbers.

    Example:
        >>> bucket_numbers(pl.Series([0.1], dtype=pl.Float32)).to_list()
        [0.1]
    """
    # Integers and float64 are the same number as their text.
    plain = column.dtype.is_integer() or column.dtype == pl.Float64
    return finite_numbers(column if plain else as_texts(column))


def finite_numbers(column: pl.Series, dtype: type[pl.DataType] = pl.Float64) -> pl.Series:
    """Reads a column as numbers.

    Args:
        column: polars `Series` `[n]`, text, numbers or booleans.
        dtype: polars dtype in which the numbers must be finite. Defaults to `pl.Float64`.

    Returns:
        float64 `[n]`: null if a value is missing, not a number, or infinite in `dtype`; 0 if it is
        subnormal, see `zoo.data.subnormals`.

    Example:
        >>> finite_numbers(pl.Series([" 1.5", "nan", "1e39", "x", None]), pl.Float32).to_list()
        [1.5, None, None, None, None]
    """
    values = as_numbers(column)
    values = values.set((values.abs() < SMALLEST).fill_null(False), 0.0)
    return values.set(~values.cast(dtype).is_finite().fill_null(False), None)


def numbers(column: pl.Series, numeric: Numeric, changed: Counter[str]) -> np.ndarray:
    """Reads a number column; missing and invalid values become the column's `missing_value`.

    Args:
        column: polars `Series` `[n]`, text, numbers or booleans.
        numeric: `Numeric`, the column in the schema, with its mean.
        changed: `Counter` that receives the number of changed values by reason.

    Returns:
        float32 `[n]`.

    Example:
        >>> numbers(pl.Series(["1", ""]), Numeric("price", mean=9.5), Counter()).tolist()
        [1.0, 9.5]
    """
    values = finite_numbers(column, pl.Float32)
    note_unread(numeric.name, *unread(column, values), changed)
    return values.fill_null(numeric.missing_value).cast(pl.Float32).to_numpy()


def unread(column: pl.Series, values: pl.Series) -> tuple[int, int]:
    """Counts values that are treated as missing.

    Args:
        column: polars `Series` `[n]`, raw values.
        values: float64 `[n]`, the numbers read, or null.

    Returns:
        Two ints: the number of missing values, and the number of invalid ones.

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
    """Adds the counts of `unread` to those of changed values.

    Args:
        name: string, name of the column.
        missing: int, number of missing values.
        no_number: int, number of values that are not finite numbers.
        changed: `Counter` that receives both.

    Example:
        >>> note_unread("price", 1, 0, Counter())
    """
    _note(changed, f"values of {name} missing", missing)
    _note(changed, f"values of {name} that are not finite numbers, treated as missing", no_number)


def log_squares(column: pl.Series) -> pl.Series:
    """Returns the vocabulary texts of numbers in a field with `encoding="log_square"`.

    Args:
        column: polars `Series` `[n]`, texts of numbers.

    Returns:
        Texts `[n]` of `floor(log(x)^2)` if x > 2, else of `trunc(x)`; "" if x is not a number.

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
    """Returns all values that are not empty, and the row of each."""
    column = as_texts(column, field.separator).str.split(field.separator)
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

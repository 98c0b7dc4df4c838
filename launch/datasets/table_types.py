"""Column types of tables: conversions, and the check that all files have the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl

from launch.datasets.raw import RowAccount
from zoo.data.files import DataError


def plain_types(frame: pl.DataFrame) -> pl.DataFrame:
    """Converts dictionary columns to text, and arrays of fixed length to lists.

    Args:
        frame: polars `DataFrame`, rows of a Parquet file.

    Returns:
        The rows; other types are unchanged.

    Example:
        >>> colors = pl.Series("color", ["red", "blue"], dtype=pl.Categorical)
        >>> plain_types(colors.to_frame()).dtypes
        [String]
    """
    changed = []
    for column in frame:
        if isinstance(column.dtype, pl.Array):
            column = column.arr.to_list()
        kind = column.dtype
        inner = kind.inner if isinstance(kind, pl.List) else kind
        if isinstance(inner, (pl.Categorical, pl.Enum)):
            column = column.cast(pl.String if inner is kind else pl.List(pl.String))
        changed.append(column)
    return frame.with_columns(changed)


def as_numbers(column: pl.Series) -> pl.Series:
    """Reads a column as numbers.

    Args:
        column: polars `Series` `[n]`, text, numbers or booleans.

    Returns:
        float64 `[n]`, null if a value is missing or not a number; "inf" and "nan" are numbers.

    Example:
        >>> as_numbers(pl.Series([" 1.5", "x", None])).to_list()
        [1.5, None, None]
    """
    if column.dtype == pl.String:
        column = column.str.strip_chars()
    return column.cast(pl.Float64, strict=False)


def as_text(frame: pl.DataFrame, account: RowAccount, columns: Sequence[str]) -> pl.DataFrame:
    """Converts columns of bytes to text; rows with invalid UTF-8 are skipped.

    Args:
        frame: polars `DataFrame`, the rows.
        account: `RowAccount` that receives the number of skipped rows.
        columns: names of the columns of bytes.

    Returns:
        The other rows.

    Example:
        >>> frame, account = pl.DataFrame({"word": [b"a", b"\\xff"]}), RowAccount()
        >>> as_text(frame, account, ["word"]).rows(), account.total_damaged
        ([('a',)], 1)
    """
    texts = dict.fromkeys(columns, pl.String)
    good = valid_utf8(frame, columns)
    if good is None:
        return frame.cast(texts)
    account.damaged["invalid UTF-8"] += int((~good).sum())
    return frame.filter(good).cast(texts)


def valid_utf8(frame: pl.DataFrame, columns: Sequence[str]) -> pl.Series | None:
    """Returns which rows are valid UTF-8.

    Args:
        frame: polars `DataFrame`, the rows.
        columns: names of the columns of bytes.

    Returns:
        Booleans `[n]`; `None` if all are valid.

    Example:
        >>> valid_utf8(pl.DataFrame({"word": [b"a", b"\\xff"]}), ["word"]).to_list()
        [True, False]
    """
    try:
        frame.cast(dict.fromkeys(columns, pl.String))
    except pl.exceptions.ComputeError:
        rows = frame.select(columns).iter_rows()
        return pl.Series([all(map(_is_utf8, row)) for row in rows])
    return None


def check_same_types(
    path: str, frame: pl.DataFrame, first: str, types: Mapping[str, pl.DataType]
) -> None:
    """Raises unless rows have the columns of another file, and compatible types.

    Integer types are compatible, and a column without values with any other. Integers and floats
    are not, because 1 and 1.0 are different values of a field.

    Args:
        path: string, file of the rows.
        frame: polars `DataFrame`, the rows.
        first: string, the other file.
        types: dict from column to type in the other file.

    Raises:
        DataError: names the column.

    Example:
        >>> check_same_types("b.parquet", pl.DataFrame({"x": [1]}), "a.parquet", {"x": pl.Int8()})
    """
    if frame.columns != list(types):
        raise DataError(
            f"{path} has the columns {', '.join(frame.columns)}, {first} has {', '.join(types)}; "
            "name files with the same columns"
        )
    for name, found in frame.schema.items():
        if not _compatible(found, types[name]):
            raise DataError(
                f"{path}: the column {name!r} has the type {found}, in {first} {types[name]}; "
                "write all files with the same types"
            )


def _compatible(first: pl.DataType, second: pl.DataType) -> bool:
    if isinstance(first, pl.List) and isinstance(second, pl.List):
        return _compatible(first.inner, second.inner)
    integers = first.is_integer() and second.is_integer()
    return first == second or pl.Null in (first, second) or integers


def _is_utf8(value: bytes | None) -> bool:
    try:
        (value or b"").decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True

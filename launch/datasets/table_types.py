"""The types that columns of tables have: few kinds, and the same in all files of a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl

from launch.datasets.raw import RowAccount
from zoo.data.files import DataError


def plain_types(frame: pl.DataFrame) -> pl.DataFrame:
    """Makes texts of dictionaries, and lists of arrays of fixed length.

    Args:
        frame: Rows of a Parquet file.

    Returns:
        The rows; other types stay.

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
        column: [n] text, numbers or booleans.

    Returns:
        [n] float64, null for what is missing or no number; "inf" and "nan" are what they say.

    Example:
        >>> as_numbers(pl.Series([" 1.5", "x", None])).to_list()
        [1.5, None, None]
    """
    if column.dtype == pl.String:
        column = column.str.strip_chars()
    return column.cast(pl.Float64, strict=False)


def as_text(frame: pl.DataFrame, account: RowAccount, columns: Sequence[str]) -> pl.DataFrame:
    """Makes texts of bytes; rows in which they are no UTF-8 are left out.

    Args:
        frame: Rows.
        account: Receives how many rows are left out.
        columns: Names of the columns of bytes.

    Returns:
        The rows that are left.

    Example:
        >>> frame, account = pl.DataFrame({"word": [b"a", b"\\xff"]}), RowAccount()
        >>> as_text(frame, account, ["word"]).rows(), account.total_damaged
        ([('a',)], 1)
    """
    texts = dict.fromkeys(columns, pl.String)
    try:
        return frame.cast(texts)
    except pl.exceptions.ComputeError:
        rows = frame.select(columns).iter_rows()
        good = pl.Series([all(map(_is_utf8, row)) for row in rows])
        account.damaged["bytes that are no UTF-8"] += int((~good).sum())
        return frame.filter(good).cast(texts)


def check_same_types(
    path: str, frame: pl.DataFrame, first: str, types: Mapping[str, pl.DataType]
) -> None:
    """Raises unless rows have the columns of those before, and types with the same texts.

    Whole numbers of any size are alike, and a column without a value is like any other; 1 and 1.0
    would be different values of a field.

    Args:
        path: File of the rows.
        frame: The rows.
        first: Another file of the table.
        types: Its columns.

    Raises:
        DataError: Naming the column.

    Example:
        >>> check_same_types("b.parquet", pl.DataFrame({"x": [1]}), "a.parquet", {"x": pl.Int8()})
    """
    if frame.columns != list(types):
        raise DataError(
            f"{path} has the columns {', '.join(frame.columns)}, {first} has {', '.join(types)}; "
            "give files with the same columns"
        )
    for name, found in frame.schema.items():
        if not _alike(found, types[name]):
            raise DataError(
                f"{path}: the column {name!r} has the type {found}, in {first} {types[name]}; "
                "write all files with the same types"
            )


def _alike(one: pl.DataType, other: pl.DataType) -> bool:
    if isinstance(one, pl.List) and isinstance(other, pl.List):
        return _alike(one.inner, other.inner)
    return one == other or pl.Null in (one, other) or (one.is_integer() and other.is_integer())


def _is_utf8(value: bytes | None) -> bool:
    try:
        (value or b"").decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True

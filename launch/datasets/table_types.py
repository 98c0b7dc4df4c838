"""Column types of tables: conversions, and the check that all files have the same."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import polars as pl

from launch.datasets.raw import RowAccount
from zoo.data.files import DataError
from zoo.data.schema import Schema

_UTF8 = "invalid UTF-8"
_SHOWN = 40  # bytes of a value in a message


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


def used_columns(schema: Schema) -> frozenset[str]:
    """Returns the columns of a table that a schema names.

    Args:
        schema: `Schema`.

    Returns:
        Frozen set of the names of features, label, weight, group and time.

    Example:
        >>> from zoo import Categorical
        >>> sorted(used_columns(Schema("tiny", [Categorical("user")], time="day")))
        ['day', 'label', 'user']
    """
    roles = (schema.label, schema.weight, schema.group, schema.time)
    features = (column.name for column in schema.columns)
    return frozenset([*filter(None, roles), *features])


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


def as_text(
    frame: pl.DataFrame,
    account: RowAccount,
    columns: Sequence[str],
    needed: Collection[str] | None = None,
) -> pl.DataFrame:
    """Converts columns of bytes to text; rows with invalid UTF-8 are skipped.

    Args:
        frame: polars `DataFrame`, the rows.
        account: `RowAccount` that receives the number of skipped rows.
        columns: names of the columns of bytes.
        needed: names of the columns that are used; in others, U+FFFD replaces invalid bytes, and no
            row is skipped. Defaults to `None`: all.

    Returns:
        The other rows.

    Example:
        >>> frame, account = pl.DataFrame({"word": [b"a", b"\\xff"]}), RowAccount()
        >>> as_text(frame, account, ["word"]).rows(), account.total_damaged
        ([('a',)], 1)
    """
    texts = dict.fromkeys(columns, pl.String)
    if valid_utf8(frame, columns) is None:
        return frame.cast(texts)
    good, replaced = pl.repeat(True, frame.height, eager=True), []
    for name in columns:
        valid = valid_utf8(frame, [name])
        if valid is None:
            continue
        if needed is not None and name not in needed:
            values = [(value or b"").decode("utf-8", "replace") for value in frame[name]]
            replaced.append(pl.Series(name, values))
            continue
        account.examples.setdefault(_UTF8, _bad_byte(name, frame[name].filter(~valid)[0]))
        good &= valid
    if not good.all():
        account.damaged[_UTF8] += int((~good).sum())
    return frame.with_columns(replaced).filter(good).cast(texts)


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


def _bad_byte(name: str, value: bytes) -> str:
    try:
        value.decode("utf-8")
    except UnicodeDecodeError as error:
        byte = value[error.start]
        start = max(0, error.start - _SHOWN // 2)
        text = value[start : start + _SHOWN].decode("latin-1")
        return f"byte 0x{byte:02x} in column {name!r}, {text!r} in Latin-1"
    raise AssertionError(value)


def _is_utf8(value: bytes | None) -> bool:
    try:
        (value or b"").decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True

"""Streams rows of CSV, TSV and Parquet files, local or remote, of any size."""

from __future__ import annotations

import functools
import os
import sys
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
import pyarrow as pa
from pyarrow import csv, parquet

from launch.datasets.raw import RowAccount
from launch.datasets.table_types import as_text, check_same_types, plain_types, valid_utf8
from launch.datasets.unreadable import check_text, readable
from launch.raw.files import RawFile
from launch.raw.header import check_separator, warn_of_data
from zoo.data.files import DataError

Reasons = Callable[[pl.DataFrame], dict[int, str]]

_BLOCK = 1 << 24  # bytes per block of a CSV file
_PARQUET_ROWS = 1 << 16
_COMPRESSIONS = (".gz", ".bz2", ".zst", ".lz4")
_SEPARATORS = {".csv": ",", ".tsv": "\t", ".tab": "\t", ".txt": "\t"}
_PARQUET = (".parquet", ".pq")


def table_rows(
    files: Sequence[str],
    *,
    names: Sequence[str] | None = None,
    separator: str | None = None,
    needed: Collection[str] | None = None,
) -> TableRows:
    """Streams the rows of files with the same columns, one file after another.

    All CSV columns are text; the schema determines how they are read. Rows with a wrong number of
    columns or with invalid UTF-8 in a needed column are skipped and counted. Columns of Parquet
    files keep their types, except that dictionaries become text and arrays of fixed length become
    lists.

    Args:
        files: paths of `.csv`, `.tsv`, `.tab` or `.txt` (tabs) files, each also compressed (`.gz`,
            `.bz2`, `.zst`, `.lz4`), or of `.parquet` or `.pq` files; local or `scheme://...`.
        names: names of the columns of CSV files without a header. Defaults to `None`: the files
            have a header.
        separator: string, separator of the columns of CSV files. Defaults to `None`: that of the
            file name.
        needed: names of the columns that are used. Defaults to `None`: all.

    Returns:
        `TableRows`, a stream of rows.

    Raises:
        DataError: while reading, if a file is missing or unreadable, or its columns or their types
            differ from those of the first file.

    Example:
        >>> import tempfile
        >>> path = tempfile.mkdtemp() + "/rows.csv"
        >>> _ = open(path, "w").write("label,user\\n1,ann\\n0,bob\\n")
        >>> [frame.rows() for frame in table_rows([path])(RowAccount())]
        [[('1', 'ann'), ('0', 'bob')]]
    """

    return TableRows(tuple(files), names, separator, needed)


@dataclass(frozen=True)
class TableRows:
    """The stream that `table_rows` returns.

    Args:
        files, names, separator, needed: as of `table_rows`.

    Example:
        >>> TableRows(("rows.csv",)).files
        ('rows.csv',)
    """

    files: tuple[str, ...]
    names: Sequence[str] | None = None
    separator: str | None = None
    needed: Collection[str] | None = None

    def __call__(self, account: RowAccount) -> Iterator[pl.DataFrame]:
        types: dict[str, pl.DataType] = {}
        for path in self.files:
            before = account.bytes_read
            for frame in _read(path, self.names, self.separator, self.needed, account):
                check_same_types(path, frame, self.files[0], types or dict(frame.schema))
                types |= {n: t for n, t in frame.schema.items() if types.get(n, pl.Null) == pl.Null}
                yield frame
            account.bytes_read = before + RawFile(path).size


def column_names(path: str, separator: str | None = None) -> list[str]:
    """Reads the names of the columns of a file.

    Args:
        path: string, CSV file with a header, or Parquet file.
        separator: as in `table_rows`.

    Returns:
        List of strings.

    Raises:
        DataError: if the file is missing or unreadable, or a name occurs twice.

    Example:
        >>> column_names("rows.csv")  # doctest: +SKIP
        ['label', 'user']
    """
    is_csv = not is_parquet(path)
    with readable(path):
        if is_csv:
            check_text(path)
            with RawFile(path) as file:
                reader = csv.open_csv(file.stream, parse_options=_parsing(path, separator, None))
                found = reader.schema.names
        else:
            with RawFile(path).open_random() as file:
                found = parquet.ParquetFile(file).schema_arrow.names
    if is_csv:
        check_separator(path, found, separator_of(path, separator))
        warn_of_data(path, found)
    twice = [name for name, count in Counter(found).items() if count > 1]
    if twice:
        fix = "; if it has no header, insert a line with the names" if is_csv else ""
        raise DataError(
            f"{path}: the column {twice[0]!r} occurs twice in its header; rename one{fix}"
        )
    return found


def is_table(path: str) -> bool:
    """Returns whether `table_rows` reads a file, according to its name.

    Args:
        path: string, name of a file.

    Returns:
        Boolean.

    Example:
        >>> is_table("part-0.csv.gz"), is_table("README.md")
        (True, False)
    """
    return _ending(path) in (*_SEPARATORS, *_PARQUET)


def is_parquet(path: str) -> bool:
    """Returns whether a file is a Parquet file, according to its name."""
    return _ending(path) in _PARQUET


def separator_of(path: str, separator: str | None = None) -> str:
    """Returns the separator of a CSV file's columns: the given one, or that of the file name."""
    return separator or _SEPARATORS.get(_ending(path), ",")


def _read(
    path: str,
    names: Sequence[str] | None,
    separator: str | None,
    needed: Collection[str] | None,
    account: RowAccount,
) -> Iterator[pl.DataFrame]:
    if is_parquet(path):
        return read_parquet(path, account)
    return read_csv(path, names, separator, account, needed=needed)


def read_parquet(
    path: str, account: RowAccount, groups: Sequence[int] | None = None
) -> Iterator[pl.DataFrame]:
    """Streams the rows of a Parquet file.

    Args:
        path: string, the file.
        account: `RowAccount` that receives the number of bytes read.
        groups: numbers of the row groups to read. Defaults to `None`: all.

    Yields:
        The rows.

    Raises:
        DataError: if the file is missing or unreadable.
    """
    column_names(path)  # raises an error that names the repeated column
    file = RawFile(path)
    before = account.bytes_read
    with readable(path), file.open_random() as stream:
        table = parquet.ParquetFile(stream)
        done, total = 0, max(1, table.metadata.num_rows)
        for batch in table.iter_batches(_PARQUET_ROWS, row_groups=groups):
            done += batch.num_rows
            account.bytes_read = before + file.size * done // total
            yield plain_types(pl.from_arrow(batch))


def read_csv(
    path: str,
    names: Sequence[str] | None,
    separator: str | None,
    account: RowAccount,
    damaged: dict[int, str] | None = None,
    reasons: Reasons | None = None,
    needed: Collection[str] | None = None,
    part: tuple[int, int] | None = None,
) -> Iterator[pl.DataFrame]:
    """Streams the rows of a CSV file.

    Args:
        path: string, the file.
        names: sequence of strings, names of the columns. Defaults to `None`: the file has a header.
        separator: string, separator of the columns. Defaults to `None`: that of the file name.
        account: `RowAccount` that receives the counts.
        damaged: dict that receives the number of each skipped row, from 0, and the reason. Defaults
            to `None`: they are only counted, which is faster.
        reasons: callable that takes rows and returns the reasons of damaged ones by their position;
            they are added to `damaged` and still yielded. Defaults to `None`.
        needed: names of the columns that are used, as in `table_rows`. Defaults to `None`: all.
        part: range of bytes, as of `RawFile.lines`, of which the rows are read. Defaults to `None`:
            the whole file.

    Yields:
        The other rows, as text.

    Raises:
        DataError: if the file is missing or unreadable.
    """
    header = column_names(path, separator) if names is None else list(names)
    before = account.bytes_read
    with readable(path), RawFile(path) as file:
        stream = file.stream if part is None else file.lines(*part)
        if stream is None:
            return
        reader = csv.open_csv(
            stream,
            read_options=csv.ReadOptions(
                block_size=_BLOCK,
                column_names=None if names is None else header,
                use_threads=damaged is None,  # with threads, Arrow does not number the rows
            ),
            # Arrow reports rows of a wrong length; polars raises, pads or cuts them.
            parse_options=_parsing(path, separator, account, damaged, names is None),
            # Read as bytes, because invalid UTF-8 in a text column would end the stream.
            convert_options=csv.ConvertOptions(
                column_types={name: pa.binary() for name in header}, strings_can_be_null=False
            ),
        )
        row = 0
        for batch in reader:
            account.bytes_read = before + file.position()
            frame = pl.from_arrow(batch)  # also names columns without a name
            if damaged is not None:
                row = _note(frame, row, damaged, reasons, needed)
            yield as_text(frame, account, frame.columns, needed)


def _note(
    frame: pl.DataFrame,
    row: int,
    damaged: dict[int, str],
    reasons: Reasons | None,
    needed: Collection[str] | None,
) -> int:
    """Adds the damaged rows of a frame; returns the number of the next row."""
    if needed is not None:
        frame = frame.select(name for name in frame.columns if name in needed)
    good = valid_utf8(frame, frame.columns)
    places = np.arange(frame.height)
    found = {}
    if good is not None:
        found = dict.fromkeys(np.flatnonzero(~good.to_numpy()).tolist(), "invalid UTF-8")
        places, frame = places[good.to_numpy()], frame.filter(good)
    if reasons is not None:
        texts = frame.cast(dict.fromkeys(frame.columns, pl.String))
        found |= {int(places[place]): reason for place, reason in reasons(texts).items()}
    skipped = set(damaged)  # they have a wrong number of columns and are not in the frame
    for place in range(frame.height if good is None else len(good)):
        while row in skipped:
            row += 1
        if place in found:
            damaged[row] = found[place]
        row += 1
    return row


def _parsing(
    path: str,
    separator: str | None,
    account: RowAccount | None,
    damaged: dict[int, str] | None = None,
    has_header: bool = True,
) -> csv.ParseOptions:
    separator = separator_of(path, separator)

    _ignore_rows_of_other_bytes()

    def skip(row: csv.InvalidRow) -> str:
        if account is not None:
            # A quotation mark without an end joins all lines up to the next one into one row.
            account.damaged["wrong number of columns"] += 1 + row.text.rstrip("\n").count("\n")
        if damaged is not None:
            damaged[row.number - 1 - has_header] = (
                f"wrong number of columns ({row.actual_columns}, the header has "
                f"{row.expected_columns})"
            )
        return "skip"

    # Files with tabs are written without quotes, so quotation marks are plain characters.
    quote = False if separator == "\t" else '"'
    return csv.ParseOptions(
        delimiter=separator,
        quote_char=quote,
        newlines_in_values=bool(quote),
        invalid_row_handler=skip,
    )


@functools.cache
def _ignore_rows_of_other_bytes() -> None:
    """Suppresses Python's stack trace for a row that Arrow cannot convert to text.

    Arrow converts a row of a wrong length to text before it calls `skip`. If this fails, the
    exception goes to `sys.unraisablehook`, and reading ends with an error of Arrow, which
    `_unreadable` explains.
    """
    hook = sys.unraisablehook

    def quiet_hook(unraisable) -> None:
        name = getattr(unraisable.object, "__qualname__", "")
        if not (isinstance(unraisable.exc_value, UnicodeDecodeError) and name.startswith(_SKIP)):
            hook(unraisable)

    sys.unraisablehook = quiet_hook


_SKIP = f"{_parsing.__qualname__}.<locals>"


def _ending(path: str) -> str:
    name = path.partition("?")[0].lower() if "://" in path else path.lower()
    for compression in _COMPRESSIONS:
        name = name.removesuffix(compression)
    return os.path.splitext(name)[1]

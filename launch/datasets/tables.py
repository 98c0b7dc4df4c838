"""Streams of rows from CSV, TSV and Parquet files, local or remote, of any size."""

from __future__ import annotations

import functools
import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence

import polars as pl
import pyarrow as pa
from pyarrow import csv, parquet

from launch.datasets.raw import RowAccount, Rows
from launch.datasets.table_types import as_text, check_same_types, plain_types
from launch.raw.files import RawFile
from zoo.data.files import DataError

_BLOCK = 1 << 24  # bytes of a CSV file parsed at a time
_PARQUET_ROWS = 1 << 16
_COMPRESSIONS = (".gz", ".bz2", ".zst", ".lz4")
_SEPARATORS = {".csv": ",", ".tsv": "\t", ".tab": "\t", ".txt": "\t"}
_PARQUET = (".parquet", ".pq")
_START = 4096  # bytes looked at
_NO_UTF8 = "Is it in another encoding? iconv -f LATIN1 -t UTF-8 FILE > NEW makes UTF-8 of Latin-1"
_UTF_16 = "UTF-16 text; iconv -f UTF-16 -t UTF-8 FILE > NEW makes UTF-8 of it"
_NO_TEXT = {
    b"\xff\xfe": _UTF_16,
    b"\xfe\xff": _UTF_16,
    b"\x1f\x8b": "compressed by gzip; give its name the ending .gz",
    b"BZh": "compressed by bzip2; give its name the ending .bz2",
    b"\x28\xb5\x2f\xfd": "compressed by zstd; give its name the ending .zst",
    b"PK\x03\x04": "a zip archive or a spreadsheet; unzip it, or save it as CSV",
    b"PAR1": "a Parquet file; give its name the ending .parquet",
}


def table_rows(
    files: Sequence[str], *, names: Sequence[str] | None = None, separator: str | None = None
) -> Rows:
    """Streams files, one after another; all have the same columns.

    Every CSV column is text, so that what a column means is decided in one place, the schema.
    Rows with a wrong number of columns or with bytes that are no UTF-8 are left out and counted.
    Columns of a Parquet file keep their types, but dictionaries become their texts, arrays of
    fixed length lists.

    Args:
        files: `.csv`, `.tsv`, `.tab`, `.txt` (tabs), each also compressed (`.gz`, `.bz2`, `.zst`,
            `.lz4`), or `.parquet`, `.pq`; local or `scheme://...`.
        names: Names of the columns of CSV files without a header.
        separator: What stands between the columns of a CSV file; None goes by the ending.

    Returns:
        The rows.

    Raises:
        DataError: While reading, if a file is missing, unreadable, or has other columns, or columns
            of other types, than the first.

    Example:
        >>> import tempfile
        >>> path = tempfile.mkdtemp() + "/rows.csv"
        >>> _ = open(path, "w").write("label,user\\n1,ann\\n0,bob\\n")
        >>> [frame.rows() for frame in table_rows([path])(RowAccount())]
        [[('1', 'ann'), ('0', 'bob')]]
    """

    def rows(account: RowAccount) -> Iterator[pl.DataFrame]:
        types: dict[str, pl.DataType] = {}
        for path in files:
            before = account.bytes_read
            for frame in _read(path, names, separator, account):
                check_same_types(path, frame, files[0], types or dict(frame.schema))
                types |= {n: t for n, t in frame.schema.items() if types.get(n, pl.Null) == pl.Null}
                yield frame
            account.bytes_read = before + RawFile(path).size

    return rows


def column_names(path: str, separator: str | None = None) -> list[str]:
    """Reads the names of the columns of a file.

    Args:
        path: CSV file with a header, or Parquet file.
        separator: As for `table_rows`.

    Returns:
        The names.

    Raises:
        DataError: If the file is missing or unreadable, or a name occurs twice.

    Example:
        >>> column_names("rows.csv")  # doctest: +SKIP
        ['label', 'user']
    """
    try:
        if _ending(path) in _PARQUET:
            with RawFile(path).open_random() as file:
                found = parquet.ParquetFile(file).schema_arrow.names
        else:
            _check_text(path)
            with RawFile(path) as file:
                reader = csv.open_csv(file.stream, parse_options=_parsing(path, separator, None))
                found = reader.schema.names
    except (OSError, EOFError, pa.ArrowException, UnicodeDecodeError) as error:
        raise _unreadable(path, error) from None
    twice = [name for name, count in Counter(found).items() if count > 1]
    if twice:
        raise DataError(f"{path}: the column {twice[0]!r} occurs twice in its header; rename one")
    return found


def is_table(path: str) -> bool:
    """Tells by its ending whether a file is one that `table_rows` reads.

    Args:
        path: Name of a file.

    Returns:
        Whether it is.

    Example:
        >>> is_table("part-0.csv.gz"), is_table("README.md")
        (True, False)
    """
    return _ending(path) in (*_SEPARATORS, *_PARQUET)


def _read(
    path: str, names: Sequence[str] | None, separator: str | None, account: RowAccount
) -> Iterator[pl.DataFrame]:
    reading = (
        _read_parquet(path, account)
        if _ending(path) in _PARQUET
        else _read_csv(path, names, separator, account)
    )
    try:
        yield from reading
    except (OSError, EOFError, pa.ArrowException) as error:
        raise _unreadable(path, error) from None


def _unreadable(path: str, error: Exception) -> DataError:
    reason, advice = str(error).strip().rstrip("."), ""
    if isinstance(error, UnicodeDecodeError):
        advice = f". {_NO_UTF8}"
    elif "straddling object" in reason:
        advice = ". Has a value a quotation mark at its beginning and none at its end?"
    elif "CSV parse error: Expected" in reason:  # else it would have been left out
        reason = reason.partition(": ")[2]
        count, _, row = reason.partition(": ")
        reason = f"{count} in the row {row[:60]!r}"
        advice = f". The row holds bytes that are no UTF-8 besides. {_NO_UTF8}"
    elif "Parquet magic bytes" in reason or "thrift" in reason:
        advice = ". Copy the file again"
    elif "decompress failed" in reason or "inflate failed" in reason:
        advice = ". If it is not compressed, rename it; else copy it again"
    elif reason.startswith("Truncated compressed"):
        advice = ". Copy the file again"
    return DataError(f"{path} cannot be read as a table: {reason}{advice}")


def _check_text(path: str) -> None:
    """Raises if a file that should be text begins as something else does."""
    with RawFile(path) as file:
        start = file.stream.read(_START)
    for mark, what in _NO_TEXT.items():
        if start.startswith(mark):
            raise DataError(f"{path} cannot be read as a table: it is {what}")
    if b"\0" in start:
        raise DataError(
            f"{path} cannot be read as a table: it is no text (byte {start.index(0)} is 0); name a "
            "file of comma- or tab-separated text, or Parquet with the ending .parquet"
        )


def _read_parquet(path: str, account: RowAccount) -> Iterator[pl.DataFrame]:
    column_names(path)  # raises an error that names the repeated column
    file = RawFile(path)
    before = account.bytes_read
    with file.open_random() as stream:
        table = parquet.ParquetFile(stream)
        done, total = 0, max(1, table.metadata.num_rows)
        for batch in table.iter_batches(_PARQUET_ROWS):
            done += batch.num_rows
            account.bytes_read = before + file.size * done // total
            yield plain_types(pl.from_arrow(batch))


def _read_csv(
    path: str, names: Sequence[str] | None, separator: str | None, account: RowAccount
) -> Iterator[pl.DataFrame]:
    header = column_names(path, separator) if names is None else list(names)
    before = account.bytes_read
    with RawFile(path) as file:
        reader = csv.open_csv(
            file.stream,
            read_options=csv.ReadOptions(
                block_size=_BLOCK, column_names=None if names is None else header
            ),
            # Arrow hands over ragged rows to be counted; polars raises, pads or cuts them.
            parse_options=_parsing(path, separator, account),
            # Bytes, not text: bad UTF-8 would end the stream, and here it costs a row only.
            convert_options=csv.ConvertOptions(
                column_types={name: pa.binary() for name in header}, strings_can_be_null=False
            ),
        )
        for batch in reader:
            account.bytes_read = before + file.position()
            frame = pl.from_arrow(batch)  # which names a column without a name
            yield as_text(frame, account, frame.columns)


def _parsing(path: str, separator: str | None, account: RowAccount | None) -> csv.ParseOptions:
    separator = separator or _SEPARATORS.get(_ending(path), ",")

    _ignore_rows_of_other_bytes()

    def skip(row: csv.InvalidRow) -> str:
        if account is not None:
            # A quotation mark that nothing ends until the next one makes one row of many lines.
            account.damaged["wrong number of columns"] += 1 + row.text.rstrip("\n").count("\n")
        return "skip"

    # Files with tabs are written without quotes; a quotation mark is then a character.
    quote = False if separator == "\t" else '"'
    return csv.ParseOptions(
        delimiter=separator,
        quote_char=quote,
        newlines_in_values=bool(quote),
        invalid_row_handler=skip,
    )


@functools.cache
def _ignore_rows_of_other_bytes() -> None:
    """Keeps Python from printing a stack trace for a row that Arrow can make no text of.

    Arrow makes a text of a row with too few or too many columns before it calls `skip`. Where it
    cannot, the exception goes to Python's hook for what nobody can catch, and reading ends with
    Arrow's own error, which `_unreadable` explains.
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

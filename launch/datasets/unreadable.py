"""Explains why a file cannot be read as a table."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pyarrow as pa

from launch.raw.files import RawFile
from zoo.data.files import DataError

_START = 4096  # bytes that are checked
_NO_UTF8 = "If it is Latin-1, iconv -f LATIN1 -t UTF-8 FILE > NEW converts it to UTF-8"
_UTF_16 = "UTF-16 text; iconv -f UTF-16 -t UTF-8 FILE > NEW converts it to UTF-8"
_NO_TEXT = {
    b"\xff\xfe": _UTF_16,
    b"\xfe\xff": _UTF_16,
    b"\x1f\x8b": "compressed by gzip; rename it to .gz",
    b"BZh": "compressed by bzip2; rename it to .bz2",
    b"\x28\xb5\x2f\xfd": "compressed by zstd; rename it to .zst",
    b"PK\x03\x04": "a zip archive or a spreadsheet; unzip it, or save it as CSV",
    b"PAR1": "a Parquet file; rename it to .parquet",
}


@contextlib.contextmanager
def readable(path: str) -> Iterator[None]:
    """Names the file in the errors of reading it.

    Args:
        path: string, the file.

    Raises:
        DataError: instead of errors of the file system, of pyarrow and of decoding.

    Example:
        >>> with readable("a.csv"):
        ...     raise EOFError("the file ended early")
        Traceback (most recent call last):
        zoo.data.files.DataError: a.csv cannot be read as a table: the file ended early
    """
    try:
        yield
    except (OSError, EOFError, pa.ArrowException, UnicodeDecodeError) as error:
        raise _unreadable(path, error) from None


def _unreadable(path: str, error: Exception) -> DataError:
    reason, advice = str(error).strip().rstrip("."), ""
    if isinstance(error, UnicodeDecodeError):
        advice = f". {_NO_UTF8}"
    elif "straddling object" in reason:
        advice = ". Check for values with a quotation mark at the beginning only"
    elif "CSV parse error: Expected" in reason:  # the row could not be skipped
        reason = reason.partition(": ")[2]
        count, _, row = reason.partition(": ")
        reason = f"{count} in the row {row[:60]!r}"
        advice = f". The row also contains invalid UTF-8. {_NO_UTF8}"
    elif "Parquet magic bytes" in reason or "thrift" in reason:
        advice = ". Copy the file again"
    elif "decompress failed" in reason or "inflate failed" in reason:
        advice = ". If it is not compressed, rename it; otherwise copy it again"
    elif reason.startswith("Truncated compressed"):
        advice = ". Copy the file again"
    return DataError(f"{path} cannot be read as a table: {reason}{advice}")


def check_text(path: str) -> None:
    """Raises if the first bytes of a file are not text.

    Args:
        path: string, the file.

    Raises:
        DataError: says what the file is, and what to do.

    Example:
        >>> check_text(__file__)
    """
    with RawFile(path) as file:
        start = file.stream.read(_START)
    for mark, what in _NO_TEXT.items():
        if start.startswith(mark):
            raise DataError(f"{path} cannot be read as a table: it is {what}")
    if b"\0" in start:
        raise DataError(
            f"{path} cannot be read as a table: it is not text (byte {start.index(0)} is 0); name "
            "a file of comma- or tab-separated text, or a Parquet file with the ending .parquet"
        )

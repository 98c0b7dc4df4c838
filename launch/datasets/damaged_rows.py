"""Finds the rows of a CSV file that `table_rows` skips, and their lines."""

from __future__ import annotations

import csv
import io
import os
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from launch.datasets.raw import RowAccount
from launch.datasets.tables import Reasons, is_parquet, read_csv, separator_of
from launch.raw.files import RawFile

_SHOWN = 10  # lines in a message


def damaged_rows(
    path: str | os.PathLike[str],
    separator: str | None = None,
    *,
    reasons: Reasons | None = None,
    most: int | None = None,
    needed: Collection[str] | None = None,
) -> dict[int, str]:
    """Returns the rows of a file that are damaged, with the reason.

    The file is read by the reader of `table_rows`.

    Args:
        path: string, CSV file with a header, or Parquet file.
        separator: string, separator of the columns. Defaults to `None`: that of the file name.
        reasons: callable that takes rows (polars `DataFrame` of texts) and returns the reasons of
            those that are damaged, by their position. Defaults to `None`: rows are damaged only by
            a wrong number of columns or invalid UTF-8.
        most: int, number of rows after which the search ends. Defaults to `None`: all.
        needed: names of the columns that are used, as in `table_rows`. Defaults to `None`: all.

    Returns:
        Dict from the number of a row, from 0 and without the header and blank lines, to such as
        "wrong number of columns (2, the header has 3)"; ascending. Rows of Parquet files are never
        damaged.

    Raises:
        DataError: if the file is missing or unreadable.

    Example:
        >>> import tempfile
        >>> path = tempfile.mkdtemp() + "/rows.csv"
        >>> _ = open(path, "w").write("label,user\\n1,ann\\n0\\n1,bob\\n")
        >>> damaged_rows(path)
        {1: 'wrong number of columns (1, the header has 2)'}
    """
    path = os.fspath(path)
    found: dict[int, str] = {}
    if not is_parquet(path):
        for _ in read_csv(path, None, separator, RowAccount(), found, reasons, needed):
            if most is not None and len(found) >= most:
                break
    return dict(sorted(found.items())[:most])


def lines_of(
    path: str | os.PathLike[str], rows: Iterable[int], separator: str | None = None
) -> dict[int, int]:
    """Returns the first line of rows of a CSV file.

    Args:
        path: string, CSV file with a header.
        rows: ints, numbers of rows as in `damaged_rows`.
        separator: string, separator of the columns. Defaults to `None`: that of the file name.

    Returns:
        Dict from row to its line, from 1; the header is usually line 1.

    Example:
        >>> import tempfile
        >>> path = tempfile.mkdtemp() + "/rows.csv"
        >>> _ = open(path, "w").write('label,user\\n\\n1,"a\\nb"\\n0,c\\n')
        >>> lines_of(path, [0, 1])
        {0: 3, 1: 5}
    """
    wanted, found = set(rows), {}
    for number, line in enumerate(_starts(os.fspath(path), separator), start=-1):
        if number in wanted:
            found[number] = line
            if len(found) == len(wanted):
                break
    return found


def places_of(path: str, rows: Sequence[int], separator: str | None = None) -> list[str]:
    """Returns where rows of a CSV file are, such as "line 7"; "row 6" if no line is found.

    Args:
        path, rows, separator: as of `lines_of`.
    """
    lines = lines_of(path, rows, separator)
    return [f"line {lines[row]}" if row in lines else f"row {row + 1}" for row in rows]


def damage(path: str, rows: Mapping[int, str], separator: str | None = None) -> str:
    """Returns a message that names damaged rows by their lines.

    Args:
        path: string, CSV file.
        rows: dict, the result of `damaged_rows`, not empty.
        separator: as of `damaged_rows`.

    Returns:
        String, such as "rows.csv, line 3: wrong number of columns (1, the header has 2); 2 rows are
        damaged, in the lines 3, 9".

    Example:
        >>> damage("rows.csv", {4: "invalid UTF-8"})  # doctest: +SKIP
        'rows.csv, line 6: invalid UTF-8'
    """
    places = places_of(path, list(rows)[:_SHOWN], separator)
    text = f"{path}, {places[0]}: {next(iter(rows.values()))}"
    if len(rows) == 1:
        return text
    more = ", ..." if len(rows) > _SHOWN else ""
    numbers = ", ".join(place.removeprefix("line ") for place in places)
    return f"{text}; {len(rows):,} rows are damaged, in the lines {numbers}{more}"


def _starts(path: str, separator: str | None) -> Iterator[int]:
    """Yields the first line of the header and of each row, without blank lines."""
    separator = separator_of(path, separator)
    quoting = csv.QUOTE_NONE if separator == "\t" else csv.QUOTE_MINIMAL
    before = csv.field_size_limit(sys.maxsize)
    try:
        with RawFile(path) as file:
            # Each byte is a character: this does not depend on the encoding.
            text = io.TextIOWrapper(file.stream, "latin-1", newline="")
            reader = csv.reader(text, delimiter=separator, quoting=quoting)
            last = 0
            for row in reader:
                if row:
                    yield last + 1
                last = reader.line_num
    except csv.Error:  # the caller names rows instead of lines
        return
    finally:
        csv.field_size_limit(before)

"""Divides the rows of a data set into parts that can be read independently of each other."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import polars as pl
from pyarrow import parquet

from launch.datasets.raw import Choose, RawData, RowAccount, Rows, SharedSplits, by_split
from launch.datasets.splitting import FoldChoice, MappedRows
from launch.datasets.table_types import check_same_types, plain_types
from launch.datasets.tables import (
    TableRows,
    column_names,
    is_parquet,
    read_csv,
    read_parquet,
    separator_of,
)
from launch.datasets.unreadable import readable
from launch.raw.files import RawFile, is_compressed

PART_BYTES = 1 << 26  # of a file, per part


@dataclass(frozen=True)
class Part:
    """Consecutive rows of a data set.

    Args:
        rows: stream of the rows.
        names: tuple of strings, the splits that the rows may belong to.
        choose: function that chooses the split of each row. Defaults to `None`: there is one split.
        first: int, number of the first row in the stream that `choose` divides. Defaults to 0.
        file: string, the raw file of the rows. Defaults to "": not one file.

    Example:
        >>> from launch.datasets.raw import in_memory
        >>> part = Part(in_memory(pl.DataFrame({"x": [5, 6]})), ("train",))
        >>> [(split, frame.height) for split, frame in part.stream(RowAccount())]
        [('train', 2)]
    """

    rows: Rows
    names: tuple[str, ...]
    choose: Choose | None = None
    first: int = 0
    file: str = ""

    def stream(self, account: RowAccount) -> Iterator[tuple[str, pl.DataFrame]]:
        """Yields the name of a split and some of its rows, in the order of the rows."""
        first = self.first
        for frame in self.rows(account):
            if self.choose is None:
                yield self.names[0], frame
            else:
                yield from by_split(frame, self.choose(first, frame, account), self.names)
            first += frame.height

    def numbered(self, first: int, stop: int | None = None) -> Part:
        """Returns the part with the numbers of its first row and of the row after its last."""
        choose = self.choose
        if isinstance(choose, FoldChoice):  # which has a number for each row of the data set
            choose = choose.between(first, stop)
        return replace(self, first=first, choose=choose)


def parts_of(raw: RawData, size: int = PART_BYTES) -> list[Part]:
    """Divides a data set into parts; together, and in this order, they are its stream.

    - Parquet files are divided between row groups.
    - Files with tabs that are not compressed are divided between lines: they have no quotes, so
      that every line end is the end of a row.
    - Any other file is one part. Rows that are not read from tables are one part.

    Args:
        raw: `RawData`, the data set.
        size: int, bytes of a part, about. Defaults to 67,108,864.

    Returns:
        List of `Part`. Parts with `choose` still need the numbers of their first rows, see
        `Part.numbered`.

    Raises:
        DataError: if a file is missing or unreadable, or its columns or their types differ from
            those of the first file.

    Example:
        >>> from launch.datasets.raw import in_memory
        >>> from zoo import Categorical, Schema
        >>> table = in_memory(pl.DataFrame({"label": [1], "user": ["ann"]}))
        >>> len(parts_of(RawData(Schema("tiny", [Categorical("user")]), {"train": table})))
        1
    """
    splits = raw.splits
    if isinstance(splits, SharedSplits):
        found = divided(splits.shared, size)
        return [Part(rows, tuple(splits), splits.choose, file=_file(rows)) for rows in found]
    return [
        Part(rows, (split,), file=_file(rows))
        for split, stream in splits.items()
        for rows in divided(stream, size)
    ]


def divided(rows: Rows, size: int) -> list[Rows]:
    """Divides a stream of rows into streams.

    Args:
        rows: the stream.
        size: int, bytes of a part, about.

    Returns:
        List of streams, which together are the given one.

    Example:
        >>> from launch.datasets.raw import in_memory
        >>> len(divided(in_memory(pl.DataFrame({"x": [5, 6]})), 1))
        1
    """
    if isinstance(rows, MappedRows):
        return [MappedRows(part, rows.function) for part in divided(rows.rows, size)]
    if isinstance(rows, TableRows):
        _check_types(rows)
        return [part for path in rows.files for part in _divided_file(rows, path, size)]
    return [rows]


@dataclass(frozen=True)
class FilePart:
    """The stream of some of the rows of a table.

    Args:
        path: string, the file.
        names: sequence of strings, names of the columns of a file with no header in this part.
        separator, needed: as of `launch.datasets.tables.table_rows`.
        lines: range of bytes of a text file, as of `RawFile.lines`. Defaults to `None`: all.
        groups: tuple of ints, row groups of a Parquet file. Defaults to `None`: all.

    Example:
        >>> FilePart("rows.tsv", None, None, None, lines=(0, 1000)).path
        'rows.tsv'
    """

    path: str
    names: Sequence[str] | None
    separator: str | None
    needed: frozenset[str] | None
    lines: tuple[int, int] | None = None
    groups: tuple[int, ...] | None = None

    def __call__(self, account: RowAccount) -> Iterator[pl.DataFrame]:
        if is_parquet(self.path):
            return read_parquet(self.path, account, self.groups)
        return read_csv(
            self.path, self.names, self.separator, account, needed=self.needed, part=self.lines
        )


def _divided_file(rows: TableRows, path: str, size: int) -> list[FilePart]:
    needed = None if rows.needed is None else frozenset(rows.needed)
    whole = FilePart(path, rows.names, rows.separator, needed)
    if is_parquet(path):
        return [replace(whole, groups=groups) for groups in _row_groups(path, size)] or [whole]
    total = RawFile(path).size
    if is_compressed(path) or separator_of(path, rows.separator) != "\t" or total <= size:
        return [whole]
    edges = [*range(0, total, size), total]
    parts = [replace(whole, lines=(edges[i], edges[i + 1])) for i in range(len(edges) - 1)]
    if rows.names is None:
        names = column_names(path, rows.separator)  # of which only the first part has a line
        parts[1:] = [replace(part, names=names) for part in parts[1:]]
    return parts


def _row_groups(path: str, size: int) -> list[tuple[int, ...]]:
    found: list[list[int]] = []
    used = size
    with readable(path), RawFile(path).open_random() as file:
        metadata = parquet.ParquetFile(file).metadata
        for number in range(metadata.num_row_groups):
            if used >= size:
                found.append([])
                used = 0
            found[-1].append(number)
            used += metadata.row_group(number).total_byte_size
    return [tuple(groups) for groups in found]


def _check_types(rows: TableRows) -> None:
    """Raises unless all files have the same columns, which reading them one by one cannot see."""
    types: dict[str, pl.DataType] = {}
    for path in rows.files:
        if is_parquet(path):
            with readable(path), RawFile(path).open_random() as file:
                table = parquet.ParquetFile(file).schema_arrow.empty_table()
            frame = plain_types(pl.from_arrow(table))
        else:
            names = rows.names or column_names(path, rows.separator)
            frame = pl.DataFrame(schema=dict.fromkeys(names, pl.String))
        check_same_types(path, frame, rows.files[0], types or dict(frame.schema))
        types |= {n: t for n, t in frame.schema.items() if types.get(n, pl.Null) == pl.Null}


def _file(rows: Rows) -> str:
    while isinstance(rows, MappedRows):
        rows = rows.rows
    return os.fspath(rows.path) if isinstance(rows, FilePart) else ""

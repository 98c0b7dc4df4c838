"""Sorted runs of rows on disk, and their merge: sorting and adding up without much memory."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence

import polars as pl
import pyarrow as pa

CHUNK = 1 << 16  # rows of a run in memory at a time


class RunFiles:
    """Writes sorted tables to files of a local folder, from which they are read in chunks.

    Args:
        folder: string, created if needed; the caller removes it.

    Example:
        >>> import tempfile
        >>> run = RunFiles(tempfile.mkdtemp()).add(pl.DataFrame({"value": ["a"], "count": [2]}))
        >>> [chunk.rows() for chunk in run]
        [[('a', 2)]]
    """

    def __init__(self, folder: str):
        self._folder, self._count = folder, 0

    def add(self, table: pl.DataFrame) -> Run:
        """Writes a table; returns its run."""
        return Run(self._write(table, CHUNK))

    def mapped(self, table: pl.DataFrame) -> pl.DataFrame:
        """Writes a table; returns it mapped from its file instead of in memory."""
        (found,) = Run(self._write(table, table.height))
        return found

    def _write(self, table: pl.DataFrame, rows: int) -> str:
        os.makedirs(self._folder, exist_ok=True)
        path = os.path.join(self._folder, f"{self._count:06d}.arrow")
        self._count += 1
        # Newest: texts in a form that polars uses where they are, without a copy.
        arrow = table.rechunk().to_arrow(compat_level=pl.CompatLevel.newest())
        with pa.ipc.new_file(path, arrow.schema) as writer:
            writer.write_table(arrow, max_chunksize=rows)
        return path


class Run:
    """The rows of a file that `RunFiles` has written; can be read any number of times.

    Args:
        path: string, the file.

    Example:
        >>> import tempfile
        >>> run = RunFiles(tempfile.mkdtemp()).add(pl.DataFrame({"value": []}))
        >>> sum(chunk.height for chunk in run)
        0
    """

    def __init__(self, path: str):
        self._path = path

    def __iter__(self) -> Iterator[pl.DataFrame]:
        with pa.memory_map(self._path) as source, pa.ipc.open_file(source) as reader:
            for number in range(reader.num_record_batches):
                yield pl.from_arrow(reader.get_batch(number))

    def remove(self) -> None:
        """Removes the file."""
        os.remove(self._path)


def merge_sorted(
    runs: Sequence[Iterable[pl.DataFrame]], by: Sequence[str], descending: Sequence[bool]
) -> Iterator[pl.DataFrame]:
    """Merges sorted runs; holds a chunk of each in memory.

    Args:
        runs: sequence of iterables of polars `DataFrame` with the same columns, each sorted over
            all its frames.
        by: names of one or two columns that the runs are sorted by.
        descending: booleans, as many as `by`.

    Yields:
        `DataFrame`, sorted over all frames. Rows with equal keys are in the same frame if each run
        contains the key once.

    Example:
        >>> runs = [[pl.DataFrame({"x": [1, 4]})], [pl.DataFrame({"x": [2]})]]
        >>> [frame["x"].to_list() for frame in merge_sorted(runs, ["x"], [False])]
        [[1, 2], [4]]
    """
    sources = [(frame for frame in run if frame.height) for run in runs]
    heads = [(next(source, None), source) for source in sources]
    heads = [(head, source) for head, source in heads if head is not None]
    order = {"by": list(by), "descending": list(descending)}
    while heads:
        # What a run has not shown yet comes after the last row of its chunk.
        last = pl.concat([head[-1:].select(by) for head, _ in heads])
        bound = last.sort(**order).row(0)
        parts, left = [], []
        for head, source in heads:
            stop = _rows_up_to(head, bound, by, descending)
            parts.append(head[:stop])
            rest = head[stop:] if stop < head.height else next(source, None)
            if rest is not None:
                left.append((rest, source))
        heads = left
        yield pl.concat(parts).sort(**order)


def summed(frames: Iterable[pl.DataFrame], key: str, count: str) -> Iterator[pl.DataFrame]:
    """Adds up the counts of rows with the same key.

    Args:
        frames: sorted polars `DataFrame`s, such as those of `merge_sorted`.
        key: string, name of the column of keys.
        count: string, name of the column of counts.

    Yields:
        `DataFrame` with both columns, sorted, each key once.

    Example:
        >>> frame = pl.DataFrame({"x": [1, 1, 4], "n": [2, 3, 4]})
        >>> [found.rows() for found in summed([frame], "x", "n")]
        [[(1, 5), (4, 4)]]
    """
    for frame in frames:
        yield frame.group_by(key, maintain_order=True).agg(pl.col(count).sum())


def _rows_up_to(
    head: pl.DataFrame, bound: tuple, by: Sequence[str], descending: Sequence[bool]
) -> int:
    """Returns how many rows of a sorted frame do not come after the bound."""
    start, stop = 0, head.height
    for name, value, falling in zip(by, bound, descending, strict=True):
        column = head[name][start:stop]
        first = column.search_sorted(value, "left", descending=falling)
        after = column.search_sorted(value, "right", descending=falling)
        start, stop = start + first, start + after
        if start == stop:
            return start
    return stop

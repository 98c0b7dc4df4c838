"""Finds the ids of texts in a vocabulary that stays on disk."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import polars as pl

from launch.preparation.runs import RunFiles, merge_sorted
from zoo.data.vocabulary import OOV


class SortedLookup:
    """Returns the ids of texts by binary search in sorted tables.

    Tables that are mapped from files take no memory that the system cannot take back.

    Args:
        tables: polars `DataFrame`s with columns `value` and `id`, sorted by value over all tables.

    Example:
        >>> lookup = SortedLookup([pl.DataFrame({"value": ["ann", "bob"], "id": [2, 1]})])
        >>> lookup.ids(pl.Series(["bob", "zoe"])).tolist()
        [1, 0]
    """

    def __init__(self, tables: Sequence[pl.DataFrame]):
        self._tables = [table for table in tables if table.height]
        self._firsts = pl.Series([table["value"][0] for table in self._tables], dtype=pl.String)

    def ids(self, texts: pl.Series) -> np.ndarray:
        """Returns the ids of texts `[n]`, int32 `[n]`; 0 where a text is not in the vocabulary."""
        found = np.zeros(len(texts), np.int32)
        if not self._tables:
            return found
        places = self._firsts.search_sorted(texts, "right").to_numpy().astype(np.int64) - 1
        for place in np.unique(places[places >= 0]).tolist():
            rows = np.flatnonzero(places == place)
            table, some = self._tables[place], texts[rows]
            at = table["value"].search_sorted(some, "left").clip(0, table.height - 1)
            equal = (table["value"].gather(at) == some).fill_null(False).to_numpy()
            found[rows] = np.where(equal, table["id"].gather(at).to_numpy(), 0)
        return found


def lookup_of(
    values: Iterable[Sequence[str]], files: RunFiles, memory: int, table_rows: int = 1 << 20
) -> SortedLookup:
    """Sorts a vocabulary into files by its texts.

    Args:
        values: sequences of the values by id, `<oov>` first.
        files: `RunFiles` for the sorted tables.
        memory: int, bytes that may be used for sorting, about.
        table_rows: int, values per table. Defaults to 1,048,576.

    Returns:
        `SortedLookup` in tables that are mapped from files.

    Example:
        >>> import tempfile
        >>> files = RunFiles(tempfile.mkdtemp())
        >>> lookup = lookup_of([["<oov>", "bob"], ["ann"]], files, memory=1000)
        >>> lookup.ids(pl.Series(["ann", "bob", "<oov>"])).tolist()
        [2, 1, 0]
    """
    runs, waiting, used, first = [], [], 0, 0

    def write() -> None:
        runs.append(files.add(pl.concat(waiting).sort("value")))
        waiting.clear()

    for part in values:
        ids = np.arange(first, first + len(part), dtype=np.int32)
        table = pl.DataFrame({"value": pl.Series(part, dtype=pl.String), "id": ids})
        first += len(part)
        waiting.append(table.filter(pl.col("value") != OOV))
        used += table.estimated_size()
        if used > memory:
            write()
            used = 0
    if waiting:
        write()
    found = [files.mapped(t) for t in _rows(merge_sorted(runs, ["value"], [False]), table_rows)]
    for run in runs:
        run.remove()
    return SortedLookup(found)


def _rows(tables: Iterable[pl.DataFrame], most: int) -> Iterator[pl.DataFrame]:
    """Joins small tables to tables of at least `most` rows."""
    waiting: list[pl.DataFrame] = []
    for table in tables:
        waiting.append(table)
        if sum(part.height for part in waiting) >= most:
            yield pl.concat(waiting)
            waiting = []
    if waiting:
        yield pl.concat(waiting)

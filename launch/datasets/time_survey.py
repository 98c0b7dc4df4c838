"""Finds the times that divide the rows of a stream."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import polars as pl

from launch.datasets.raw import RowAccount, Rows
from launch.datasets.times import read_times
from launch.preparation.distinct import DistinctNumbers
from launch.preparation.runs import RunFiles, merge_sorted, summed
from zoo.data.files import DataError

MEMORY = 1 << 30  # bytes of distinct times; more are sorted on disk


def last_times(
    rows: Rows, column: str, ends: Sequence[float], names: Sequence[str], memory: int = MEMORY
) -> np.ndarray:
    """Finds the newest time of each split except the last; no split is empty.

    Args:
        rows: stream of rows, in any order; it is read once.
        column: string, name of the column of times.
        ends: share of the rows up to the end of each split except the last, ascending.
        names: names of the splits, one more.
        memory: int, bytes that distinct times may take, about. Defaults to 1,073,741,824.

    Returns:
        float64 `[len(names) - 1]`, ascending.

    Raises:
        DataError: if the column is missing, no time is readable, there are fewer distinct times
            than splits, or only some times are numbers.

    Example:
        >>> from launch.datasets.raw import in_memory
        >>> table = in_memory(pl.DataFrame({"day": [3, 1, 2, 4]}))
        >>> last_times(table, "day", [0.5], ["train", "test"]).tolist()
        [2.0]
    """
    with tempfile.TemporaryDirectory(prefix="tf-helen-") as folder:
        survey, files = TimeSurvey(column), RunFiles(folder)
        for frame in rows(RowAccount()):
            survey.add(frame)
            if survey.memory > memory:
                survey.runs.append(files.add(survey.take()))
        return survey.last_times(ends, names)


class TimeSurvey:
    """Counts the distinct times of a stream.

    Args:
        column: string, name of the column of times.

    Attributes:
        rows: int, the number of rows with a time.
        samples: dict with a text that is a number, as "number", and one that is a date, as "date".
        runs: list of iterables of polars `DataFrame`s, as `take` returns them, of other rows.

    Example:
        >>> survey = TimeSurvey("day")
        >>> survey.add(pl.DataFrame({"day": [3, 1, 3]}))
        >>> survey.take().rows()
        [(1.0, 1), (3.0, 2)]
    """

    def __init__(self, column: str):
        self._column, self._numbers = column, DistinctNumbers()
        self.rows, self.samples = 0, dict[str, str]()
        self.runs: list[Iterable[pl.DataFrame]] = []

    @property
    def memory(self) -> int:
        """Bytes that the distinct times take, about."""
        return self._numbers.memory

    def add(self, frame: pl.DataFrame) -> None:
        """Counts the times of rows; times that cannot be read are left out."""
        times = read_times(frame, self._column, self.samples).drop_nulls()
        self.rows += len(times)
        self._numbers.add(times)

    def take(self) -> pl.DataFrame:
        """Returns the columns `number`, ascending, and `count`, and forgets them."""
        return self._numbers.take()

    def last_times(self, ends: Sequence[float], names: Sequence[str]) -> np.ndarray:
        """Finds the newest time of each split except the last, see the function `last_times`."""
        self.runs.append([self.take()])
        column, total, samples = self._column, self.rows, self.samples
        if not total:
            raise DataError(
                f"no time in column {column!r} can be read; use numbers, or ISO dates such as "
                "2024-01-31 23:59:00, or --split_by=random"
            )
        if len(samples) > 1:
            raise DataError(
                f"the time column {column!r} holds numbers ({samples['number']!r}) and dates "
                f"({samples['date']!r}), which cannot be compared; use one of the two formats"
            )
        places, distinct = self._places(ends)
        if distinct < len(names):
            times = "one time" if distinct == 1 else f"{distinct} different times"
            raise DataError(
                f"the time column {column!r} holds {times} in {total:,} rows, too few for the "
                f"{len(names)} splits {', '.join(names)}; use --split_by=random, finer times "
                "(hours instead of days), more rows, or fewer splits such as --split=0.8,0.2"
            )
        for i in range(len(places)):  # at least one distinct time per split, from the oldest
            places[i] = max(places[i], places[i - 1] + 1 if i else 0)
        newest = distinct - 1  # and from the newest
        for i in reversed(range(len(places))):
            newest = places[i] = min(places[i], newest - 1)
        return self._at(places)

    def _places(self, ends: Sequence[float]) -> tuple[list[int], int]:
        """Returns which of the distinct times ends each split, and how many there are."""
        ranks = np.array([max(0, round(end * self.rows) - 1) for end in ends], np.int64)
        places, before, distinct = [], 0, 0
        for table in self._tables():
            up_to = before + np.cumsum(table["count"].to_numpy())
            here = ranks[len(places) :]
            here = here[here < up_to[-1]]
            places += (distinct + np.searchsorted(up_to, here, side="right")).tolist()
            before, distinct = up_to[-1], distinct + table.height
        return places, distinct

    def _at(self, places: Sequence[int]) -> np.ndarray:
        """Returns the distinct times at ascending places."""
        found: list[float] = []
        first = 0
        for table in self._tables():
            here = [place - first for place in places[len(found) :] if place < first + table.height]
            found += table["number"].gather(here).to_list()
            first += table.height
        return np.array(found)

    def _tables(self) -> Iterator[pl.DataFrame]:
        return summed(merge_sorted(self.runs, ["number"], [False]), "number", "count")

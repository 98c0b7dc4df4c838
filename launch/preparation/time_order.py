"""Checks that the rows of each split are in the order of time."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from launch.datasets.raw import RowAccount
from launch.datasets.times import read_times
from zoo.data.files import DataError


class TimeOrder:
    """Checks in one pass that the rows of each split are in the order of time.

    Args:
        column: string, name of the time column.

    Example:
        >>> order = TimeOrder("day")
        >>> order.checked("train", pl.DataFrame({"day": [1, 1, 3]}), RowAccount()).height
        3
        >>> order.checked("train", pl.DataFrame({"day": [2]}), RowAccount())
        Traceback (most recent call last):
        zoo.data.files.DataError: the train rows are not in the order of 'day': 2.0 comes after ...
    """

    def __init__(self, column: str):
        self._column = column
        self._oldest: dict[str, float] = {}
        self._newest: dict[str, float] = {}

    def checked(self, split: str, frame: pl.DataFrame, account: RowAccount) -> pl.DataFrame:
        """Returns the rows that have a time, and raises if they are not in order.

        Args:
            split: string, name of the split.
            frame: polars `DataFrame`, its next rows.
            account: `RowAccount` that receives the number of rows without a readable time, which
                are skipped.

        Returns:
            The other rows.

        Raises:
            DataError: names the first time that is older than the one before.
        """
        times = read_times(frame, self._column)
        if times.null_count():
            account.damaged[f"no time in {self._column!r}"] += times.null_count()
            frame, times = frame.filter(times.is_not_null()), times.drop_nulls()
        if not frame.height:
            return frame
        newest = self._newest.get(split, times[0])
        late = times < pl.concat([pl.Series([newest]), times[:-1]])
        if late.any():
            row = int(late.arg_max())
            raise self._error(split, times[row], times[row - 1] if row else newest)
        self._oldest.setdefault(split, times[0])
        self._newest[split] = times[-1]
        return frame

    @property
    def ends(self) -> dict[str, tuple[float, float]]:
        """The oldest and newest time of each split so far."""
        return {split: (self._oldest[split], newest) for split, newest in self._newest.items()}

    def follow(self, ends: Mapping[str, tuple[float, float]]) -> None:
        """Adds the rows of another `TimeOrder`, which come after these.

        Args:
            ends: its `ends`.

        Raises:
            DataError: as `checked`.
        """
        for split, (oldest, newest) in ends.items():
            before = self._newest.get(split, oldest)
            if oldest < before:
                raise self._error(split, oldest, before)
            self._oldest.setdefault(split, oldest)
            self._newest[split] = newest

    def _error(self, split: str, time: float, before: float) -> DataError:
        return DataError(
            f"the {split} rows are not in the order of {self._column!r}: {time} comes "
            f"after {before}; sort them, or remove time_ordered from the schema"
        )

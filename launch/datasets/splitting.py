"""Splits a stream of rows into streams: by fold, at random, or by time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from launch.datasets.raw import NOWHERE, RowAccount, Rows, SharedSplits
from launch.datasets.time_survey import last_times
from launch.datasets.times import read_times
from zoo.data.files import DataError

# Constants of SplitMix64 (Steele, Lea, Flood 2014).
_GOLDEN, _MIX_1, _MIX_2 = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB


def mapped(rows: Rows, function: Callable[[pl.DataFrame], pl.DataFrame]) -> Rows:
    """Applies a function to every table of a stream.

    Args:
        rows: the stream.
        function: function from table to table; may drop rows and drop or add columns.

    Returns:
        The new stream.

    Example:
        >>> from launch.datasets.raw import in_memory
        >>> table = in_memory(pl.DataFrame({"x": [1]}))
        >>> doubled = mapped(table, lambda frame: frame.select(pl.col("x") * 2))
        >>> next(doubled(RowAccount())).rows()
        [(2,)]
    """
    return MappedRows(rows, function)


@dataclass(frozen=True)
class MappedRows:
    """The stream that `mapped` returns.

    Args:
        rows, function: as of `mapped`.

    Example:
        >>> MappedRows(None, abs).function(-1)
        1
    """

    rows: Rows
    function: Callable[[pl.DataFrame], pl.DataFrame]

    def __call__(self, account: RowAccount) -> Iterator[pl.DataFrame]:
        return (self.function(frame) for frame in self.rows(account))


def fold_splits(rows: Rows, folds: np.ndarray, splits: Mapping[str, Sequence[int]]) -> SharedSplits:
    """Splits a stream by a number given to each row.

    Args:
        rows: the stream.
        folds: uint8 `[n]`, the fold of each row in the order of the stream.
        splits: dict from split to its folds.

    Returns:
        Dict of one stream per split. Reading raises `DataError` if there are not n rows. Rows of
        other folds are left out.

    Example:
        >>> from launch.datasets.raw import in_memory
        >>> table = in_memory(pl.DataFrame({"x": [5, 6, 7]}))
        >>> parts = fold_splits(table, np.array([1, 0, 1], np.uint8), {"train": (1,), "test": (0,)})
        >>> next(parts["train"](RowAccount())).rows()
        [(5,), (7,)]
    """
    place = np.full(256, NOWHERE, np.int8)
    for number, chosen in enumerate(splits.values()):
        place[list(chosen)] = number
    return SharedSplits(rows, tuple(splits), FoldChoice(place[folds]), total=len(folds))


@dataclass(frozen=True)
class FoldChoice:
    """Chooses the split of a row by its number.

    Args:
        places: int8 `[n]`, position of the split of each row, or `NOWHERE`.
        first: int, number of the first of these rows. Defaults to 0.

    Example:
        >>> choice = FoldChoice(np.array([1, 0, 1], np.int8)).between(1, 3)
        >>> choice(1, pl.DataFrame({"x": [6, 7]}), RowAccount()).tolist()
        [0, 1]
    """

    places: np.ndarray
    first: int = 0

    def __call__(self, first: int, frame: pl.DataFrame, account: RowAccount) -> np.ndarray:
        start = first - self.first
        return self.places[start : start + frame.height]

    def between(self, start: int, stop: int | None) -> FoldChoice:
        """Returns the choice for the rows from `start` up to `stop` only; `None`: the last."""
        end = None if stop is None else stop - self.first
        return FoldChoice(self.places[start - self.first : end].copy(), start)


def random_splits(rows: Rows, shares: Mapping[str, float], seed: int) -> SharedSplits:
    """Splits a stream at random; the split of a row depends only on its number and the seed.

    Args:
        rows: the stream.
        shares: dict from split to the probability of its rows, positive, with sum 1.
        seed: int, seed of the split.

    Returns:
        Dict of one stream per split.

    Raises:
        DataError: if the shares do not add up to 1.

    Example:
        >>> from launch.datasets.raw import in_memory
        >>> table = in_memory(pl.DataFrame({"x": range(1000)}))
        >>> parts = random_splits(table, {"train": 0.8, "test": 0.2}, seed=0)
        >>> next(parts["train"](RowAccount())).height
        815
    """
    limits = np.cumsum(_checked(shares))[:-1]

    def choose(first: int, frame: pl.DataFrame, account: RowAccount) -> np.ndarray:
        return np.searchsorted(limits, _uniform(first, frame.height, seed), side="right")

    return SharedSplits(rows, tuple(shares), choose)


def time_splits(
    rows: Rows, column: str, shares: Mapping[str, float], survey: bool = True
) -> SharedSplits:
    """Splits a stream by time; the first split has the oldest rows.

    The column is read once for the boundaries. Rows of the same time are in the same split, rows
    whose time cannot be read are counted as damaged, and no split is empty, so the shares are
    approximate if many rows have the same time.

    Args:
        rows: the stream, in any order.
        column: string, name of a column of numbers (such as seconds) or ISO 8601 dates and times.
        shares: dict from split to its share in order of time, positive, with sum 1.
        survey: boolean, whether to read the rows for the boundaries. Defaults to `True`; otherwise
            the caller sets `last` of the `TimeChoice` before the streams are read.

    Returns:
        Dict of one stream per split.

    Raises:
        DataError: if the shares do not add up to 1, the column is missing, no time is readable,
            there are fewer distinct times than splits, or only some times are numbers.

    Example:
        >>> from launch.datasets.raw import in_memory
        >>> table = in_memory(pl.DataFrame({"day": [3, 1, 2, 4]}))
        >>> parts = time_splits(table, "day", {"train": 0.5, "test": 0.5})
        >>> next(parts["train"](RowAccount())).rows()
        [(1,), (2,)]
    """
    ends = np.cumsum(_checked(shares))[:-1].tolist()
    choice = TimeChoice(column, tuple(shares), tuple(ends))
    if survey:
        choice.last = last_times(rows, column, ends, choice.names)
    return SharedSplits(rows, choice.names, choice)


@dataclass
class TimeChoice:
    """Chooses the split of a row by its time.

    Args:
        column: string, name of the column of times.
        names: tuple of strings, the splits.
        ends: tuple of floats, share of the rows up to the end of each split except the last.
        last: float64, newest time of each split except the last. Defaults to `None`: not known yet.

    Example:
        >>> choice = TimeChoice("day", ("train", "test"), (0.5,), np.array([2.0]))
        >>> choice(0, pl.DataFrame({"day": [3, 1]}), RowAccount()).tolist()
        [1, 0]
    """

    column: str
    names: tuple[str, ...]
    ends: tuple[float, ...]
    last: np.ndarray | None = None

    def __call__(self, first: int, frame: pl.DataFrame, account: RowAccount) -> np.ndarray:
        assert self.last is not None, "the times have not been surveyed"
        time = read_times(frame, self.column)
        if time.null_count():
            account.damaged[f"no time in {self.column!r}"] += time.null_count()
        place = np.searchsorted(self.last, time.fill_null(np.nan).to_numpy(), side="left")
        return np.where(time.is_null().to_numpy(), NOWHERE, place)


def _checked(shares: Mapping[str, float]) -> list[float]:
    values = list(shares.values())
    if any(not value > 0 for value in values) or abs(sum(values) - 1) > 1e-6:
        raise DataError(
            f"the shares of the splits are {dict(shares)}; use positive numbers that add up to 1, "
            "such as 0.8,0.1,0.1"
        )
    return values


def _uniform(first: int, rows: int, seed: int) -> np.ndarray:
    """Returns numbers in [0, 1) that depend only on row number and seed (SplitMix64)."""
    with np.errstate(over="ignore"):
        state = np.arange(first + 1, first + rows + 1, dtype=np.uint64) * np.uint64(_GOLDEN)
        state += np.uint64((seed * _MIX_1) % 2**64)
        for shift, factor in ((30, _MIX_1), (27, _MIX_2)):
            state = (state ^ (state >> np.uint64(shift))) * np.uint64(factor)
        state ^= state >> np.uint64(31)
    return (state >> np.uint64(11)) * 2.0**-53

"""Splits a stream of rows into streams: by fold, at random, or by time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import polars as pl

from launch.datasets.raw import NOWHERE, RowAccount, Rows, SharedSplits
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
    return lambda account: (function(frame) for frame in rows(account))


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

    def choose(first: int, frame: pl.DataFrame, account: RowAccount) -> np.ndarray:
        return place[folds[first : first + frame.height]]

    return SharedSplits(rows, tuple(splits), choose, total=len(folds))


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


def time_splits(rows: Rows, column: str, shares: Mapping[str, float]) -> SharedSplits:
    """Splits a stream by time; the first split has the oldest rows.

    The column is read once for the boundaries. Rows of the same time are in the same split, rows
    whose time cannot be read are counted as damaged, and no split is empty, so the shares are
    approximate if many rows have the same time.

    Args:
        rows: the stream, in any order.
        column: string, name of a column of numbers (such as seconds) or ISO 8601 dates and times.
        shares: dict from split to its share in order of time, positive, with sum 1.

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
    ends = np.cumsum(_checked(shares))[:-1]
    times, samples = [], {}
    for frame in rows(RowAccount()):
        times.append(read_times(frame, column, samples).drop_nulls().to_numpy())
    known = np.sort(np.concatenate(times)) if times else np.empty(0)
    if not known.size:
        raise DataError(
            f"no time in column {column!r} can be read; use numbers, or ISO dates such as "
            "2024-01-31 23:59:00, or --split_by=random"
        )
    if len(samples) > 1:
        raise DataError(
            f"the time column {column!r} holds numbers ({samples['number']!r}) and dates "
            f"({samples['date']!r}), which cannot be compared; use one of the two formats"
        )
    last = _last_times(known, ends, column, tuple(shares))

    def choose(first: int, frame: pl.DataFrame, account: RowAccount) -> np.ndarray:
        time = read_times(frame, column)
        if time.null_count():
            account.damaged[f"no time in {column!r}"] += time.null_count()
        place = np.searchsorted(last, time.fill_null(np.nan).to_numpy(), side="left")
        return np.where(time.is_null().to_numpy(), NOWHERE, place)

    return SharedSplits(rows, tuple(shares), choose)


def _last_times(
    known: np.ndarray, ends: np.ndarray, column: str, names: tuple[str, ...]
) -> np.ndarray:
    """Returns the newest time of each split except the last; no split is empty."""
    distinct = known[np.append(True, known[1:] != known[:-1])]
    if len(distinct) < len(names):
        times = "one time" if len(distinct) == 1 else f"{len(distinct)} different times"
        raise DataError(
            f"the time column {column!r} holds {times} in {known.size:,} rows, too few for the "
            f"{len(names)} splits {', '.join(names)}; use --split_by=random, finer times (hours "
            "instead of days), more rows, or fewer splits such as --split=0.8,0.2"
        )
    wanted = [known[max(0, round(end * known.size) - 1)] for end in ends]
    places = np.searchsorted(distinct, wanted).tolist()
    for i in range(len(places)):  # at least one distinct time per split, from the oldest
        places[i] = max(places[i], places[i - 1] + 1 if i else 0)
    newest = len(distinct) - 1  # and from the newest
    for i in reversed(range(len(places))):
        newest = places[i] = min(places[i], newest - 1)
    return distinct[places]


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

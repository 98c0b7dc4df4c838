"""A data set before preparation: streams of raw rows, and their schema."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from zoo.data.files import DataError
from zoo.data.schema import Schema


@dataclass
class RowAccount:
    """The counts of one pass over a split: skipped rows, changed values, and progress.

    Args:
        damaged: `Counter`, rows that could not be read, by reason; too many of them are an error.
        left_out: `Counter`, rows that the rules of the data set leave out, by reason.
        changed: `Counter`, values that were replaced, by reason.
        bytes_read: int, bytes of the files read so far, for the progress bar. Defaults to 0.
        examples: dict from a reason to the first place in the files where it occurred.

    Example:
        >>> account = RowAccount()
        >>> account.damaged["wrong number of columns"] += 2
        >>> account.total_damaged
        2
    """

    damaged: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)
    changed: Counter[str] = field(default_factory=Counter)
    bytes_read: int = 0
    examples: dict[str, str] = field(default_factory=dict)

    @property
    def total_damaged(self) -> int:
        """Number of damaged rows, for all reasons."""
        return sum(self.damaged.values())

    def describe(self) -> str:
        """Returns the number of damaged rows by reason, with the first place of each if known.

        Example:
            >>> account = RowAccount()
            >>> account.damaged["wrong number of columns"] += 2
            >>> account.describe()
            '2 wrong number of columns'
        """
        return describe_damage(self.damaged, self.examples)


def describe_damage(damaged: Mapping[str, int], examples: Mapping[str, str]) -> str:
    """Returns the number of damaged rows by reason.

    Args:
        damaged: dict from reason to number.
        examples: dict from reason to the first place.

    Example:
        >>> describe_damage({"invalid UTF-8": 3}, {"invalid UTF-8": "byte 0xff in column 'city'"})
        "3 invalid UTF-8 (first: byte 0xff in column 'city')"
    """
    return ", ".join(
        f"{count:,} {reason}" + (f" (first: {examples[reason]})" if reason in examples else "")
        for reason, count in damaged.items()
        if count
    )


# A pass over a split: yields tables of any size, in the same order each time. Columns are named as
# in the schema. Fields may be text, integers or booleans (for several values, lists of them or text
# with separators); numeric columns, weight, label and time may be text or numbers.
Rows = Callable[[RowAccount], Iterator[pl.DataFrame]]

NOWHERE = -1  # split number of rows that belong to no split
# Takes the number of a table's first row, the table and the account; returns the position of each
# row's split, or `NOWHERE`.
Choose = Callable[[int, pl.DataFrame, RowAccount], np.ndarray]


class SharedSplits(dict[str, Rows]):
    """Splits of one stream, which can be read one by one or all in a single pass.

    Args:
        rows: the stream.
        names: names of the splits.
        choose: function of the number of a table's first row, the table and the `RowAccount`;
            returns the position of each row's split in `names`, or `NOWHERE`.
        total: int, number of rows that the stream must have. Defaults to `None`: any.

    Example:
        >>> table = in_memory(pl.DataFrame({"x": [5, 6]}))
        >>> swapped = lambda first, frame, account: np.array([1, 0])
        >>> splits = SharedSplits(table, ("train", "test"), swapped)
        >>> next(splits["train"](RowAccount())).rows()
        [(6,)]
    """

    def __init__(
        self,
        rows: Rows,
        names: tuple[str, ...],
        choose: Choose,
        total: int | None = None,
    ):
        self._rows, self._names, self._choose, self._total = rows, names, choose, total
        super().__init__({name: self._part(name) for name in names})

    def stream(self, account: RowAccount) -> Iterator[tuple[str, pl.DataFrame]]:
        """Yields the name of a split and some of its rows, in the order of the stream."""
        first = 0
        for frame in self._rows(account):
            self._check(first + frame.height, at_end=False)
            places = self._choose(first, frame, account)
            yield from by_split(frame, places, self._names)
            first += frame.height
        self._check(first, at_end=True)

    @property
    def shared(self) -> Rows:
        """The stream that all splits share."""
        return self._rows

    @property
    def choose(self) -> Choose:
        """The function that chooses the split of each row."""
        return self._choose

    def check_rows(self, rows: int) -> None:
        """Raises `DataError` unless the stream may have this number of rows."""
        self._check(rows, at_end=True)

    def _part(self, wanted: str) -> Rows:
        return lambda account: (t for name, t in self.stream(account) if name == wanted)

    def _check(self, rows: int, at_end: bool) -> None:
        if self._total is not None and (rows > self._total or (at_end and rows < self._total)):
            raise DataError(
                f"the number of rows differs from the {self._total:,} rows of the first pass, so "
                "the files have changed; run the command again"
            )


def by_split(
    frame: pl.DataFrame, places: np.ndarray, names: Sequence[str]
) -> Iterator[tuple[str, pl.DataFrame]]:
    """Divides rows among splits.

    Args:
        frame: polars `DataFrame` of n rows.
        places: integers `[n]`, the position of each row's split, or `NOWHERE`.
        names: sequence of strings, the splits.

    Yields:
        The name of each split and its rows.

    Example:
        >>> parts = by_split(pl.DataFrame({"x": [5, 6]}), np.array([1, 0]), ["train", "test"])
        >>> [(name, rows["x"].to_list()) for name, rows in parts]
        [('train', [6]), ('test', [5])]
    """
    for place, name in enumerate(names):
        yield name, frame.filter(pl.Series(places == place, dtype=pl.Boolean))


@dataclass(frozen=True)
class Published:
    """Published counts of a data set, to compare with those of a preparation.

    Args:
        where: string, where the counts are published.
        rows: dict from split to its number of rows. Defaults to `{}`.
        features: int, number of distinct values over all fields, without those that share the
            unknown id. Defaults to `None`: not published.
        positives: dict from split to its share of positive labels, in [0, 1]. Defaults to `{}`.

    Example:
        >>> Published("BARS", {"train": 202_027}, features=5_382).features
        5382
    """

    where: str
    rows: Mapping[str, int] = field(default_factory=dict)
    features: int | None = None
    positives: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class RawData:
    """A data set before it is encoded.

    Args:
        schema: `Schema`, the columns; sizes and statistics need not be known.
        splits: dict from split to its rows; must contain "train".
        files: paths of the raw files. An interrupted preparation continues only if they are
            unchanged, and the progress bar counts their bytes. Defaults to none.
        published: `Published` counts. Defaults to `None`.
        separator: string, separator of the columns of CSV files. Defaults to `None`: that of the
            file names.

    Example:
        >>> from zoo import Categorical
        >>> table = pl.DataFrame({"label": [1, 0], "user": ["ann", "bob"]})
        >>> RawData(Schema("tiny", [Categorical("user")]), {"train": in_memory(table)}).files
        ()
    """

    schema: Schema
    splits: Mapping[str, Rows]
    files: tuple[str, ...] = ()
    published: Published | None = None
    separator: str | None = None


def stream(raw: RawData, account: RowAccount) -> Iterator[tuple[str, pl.DataFrame]]:
    """Reads all splits of a data set in one pass.

    Args:
        raw: `RawData`, the data set.
        account: `RowAccount` that receives the counts.

    Yields:
        The name of a split and some of its rows; the rows of a split are in order.

    Example:
        >>> from zoo import Categorical
        >>> table = pl.DataFrame({"label": [1, 0], "user": ["ann", "bob"]})
        >>> raw = RawData(Schema("tiny", [Categorical("user")]), {"train": in_memory(table)})
        >>> [(split, frame.height) for split, frame in stream(raw, RowAccount())]
        [('train', 2)]
    """
    if isinstance(raw.splits, SharedSplits):
        yield from raw.splits.stream(account)
        return
    for split, rows in raw.splits.items():
        for frame in rows(account):
            yield split, frame


def in_memory(table: pl.DataFrame, left_out: Mapping[str, int] | None = None) -> Rows:
    """Returns the rows of a table in memory, as a stream.

    Args:
        table: polars `DataFrame`, the rows.
        left_out: dict from reason to the number of rows that were left out before. Defaults to
            `None`.

    Returns:
        A stream, as in `RawData.splits`.

    Example:
        >>> [t.height for t in in_memory(pl.DataFrame({"label": [1, 0]}))(RowAccount())]
        [2]
    """

    def rows(account: RowAccount) -> Iterator[pl.DataFrame]:
        account.left_out.update(left_out or {})
        yield table

    return rows


@dataclass(frozen=True)
class Options:
    """The options of a data set.

    Args:
        source: string, local or remote file, folder or pattern of the raw data. Defaults to `None`.
        rows: int, number of training rows of a synthetic data set. Defaults to `None`.
        seed: int, seed of synthetic data, random splits and sampled negatives. Defaults to 0.
        min_count: int; values with fewer training occurrences become id 0. Defaults to `None`: the
            minimum count of the data set.

    Example:
        >>> Options(source="ml-1m.zip").seed
        0
    """

    source: str | None = None
    rows: int | None = None
    seed: int = 0
    min_count: int | None = None


Loader = Callable[[Options], RawData]

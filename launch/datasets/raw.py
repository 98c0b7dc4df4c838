"""What a data set hands to the preparation: streams of raw rows, and the schema they follow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from zoo.data.files import DataError
from zoo.data.schema import Schema


@dataclass
class RowAccount:
    """What one pass over a split met: how far it is, and the rows that it did not hand on.

    Args:
        damaged: Rows that could not be read, by reason; too many of them stop the preparation.
        left_out: Rows that the data set's own rules leave out, by reason.
        changed: Values that had to be replaced, by reason.
        bytes_read: Bytes of the files read so far, for the progress bar.

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

    @property
    def total_damaged(self) -> int:
        """Damaged rows, whatever the reason."""
        return sum(self.damaged.values())


# A pass over a split: yields tables of any size, in the same order each time. Columns are named as
# in the schema. Text, whole numbers and booleans are fine for fields (lists of them for several
# values, or a text with separators), text or numbers for numeric columns, weight, label and time.
Rows = Callable[[RowAccount], Iterator[pl.DataFrame]]

NOWHERE = -1  # the place of rows that belong to no split


class SharedSplits(dict[str, Rows]):
    """Splits of one stream: each is a stream of its own, and all can be read in a single pass.

    Args:
        rows: The stream.
        names: Names of the splits.
        choose: From the number of a table's first row, the table and the account to the place of
            each row's split among `names`, `NOWHERE` for none.
        total: Rows that the stream must have, or None.

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
        choose: Callable[[int, pl.DataFrame, RowAccount], np.ndarray],
        total: int | None = None,
    ):
        self._rows, self._names, self._choose, self._total = rows, names, choose, total
        super().__init__({name: self._part(name) for name in names})

    def stream(self, account: RowAccount) -> Iterator[tuple[str, pl.DataFrame]]:
        """Yields the name of a split and rows of it, in the order of the stream."""
        first = 0
        for frame in self._rows(account):
            self._check(first + frame.height, at_end=False)
            places = self._choose(first, frame, account)
            for place, name in enumerate(self._names):
                yield name, frame.filter(pl.Series(places == place, dtype=pl.Boolean))
            first += frame.height
        self._check(first, at_end=True)

    def _part(self, wanted: str) -> Rows:
        return lambda account: (t for name, t in self.stream(account) if name == wanted)

    def _check(self, rows: int, at_end: bool) -> None:
        if self._total is not None and (rows > self._total or (at_end and rows < self._total)):
            raise DataError(
                f"the files hold another number of rows than the {self._total:,} counted before; "
                "were they changed meanwhile?"
            )


@dataclass(frozen=True)
class Published:
    """What a paper or benchmark says that a data set comes to, to be compared with ours.

    Args:
        where: Where it is published.
        rows: Rows by split.
        features: Distinct features over all fields (those of the unknown bucket not counted).
        positives: Share of positive labels by split, in [0, 1].

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
        schema: Its columns; sizes and statistics are still to be found.
        splits: The rows of each split, "train" among them.
        files: The files behind them; they tell whether an interrupted preparation can go on, and
            their sizes are what a progress bar counts.
        published: What others say that it comes to, if anybody does.

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


def stream(raw: RawData, account: RowAccount) -> Iterator[tuple[str, pl.DataFrame]]:
    """Reads all splits of a data set in one pass.

    Args:
        raw: The data set.
        account: Receives what the pass meets.

    Yields:
        The name of a split and rows of it; the rows of a split come in order.

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
    """Gives the rows of a table that is in memory already.

    Args:
        table: The rows.
        left_out: Rows that were left out on the way here, by reason.

    Returns:
        What `RawData.splits` holds.

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
    """What a user can say about a data set.

    Args:
        source: Local or remote file, folder or pattern of the raw data, or None.
        rows: Training rows to generate, for a synthetic data set.
        seed: Seed of a synthetic data set, of a random split and of sampled negatives.
        min_count: Values with fewer training occurrences become id 0; None is the data set's own.

    Example:
        >>> Options(source="ml-1m.zip").seed
        0
    """

    source: str | None = None
    rows: int | None = None
    seed: int = 0
    min_count: int | None = None


Loader = Callable[[Options], RawData]

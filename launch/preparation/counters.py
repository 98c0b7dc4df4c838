"""Counts the values of one column: texts, ids or numbers.

A counter takes columns of the training rows, and gives what it has counted as tables, which can be
added up: `take` returns and forgets them, sorted by value, each value once.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterable, Iterator

import numpy as np
import polars as pl

from launch.preparation.distinct import DistinctNumbers
from launch.preparation.fields import WITH_VOCABULARY, Codes, FieldEncoder
from launch.preparation.runs import RunFiles
from launch.preparation.texts import bucket_numbers, log_squares, texts
from launch.preparation.vocabularies import vocabulary_of
from zoo.data.columns import Categorical
from zoo.data.files import DataError
from zoo.data.vocabulary import OOV

MOST_COUNTED = 100_000_000  # maximum size of a field without a vocabulary: some 5 GB
_CODE = 72  # bytes of a distinct text in memory besides its characters, and of its count
# A field whose size is known, and its vocabulary: tables of `value` and `count` by id.
Counted = tuple[Categorical, Iterable[pl.DataFrame]]
Tables = Callable[[], Iterator[pl.DataFrame]]


class TextCounter:
    """Counts the distinct texts of a field that gets a vocabulary.

    Args:
        field: `Categorical`, the field.

    Example:
        >>> counter = TextCounter(Categorical("user"))
        >>> counter.add(pl.Series(["b", "a", "b"]), Categorical("user"))
        >>> counter.take().rows()
        [('a', 1), ('b', 2)]
    """

    key = "value"

    def __init__(self, field: Categorical):
        self.column = field
        self._clear()

    def _clear(self) -> None:
        self._codes, self._counts = Codes(), np.zeros(0, np.int64)
        self._known = self.memory = 0

    def add(self, column: pl.Series, field: Categorical) -> None:
        """Counts raw values of a field, which is this one or shares its vocabulary."""
        values = texts(column, field, Counter()).values
        codes = self._codes.of(values)
        if not len(codes):
            return
        top = int(codes.max()) + 1
        if top > len(self._counts):  # doubled, so that it is rarely copied
            room = np.zeros(max(top, 2 * len(self._counts)), np.int64)
            room[: len(self._counts)] = self._counts
            self._counts = room
        if top < 4 * len(codes):
            self._counts[:top] += np.bincount(codes)
        else:  # far fewer codes than counts: adds only the counts that change
            found, times = np.unique(codes, return_counts=True)
            self._counts[found] += times
        if top > self._known:
            characters = values.str.len_bytes().sum() / len(values)
            self.memory += int((top - self._known) * (_CODE + characters))
            self._known = top

    def take(self) -> pl.DataFrame:
        """Returns what was counted, as columns `value` and `count`, and forgets it."""
        table = self._table().sort("value")
        self._clear()
        return table

    def finish(
        self,
        tables: Tables | None,
        memory: int | None,
        files: RunFiles | None,
        earlier: pl.DataFrame | None = None,
    ) -> Counted:
        """Returns the field and its vocabulary.

        Args:
            tables: callable that returns all tables, added up, or `None`: those of this counter.
            memory: int, bytes that the vocabulary may take, or `None`.
            files: `RunFiles` for a larger one.
            earlier: the vocabulary of an earlier folder, whose ids are kept, or `None`.
        """
        counted = [self._table()] if tables is None else tables()
        vocabulary = vocabulary_of(counted, self.column, memory, files, earlier)
        return dataclasses.replace(self.column, size=vocabulary.size), vocabulary

    def _table(self) -> pl.DataFrame:
        values = self._codes.texts()
        table = pl.DataFrame({"value": values, "count": self._counts[: len(values)]})
        if self.column.encoding == "log_square":
            table = table.with_columns(log_squares(values).alias("value"))
            table = table.group_by("value").agg(pl.col("count").sum())
        return table


class IdCounter:
    """Counts the ids of a field whose encoding needs no counts.

    Args:
        field: `Categorical` whose size is known.

    Raises:
        DataError: if the size is above `MOST_COUNTED`.

    Example:
        >>> counter = IdCounter(Categorical("age", encoding="buckets", boundaries=(18,)))
        >>> counter.add(pl.Series([5, 20, 30]), counter.column)
        >>> counter.take().rows()
        [(1, 1), (2, 2)]
    """

    key = "id"
    memory = 0  # its size does not depend on the rows

    def __init__(self, field: Categorical):
        if field.size > MOST_COUNTED:
            raise DataError(
                f"field {field.name!r} has size={field.size:,}; a preparation counts each id in "
                f"memory, so use a size of at most {MOST_COUNTED:,}"
            )
        self.column = field
        self._encoder = FieldEncoder(field)
        self._counts = np.zeros(field.size, np.int64)

    def add(self, column: pl.Series, field: Categorical) -> None:
        """Counts raw values of a field, which is this one or shares its ids."""
        ids = self._encoder.ids(column, Counter(), field)
        self._counts += np.bincount(ids[ids >= 0], minlength=self.column.size)

    def take(self) -> pl.DataFrame:
        """Returns what was counted, as columns `id` and `count`, and forgets it."""
        found = np.flatnonzero(self._counts)
        table = pl.DataFrame({"id": found, "count": self._counts[found]})
        self._counts[:] = 0
        return table

    def finish(
        self,
        tables: Tables | None,
        memory: int | None,
        files: RunFiles | None,
        earlier: pl.DataFrame | None = None,
    ) -> Counted:
        """Returns the field and its counts; arguments as of `TextCounter.finish`."""
        for table in tables() if tables is not None else ():
            self._counts[table["id"].to_numpy()] += table["count"].to_numpy()
        if earlier is not None:
            self._counts += earlier["count"].to_numpy()
        return self.column, [numbered(self._counts)]


class NumberCounter:
    """Counts distinct numbers, and chooses boundaries so that buckets have equal counts.

    Args:
        field: `Categorical` with `encoding="buckets"`, without boundaries.

    Example:
        >>> counter = NumberCounter(Categorical("age", 4, encoding="buckets"))
        >>> counter.add(pl.Series([1, 2, 3, 4, 4]), counter.column)
        >>> counter.finish(None, None, None)[0].boundaries
        (2.0, 4.0)
    """

    key = "number"

    def __init__(self, field: Categorical):
        self.column = field
        self._clear()

    def _clear(self) -> None:
        self._numbers, self._missing = DistinctNumbers(), 0

    @property
    def memory(self) -> int:
        """Bytes that the distinct numbers take, about."""
        return self._numbers.memory

    def add(self, column: pl.Series, field: Categorical) -> None:
        """Counts raw values."""
        numbers = bucket_numbers(column)
        self._missing += numbers.null_count()
        self._numbers.add(numbers.drop_nulls())

    def take(self) -> pl.DataFrame:
        """Returns what was counted, as columns `number` (-inf: missing) and `count`."""
        numbers = self._numbers.take()
        missing = pl.DataFrame({"number": [-np.inf], "count": [self._missing]}, numbers.schema)
        table = pl.concat([missing, numbers])
        self._clear()
        return table

    def finish(
        self,
        tables: Tables | None,
        memory: int | None,
        files: RunFiles | None,
        earlier: pl.DataFrame | None = None,
    ) -> Counted:
        """Returns the field with its boundaries and counts; arguments as of `TextCounter.finish`.

        Raises:
            DataError: if there is no number.
        """
        if tables is None:
            table = self.take()
            tables = lambda: iter([table])  # noqa: E731
        boundaries, counts = _quantiles(tables, self.column)
        field = dataclasses.replace(self.column, boundaries=boundaries, size=len(counts))
        return field, [numbered(counts)]


def counter_of(field: Categorical) -> TextCounter | IdCounter | NumberCounter:
    """Returns the counter of a field.

    Args:
        field: `Categorical`, a field that does not share the vocabulary of another.

    Returns:
        `TextCounter`, `NumberCounter` or `IdCounter`.

    Raises:
        DataError: if a field without a vocabulary has too many ids.

    Example:
        >>> counter_of(Categorical("user")).key
        'value'
    """
    if field.encoding in WITH_VOCABULARY:
        return TextCounter(field)
    if field.encoding == "buckets" and not field.boundaries:
        return NumberCounter(field)
    return IdCounter(field)


def numbered(counts: np.ndarray) -> pl.DataFrame:
    """Returns a vocabulary of numbers, which only stores the counts of the ids.

    Args:
        counts: int64 `[size]`, the occurrences of each id.

    Example:
        >>> numbered(np.array([0, 3])).rows()
        [('<oov>', 0), ('#1', 3)]
    """
    numbers = pl.Series(np.arange(1, len(counts))).cast(pl.String)
    return pl.DataFrame({"value": pl.concat([pl.Series([OOV]), "#" + numbers]), "count": counts})


def _quantiles(tables: Tables, field: Categorical) -> tuple[tuple[float, ...], np.ndarray]:
    """Returns the boundaries of buckets, and the counts of the ids."""
    missing = total = 0
    for table in tables():
        total += int(table["count"].sum())
        missing += int(table.filter(pl.col("number").is_infinite())["count"].sum())
    total -= missing
    if not total:
        raise DataError(f"no training row has a number in {field.name!r}; remove it")
    shares = np.arange(1, field.size - 1) / (field.size - 1)
    wanted, found, before, smallest = shares * total, {}, 0, None
    for table in tables():
        table = table.filter(pl.col("number").is_finite())
        if not table.height:
            continue
        numbers, counts = table["number"].to_numpy(), table["count"].to_numpy()
        smallest = numbers[0] if smallest is None else smallest
        up_to = before + np.cumsum(counts)
        for place in np.searchsorted(up_to, wanted[wanted <= up_to[-1]], side="left").tolist():
            # The number, and how many are smaller.
            found[float(numbers[place])] = int(up_to[place] - counts[place])
        wanted, before = wanted[wanted > up_to[-1]], int(up_to[-1])
    # A boundary belongs to the bucket above it, so the smallest number is not one.
    found.pop(float(smallest), None)
    found = dict(sorted(found.items())) or {float(smallest): 0}
    return tuple(found), np.diff([0, *found.values(), total], prepend=-missing)

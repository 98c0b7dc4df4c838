"""Orders the counted values of a field by id, in memory or in sorted runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import polars as pl

from launch.preparation.extending import ExtendedVocabulary
from launch.preparation.runs import RunFiles, merge_sorted
from zoo.data.columns import Categorical
from zoo.data.vocabulary import OOV

_BY_ID = {"by": ["count", "value"], "descending": [True, False]}
_ROW = 80  # bytes of a value and its count in memory, besides its text


@dataclass(frozen=True)
class Totals:
    """Occurrences of a field in the training split.

    Args:
        all: int, of all values. Defaults to 0.
        missing: int, of the missing value. Defaults to 0.
        kept: int, of the values with their own id, except the missing one. Defaults to 0.
        values: int, the number of these values. Defaults to 0.

    Example:
        >>> Totals(3, 1, 2, 1).plus(Totals(5)).all
        8
    """

    all: int = 0
    missing: int = 0
    kept: int = 0
    values: int = 0

    def plus(self, other: Totals) -> Totals:
        """Returns the occurrences in both."""
        return Totals(
            self.all + other.all,
            self.missing + other.missing,
            self.kept + other.kept,
            self.values + other.values,
        )


def kept_values(
    counted: pl.DataFrame, field: Categorical, known: pl.Series | None = None
) -> tuple[pl.DataFrame, Totals]:
    """Selects the values that get an own id.

    Args:
        counted: polars `DataFrame` with columns `value` (distinct texts, "" is missing) and `count`
            (their occurrences over the whole training split).
        field: `Categorical`; its `min_count` determines which values are kept.
        known: polars `Series`, values that are kept with any count. Defaults to `None`: none.

    Returns:
        The rows that are kept, in the same order, and the `Totals`.

    Example:
        >>> counted = pl.DataFrame({"value": ["a", "", "b"], "count": [2, 1, 1]})
        >>> kept_values(counted, Categorical("user", min_count=2))[0].rows()
        [('a', 2)]
    """
    # The raw value "<oov>" is treated as unknown, so that keys are unique.
    often = pl.col("count") >= field.min_count
    if known is not None:
        often |= pl.col("value").is_in(known.implode())
    kept = counted.filter(often & ~pl.col("value").is_in([OOV, ""]))
    missing = counted.filter(pl.col("value") == "")["count"].sum()
    totals = Totals(
        int(counted["count"].sum()), int(missing), int(kept["count"].sum()), kept.height
    )
    return kept, totals


def first_values(totals: Totals, field: Categorical) -> pl.DataFrame:
    """Returns the first lines of a vocabulary: `<oov>`, and the missing bucket if there is one.

    Args:
        totals: `Totals` over all values of the field.
        field: `Categorical`; its `missing` says whether there is a bucket.

    Returns:
        `DataFrame` with columns `value` and `count`; the count of `<oov>` is that of all values
        without an own id.

    Example:
        >>> first_values(Totals(5, 1, 3, 2), Categorical("user", missing="bucket")).rows()
        [('<oov>', 1), ('', 1)]
    """
    bucket = field.missing == "bucket" and field.length == 1
    missing = totals.missing if bucket else 0
    rows = [(OOV, totals.all - totals.kept - missing)]
    if bucket:
        rows.append(("", missing))
    return pl.DataFrame(rows, schema={"value": pl.String, "count": pl.Int64}, orient="row")


def by_id(kept: pl.DataFrame) -> pl.DataFrame:
    """Sorts values by id: by falling count, and values with equal counts by their text."""
    return kept.sort(**_BY_ID)


class Vocabulary:
    """The values of a field by id, with their counts, as tables; can be read any number of times.

    Args:
        field: `Categorical`, the field.
        totals: `Totals` over all its values.
        runs: iterables of polars `DataFrame` with the kept values and their counts, each sorted by
            `by_id`.

    Attributes:
        size: int, the number of ids.

    Example:
        >>> table = pl.DataFrame({"value": ["b", "a", "c"], "count": [1, 2, 1]})
        >>> kept, totals = kept_values(table, Categorical("user"))
        >>> vocabulary = Vocabulary(Categorical("user"), totals, [[by_id(kept)]])
        >>> vocabulary.table().rows()
        [('<oov>', 0), ('a', 2), ('b', 1), ('c', 1)]
    """

    def __init__(self, field: Categorical, totals: Totals, runs: Iterable[Iterable[pl.DataFrame]]):
        self._first, self._runs = first_values(totals, field), list(runs)
        self.size = self._first.height + totals.values

    def __iter__(self) -> Iterator[pl.DataFrame]:
        yield self._first
        if len(self._runs) == 1:
            yield from self._runs[0]
        else:
            yield from merge_sorted(self._runs, **_BY_ID)

    def table(self) -> pl.DataFrame:
        """Returns all of it in memory."""
        return pl.concat(list(self))


def vocabulary_of(
    counted: Iterable[pl.DataFrame],
    field: Categorical,
    memory: int | None = None,
    files: RunFiles | None = None,
    earlier: pl.DataFrame | None = None,
) -> Vocabulary | ExtendedVocabulary:
    """Orders the counted values of a field by id.

    Args:
        counted: polars `DataFrame`s as for `kept_values`; no value occurs twice.
        field: `Categorical`, the field.
        memory: int, bytes that the kept values may take; more are written to runs. Defaults to
            `None`: no limit.
        files: `RunFiles` for the runs. Defaults to `None`, if there is no limit.
        earlier: polars `DataFrame` with columns `value` and `count`, by id: a vocabulary whose
            values keep their ids. Defaults to `None`.

    Returns:
        `Vocabulary`, or `ExtendedVocabulary` with `earlier`.

    Example:
        >>> counted = [pl.DataFrame({"value": ["b", "a", ""], "count": [2, 1, 1]})]
        >>> vocabulary_of(counted, Categorical("user", min_count=2)).table().rows()
        [('<oov>', 2), ('b', 2)]
    """
    totals, waiting, runs, used = Totals(), [], [], 0
    for table in counted:
        kept, some = kept_values(table, field, None if earlier is None else earlier["value"])
        totals = totals.plus(some)
        waiting.append(kept)
        used += kept.estimated_size() + _ROW * kept.height
        if memory is not None and used > memory:
            runs.append(files.add(by_id(pl.concat(waiting))))
            waiting, used = [], 0
    if waiting:
        runs.append([by_id(pl.concat(waiting))])
    vocabulary = Vocabulary(field, totals, runs)
    return vocabulary if earlier is None else ExtendedVocabulary(earlier, vocabulary)

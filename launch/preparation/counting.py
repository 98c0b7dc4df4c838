"""The first pass: counts values; computes vocabularies, boundaries, means and deviations."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl
from absl import logging

from launch.preparation.counters import counter_of
from launch.preparation.extending import Earlier
from launch.preparation.rows import in_parallel
from launch.preparation.runs import Run, RunFiles, merge_sorted, summed
from launch.preparation.sums import ExactSums
from launch.preparation.texts import finite_numbers
from zoo.data.columns import Categorical, Numeric
from zoo.data.schema import Schema

Save = Callable[[str, Iterable[pl.DataFrame]], object]


@dataclass
class PartialCounts:
    """What was counted over some of the training rows.

    Args:
        tables: dict from field to a polars `DataFrame` of its counts, as the counters of
            `launch.preparation.counters` return them; fields that share are left out.
        sums: dict from numeric column to its `ExactSums`.

    Example:
        >>> counts = TrainingCounts(Schema("tiny", [Categorical("user")]))
        >>> counts.add(pl.DataFrame({"user": ["ann", "bob", "ann"]}))
        >>> counts.take().tables["user"].rows()
        [('ann', 2), ('bob', 1)]
    """

    tables: dict[str, pl.DataFrame] = field(default_factory=dict)
    sums: dict[str, ExactSums] = field(default_factory=dict)


class TrainingCounts:
    """Counts the values of the training rows, in slices.

    The result is the same for every division of the rows and every order of them.

    Args:
        schema: `Schema`, the columns; sizes and statistics need not be known.
        memory: int, bytes that the distinct values may take, about; more are written to sorted
            runs and merged at the end. Defaults to `None`: no limit.
        files: `RunFiles` for the runs. Defaults to `None`, if there is no limit.
        earlier: `Earlier`, whose ids and statistics are kept. Defaults to `None`.

    Example:
        >>> counts = TrainingCounts(Schema("tiny", [Categorical("user")]))
        >>> counts.add(pl.DataFrame({"user": ["ann", "bob", "ann"]}))
        >>> found = {}
        >>> counts.finish(found.__setitem__).field_sizes
        {'user': 3}
        >>> pl.concat(found["user"]).rows()
        [('<oov>', 0), ('ann', 2), ('bob', 1)]
    """

    def __init__(
        self,
        schema: Schema,
        memory: int | None = None,
        files: RunFiles | None = None,
        earlier: Earlier | None = None,
    ):
        self._earlier = earlier
        self._schema, self._memory, self._files = schema, memory, files
        self._owners = {f.name: counter_of(f) for f in schema.categorical if f.shares is None}
        self._runs: dict[str, list[Run]] = {name: [] for name in self._owners}
        self._numbers = [_Numbers(column) for column in schema.numeric]

    def add(self, rows: pl.DataFrame) -> None:
        """Counts a slice of the training rows."""
        # Fields that share a vocabulary are counted in turn, in the same thread.
        columns: dict[str, list] = {}
        for field_ in self._schema.categorical:
            owner = field_.shares or field_.name
            columns.setdefault(owner, []).append((rows[field_.name], field_))
        work = [(self._owners[owner], parts) for owner, parts in columns.items()]
        work += [(numbers, [(rows[numbers.column.name], None)]) for numbers in self._numbers]
        in_parallel(lambda item: [item[0].add(*part) for part in item[1]], work)
        if self._memory is not None:
            self._spill()

    @property
    def memory(self) -> int:
        """Bytes that the distinct values take, about."""
        return sum(counter.memory for counter in self._owners.values())

    def take(self) -> PartialCounts:
        """Returns what was counted so far, and begins anew; not with a limit of memory."""
        tables = {name: counter.take() for name, counter in self._owners.items()}
        return PartialCounts(tables, {n.column.name: n.take() for n in self._numbers})

    def finish(self, save: Save) -> Schema:
        """Computes the vocabularies, in turn; each is freed after it is saved.

        Args:
            save: callable that takes the name of a field and polars `DataFrame`s with its values by
                id and their counts (columns `value` and `count`).

        Returns:
            The `Schema` with sizes and statistics.
        """
        found = {}
        for name in list(self._owners):
            counter, runs = self._owners.pop(name), self._runs.pop(name)
            tables = None
            if runs:
                rest = counter.take()
                tables = lambda runs=runs, rest=rest, key=counter.key: merged(  # noqa: E731
                    [*runs, [rest]], key
                )
            known = None if self._earlier is None else self._earlier.values(counter.column)
            sized, vocabulary = counter.finish(tables, self._memory, self._files, known)
            del counter
            found[name] = sized
            for field_ in self._schema.categorical:
                if name == (field_.shares or field_.name):
                    save(field_.name, vocabulary)
        statistics = {numbers.column.name: numbers.sums for numbers in self._numbers}
        schema = with_sizes(self._schema, found, statistics)
        return schema if self._earlier is None else self._earlier.finished(schema)

    def _spill(self) -> None:
        """Writes the largest counts to runs until half of the memory is free."""
        used = {name: counter.memory for name, counter in self._owners.items()}
        if sum(used.values()) <= self._memory:
            return
        for name in sorted(used, key=lambda name: used[name], reverse=True):
            if sum(used.values()) <= self._memory / 2:
                break
            self._runs[name].append(self._files.add(self._owners[name].take()))
            used[name] = 0


def merged(tables: Sequence[Iterable[pl.DataFrame]], key: str) -> Iterator[pl.DataFrame]:
    """Adds up sorted tables of counts.

    Args:
        tables: sequence of iterables of polars `DataFrame` with a column of keys and a column
            `count`, each sorted by key over all its frames, with each key once.
        key: string, name of the column of keys.

    Yields:
        `DataFrame` of the same kind.

    Example:
        >>> parts = [pl.DataFrame({"id": [1, 2], "count": [5, 1]}) for _ in range(2)]
        >>> next(merged([[part] for part in parts], "id")).rows()
        [(1, 10), (2, 2)]
    """
    return summed(merge_sorted(tables, [key], [False]), key, "count")


def with_sizes(
    schema: Schema, fields: dict[str, Categorical], sums: dict[str, ExactSums]
) -> Schema:
    """Returns a schema with sizes, boundaries, means and deviations.

    Args:
        schema: `Schema`, the columns.
        fields: dict from name to the field with its size and boundaries; fields that share are left
            out.
        sums: dict from numeric column to its `ExactSums`.

    Example:
        >>> schema = Schema("tiny", [Categorical("user")])
        >>> with_sizes(schema, {"user": Categorical("user", 3)}, {}).field_sizes
        {'user': 3}
    """
    owners = [(f, fields[f.shares or f.name]) for f in schema.categorical]
    return dataclasses.replace(
        schema,
        categorical=tuple(
            dataclasses.replace(f, size=owner.size, boundaries=owner.boundaries)
            for f, owner in owners
        ),
        numeric=tuple(_with_statistics(column, sums[column.name]) for column in schema.numeric),
    )


class _Numbers:
    """Sums of a number column, after its transform."""

    def __init__(self, column: Numeric):
        self.column, self.sums = column, ExactSums()

    def add(self, column: pl.Series, field: None) -> None:
        values = finite_numbers(column, pl.Float32).drop_nulls().to_numpy()
        if self.column.transform == "none":
            self.sums = self.sums.plus(ExactSums(found=len(values)))
            return
        if self.column.transform == "log":
            values = np.copysign(np.log1p(np.abs(values)), values)
        self.sums = self.sums.plus(ExactSums.of(values))

    def take(self) -> ExactSums:
        sums, self.sums = self.sums, ExactSums()
        return sums


def _with_statistics(column: Numeric, sums: ExactSums) -> Numeric:
    if not sums.found:
        logging.warning(
            "numeric column %r has no number in any training row; make it a field, or remove "
            "it from the schema",
            column.name,
        )
    if not sums.rows:
        return column
    return dataclasses.replace(column, mean=sums.mean, std=sums.deviation)

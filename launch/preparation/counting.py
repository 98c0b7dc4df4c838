"""The first pass: counts values; computes vocabularies, boundaries, means and deviations."""

from __future__ import annotations

import dataclasses
from collections import Counter

import numpy as np
import polars as pl
from absl import logging

from launch.preparation.fields import WITH_VOCABULARY, Codes, FieldEncoder
from launch.preparation.rows import in_parallel
from launch.preparation.texts import bucket_numbers, finite_numbers, log_squares, texts
from zoo.data.columns import Categorical, Numeric
from zoo.data.files import DataError
from zoo.data.schema import Schema
from zoo.data.vocabulary import OOV

MOST_COUNTED = 100_000_000  # maximum size of a field without a vocabulary: some 5 GB
_NO_SPREAD = 1e-13  # deviation relative to the mean, below which it is rounding


class TrainingCounts:
    """Counts the values of the training rows, in slices.

    Args:
        schema: `Schema`, the columns; sizes and statistics need not be known.

    Example:
        >>> counts = TrainingCounts(Schema("tiny", [Categorical("user")]))
        >>> counts.add(pl.DataFrame({"user": ["ann", "bob", "ann"]}))
        >>> schema, vocabularies = counts.finish()
        >>> schema.field_sizes, vocabularies["user"][0].to_list()
        ({'user': 3}, ['<oov>', 'ann', 'bob'])
    """

    def __init__(self, schema: Schema):
        self._schema = schema
        self._owners = {
            field.name: _counter(field) for field in schema.categorical if field.shares is None
        }
        self._numbers = [_Moments(column) for column in schema.numeric]

    def add(self, rows: pl.DataFrame) -> None:
        """Counts a slice of the training rows."""
        # Fields that share a vocabulary are counted in turn, in the same thread.
        columns: dict[str, list] = {}
        for field in self._schema.categorical:
            columns.setdefault(field.shares or field.name, []).append((rows[field.name], field))
        work = [(self._owners[owner], parts) for owner, parts in columns.items()]
        work += [(moments, [(rows[moments.column.name], None)]) for moments in self._numbers]
        in_parallel(lambda item: [item[0].add(*part) for part in item[1]], work)

    def finish(self) -> tuple[Schema, dict[str, tuple[pl.Series, np.ndarray]]]:
        """Returns the schema with sizes and statistics, and the vocabularies.

        Returns:
            The `Schema`, and a dict from field to its values by id and their counts, int64.
        """
        # In turn, and each freed after use: with many ids they take most of the memory.
        owners = list(self._owners)
        found = {owner: self._owners.pop(owner).finish() for owner in owners}
        fields, vocabularies = [], {}
        for field in self._schema.categorical:
            owner, values, counts = found[field.shares or field.name]
            fields.append(dataclasses.replace(field, size=owner.size, boundaries=owner.boundaries))
            vocabularies[field.name] = values, counts
        numeric = tuple(moments.finish() for moments in self._numbers)
        schema = dataclasses.replace(self._schema, categorical=tuple(fields), numeric=numeric)
        return schema, vocabularies


def vocabulary(values: pl.Series, counts: np.ndarray, field: Categorical) -> pl.DataFrame:
    """Orders counted values by id: `<oov>`, the missing bucket if any, then by falling count.

    Values with equal counts are sorted by value.

    Args:
        values: polars `Series` `[k]`, distinct texts; "" is a missing value.
        counts: integers `[k]`, their occurrences in the training split.
        field: `Categorical`; its `min_count` and `missing` determine which values get an id.

    Returns:
        `DataFrame` with columns `value` and `count`; the count of `<oov>` is that of all values
        without an id.

    Example:
        >>> field = Categorical("user", min_count=2, missing="bucket")
        >>> vocabulary(pl.Series(["b", "a", ""]), np.array([2, 1, 1]), field).rows()
        [('<oov>', 1), ('', 1), ('b', 2)]
    """
    counted = pl.DataFrame({"value": values, "count": counts.astype(np.int64)})
    # The raw value "<oov>" is treated as unknown, so that keys are unique.
    kept = counted.filter(
        (pl.col("count") >= field.min_count) & ~pl.col("value").is_in([OOV, ""])
    ).sort("count", "value", descending=[True, False])
    first = pl.DataFrame({"value": [OOV], "count": [0]})
    if field.missing == "bucket" and field.length == 1:
        missing = counted.filter(pl.col("value") == "")["count"].sum()
        first = first.extend(pl.DataFrame({"value": [""], "count": [missing]}))
    unknown = int(counts.sum()) - int(kept["count"].sum()) - int(first["count"].sum())
    first[0, "count"] = unknown
    return pl.concat([first, kept])


class _TextCounter:
    """Counts the distinct texts of a field that gets a vocabulary."""

    def __init__(self, field: Categorical):
        self.column = field
        self.codes, self.counts = Codes(), np.zeros(0, np.int64)

    def add(self, column: pl.Series, field: Categorical) -> None:
        self.add_texts(texts(column, field, Counter()).values)

    def add_texts(self, values: pl.Series) -> None:
        codes = self.codes.of(values)
        if not len(codes):
            return
        top = int(codes.max()) + 1
        if top > len(self.counts):  # doubled, so that it is rarely copied
            room = np.zeros(max(top, 2 * len(self.counts)), np.int64)
            room[: len(self.counts)] = self.counts
            self.counts = room
        if top < 4 * len(codes):
            self.counts[:top] += np.bincount(codes)
        else:  # far fewer codes than counts: adds only the counts that change
            found, times = np.unique(codes, return_counts=True)
            self.counts[found] += times

    def finish(self) -> tuple[Categorical, pl.Series, np.ndarray]:
        values = self.codes.texts()
        counts = self.counts[: len(values)]
        if self.column.encoding == "log_square":
            squares = pl.DataFrame({"value": log_squares(values), "count": counts})
            squares = squares.group_by("value").agg(pl.col("count").sum())
            values, counts = squares["value"], squares["count"].to_numpy()
        table = vocabulary(values, counts, self.column)
        field = dataclasses.replace(self.column, size=table.height)
        return field, table["value"], table["count"].to_numpy()


class _IdCounter:
    """Counts the ids of a field whose encoding needs no counts."""

    def __init__(self, field: Categorical):
        self.column = field
        self._encoder = FieldEncoder(field)
        self._counts = np.zeros(field.size, np.int64)

    def add(self, column: pl.Series, field: Categorical) -> None:
        ids = self._encoder.ids(column, Counter(), field)
        self._counts += np.bincount(ids[ids >= 0], minlength=self.column.size)

    def finish(self) -> tuple[Categorical, pl.Series, np.ndarray]:
        return _numbered(self.column, self._counts)


class _QuantileCounter:
    """Counts distinct numbers, and chooses boundaries so that buckets have equal counts.

    Takes 16 bytes per distinct number, and twice that during a merge; a hash table of texts would
    take several times as much.
    """

    def __init__(self, field: Categorical):
        self.column = field
        self._known = pl.DataFrame(schema={"x": pl.Float64, "n": pl.Int64})
        self._waiting: list[pl.Series] = []
        self._missing = 0

    def add(self, column: pl.Series, field: Categorical) -> None:
        numbers = bucket_numbers(column)
        self._missing += numbers.null_count()
        self._waiting.append(numbers.drop_nulls())
        if sum(map(len, self._waiting)) > max(1 << 20, self._known.height):
            self._merge()

    def _merge(self) -> None:
        new = [pl.DataFrame({"x": x, "n": np.ones(len(x), np.int64)}) for x in self._waiting]
        self._waiting = []
        self._known = pl.concat([self._known, *new]).group_by("x").agg(pl.col("n").sum())

    def finish(self) -> tuple[Categorical, pl.Series, np.ndarray]:
        self._merge()
        known = self._known.sort("x")
        if known.is_empty():
            raise DataError(f"no training row has a number in {self.column.name!r}; remove it")
        up_to = known["n"].cum_sum().to_numpy()
        shares = np.arange(1, self.column.size - 1) / (self.column.size - 1)
        at = np.searchsorted(up_to, shares * up_to[-1], side="left")
        # A boundary belongs to the bucket above it, so the smallest number is not one.
        found = np.unique(known["x"].to_numpy()[at])
        boundaries = tuple(found[found > known["x"][0]].tolist()) or (float(known["x"][0]),)
        field = dataclasses.replace(self.column, boundaries=boundaries, size=len(boundaries) + 2)
        place = 1 + np.searchsorted(boundaries, known["x"], side="right")
        counts = np.bincount(place, known["n"], minlength=field.size).astype(np.int64)
        counts[0] = self._missing
        return _numbered(field, counts)


class _Moments:
    """Mean and deviation of a number column, updated per slice (Chan, Golub, LeVeque 1983)."""

    def __init__(self, column: Numeric):
        self.column = column
        self._found = self._rows = 0
        self._mean = self._squares = 0.0

    def add(self, column: pl.Series, field: None) -> None:
        values = finite_numbers(column, pl.Float32).drop_nulls().to_numpy()
        self._found += len(values)
        if self.column.transform == "none" or not len(values):
            return
        if self.column.transform == "log":
            values = np.copysign(np.log1p(np.abs(values)), values)
        mean, rows = float(values.mean()), self._rows + len(values)
        gap = mean - self._mean
        self._squares += float(((values - mean) ** 2).sum())
        self._squares += gap * gap * self._rows * len(values) / rows
        self._mean += gap * len(values) / rows
        self._rows = rows

    def finish(self) -> Numeric:
        if not self._found:
            logging.warning(
                "numeric column %r has no number in any training row; make it a field, or remove "
                "it from the schema",
                self.column.name,
            )
        if not self._rows:
            return self.column
        std = float(np.sqrt(self._squares / self._rows))
        # For a constant column, rounding may give a deviation that is not exactly 0.
        spread = std > _NO_SPREAD * abs(self._mean)
        return dataclasses.replace(self.column, mean=self._mean, std=std if spread else 1.0)


def _counter(field: Categorical) -> _TextCounter | _IdCounter | _QuantileCounter:
    if field.encoding in WITH_VOCABULARY:
        return _TextCounter(field)
    if field.encoding == "buckets" and not field.boundaries:
        return _QuantileCounter(field)
    if field.size > MOST_COUNTED:
        raise DataError(
            f"field {field.name!r} has size={field.size:,}; a preparation counts each id in "
            f"memory, so use a size of at most {MOST_COUNTED:,}"
        )
    return _IdCounter(field)


def _numbered(field: Categorical, counts: np.ndarray) -> tuple[Categorical, pl.Series, np.ndarray]:
    """Returns a field with a vocabulary of numbers, which only stores the counts."""
    numbers = pl.Series(np.arange(1, field.size)).cast(pl.String)
    return field, pl.concat([pl.Series([OOV]), "#" + numbers]), counts

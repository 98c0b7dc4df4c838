"""The counts of `launch.preparation.stages` as pipelines of Apache Beam.

Every worker must reach the raw files and the prepared folder. Tables of counts are passed on as
files of the hidden folder, which Beam's elements name; no step needs the values of more than one
part, or of one bucket of values, in memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import apache_beam as beam
import polars as pl

from launch.datasets.parts import Part
from launch.preparation.beam_steps import TABLE, Step, pickled, write_tables
from launch.preparation.counters import TextCounter, counter_of
from launch.preparation.counting import merged
from launch.preparation.exchange import table_from_bytes, table_to_bytes
from launch.preparation.stages import PartSummary, count_part, row_count, survey_part
from launch.preparation.vocabularies import by_id, kept_values
from zoo.data.schema import Schema

_WAITING = 64  # tables of a bucket that are added up at once


class Numbered(beam.PTransform):
    """Counts the rows of each part, and their times.

    Args:
        parts: sequence of `Part`.
        column: string, name of the column of times, or `None`: times are not counted.
        buckets: int, number of buckets among which times are divided.
        folder: string, folder for tables of times.
    """

    def __init__(self, parts: Sequence[Part], column: str | None, buckets: int, folder: str):
        super().__init__()
        self._parts, self._column = pickled(parts), column
        self._buckets, self._folder = buckets, folder

    def expand(self, pipeline: beam.Pipeline) -> tuple[beam.PCollection, beam.PCollection]:
        """Returns the collections of (number of the part, result or `DataError`) and of (column,
        path of a table of times).

        A result contains the number of rows, the number of rows with a time, and the samples of
        `TimeSurvey`.
        """
        counted = (
            pipeline
            | beam.Create(self._parts)
            | beam.Reshuffle()
            | beam.ParDo(_CountRows(self._column, self._buckets)).with_outputs(TABLE, main="rows")
        )
        tables = (
            counted[TABLE]
            | beam.CombinePerKey(_AddTables())
            | beam.Map(_write_counts, self._folder)
        )
        return counted["rows"], tables


class Counts(beam.PTransform):
    """Counts the values of the training rows of all parts.

    Args:
        parts: sequence of `Part` with the numbers of their first rows.
        schema: `Schema`, the columns.
        buckets: int, number of buckets among which the values of a field are divided.
        folder: string, folder for tables of counts.
    """

    def __init__(self, parts: Sequence[Part], schema: Schema, buckets: int, folder: str):
        super().__init__()
        self._parts, self._schema = pickled(parts), schema
        self._buckets, self._folder = buckets, folder

    def expand(self, pipeline: beam.Pipeline) -> tuple[beam.PCollection, beam.PCollection]:
        """Returns the collections of (number of the part, `PartSummary` or `DataError`) and of
        (field, path of a table, `Totals` or `None`)."""
        counted = (
            pipeline
            | beam.Create(self._parts)
            | beam.Reshuffle()
            | beam.ParDo(_CountPart(self._schema, self._buckets)).with_outputs(
                TABLE, main="summary"
            )
        )
        tables = (
            counted[TABLE]
            | beam.CombinePerKey(_AddTables())
            | beam.Map(_write_table, self._schema, self._folder)
        )
        return counted["summary"], tables


class _CountRows(Step):
    """Yields tables of times by bucket, and the numbers of rows of the part."""

    def __init__(self, column: str | None, buckets: int):
        self._column, self._buckets = column, buckets

    def results(self, number: int, part: Part) -> Iterator[Any]:
        """Yields the results of an unpickled part."""
        if self._column is None:
            yield number, (row_count(part), 0, {})
            return
        rows, survey = survey_part(part, self._column)
        yield from _divided(self._column, survey.take(), self._buckets)
        yield number, (rows, survey.rows, survey.samples)


class _CountPart(Step):
    """Yields tables of counts by field and bucket, and the summary of the part."""

    def __init__(self, schema: Schema, buckets: int):
        self._schema, self._buckets = schema, buckets

    def results(self, number: int, part: Part) -> Iterator[Any]:
        for found in count_part(part, self._schema):
            if isinstance(found, PartSummary):
                yield number, found
            else:
                for name, table in found.tables.items():
                    yield from _divided(name, table, self._buckets)


def _divided(name: str, table: pl.DataFrame, buckets: int) -> Iterator[beam.pvalue.TaggedOutput]:
    """Divides a sorted table of counts by the hash of its keys."""
    key = table.columns[0]
    # polars computes the same hash in all processes of the same version.
    bucket = (table[key].hash(0) % buckets).alias("bucket")
    for (place,), some in table.with_columns(bucket).group_by("bucket"):
        content = table_to_bytes(some.drop("bucket").sort(key))
        yield beam.pvalue.TaggedOutput(TABLE, ((name, place), content))


class _AddTables(beam.CombineFn):
    """Adds up tables of counts, each sorted by its first column."""

    def create_accumulator(self) -> list[bytes]:
        return []

    def add_input(self, waiting: list[bytes], content: bytes) -> list[bytes]:
        waiting.append(content)
        return self.compact(waiting) if len(waiting) >= _WAITING else waiting

    def merge_accumulators(self, waiting: Iterable[list[bytes]]) -> list[bytes]:
        return self.compact([content for part in waiting for content in part])

    def compact(self, waiting: list[bytes]) -> list[bytes]:
        if len(waiting) < 2:
            return waiting
        tables = [table_from_bytes(content) for content in waiting]
        return [table_to_bytes(pl.concat(merged([[t] for t in tables], tables[0].columns[0])))]

    def extract_output(self, waiting: list[bytes]) -> bytes:
        return self.compact(waiting)[0]


def _write_table(
    element: tuple[tuple[str, int], bytes], schema: Schema, folder: str
) -> tuple[str, int, tuple]:
    """Writes the counts of a bucket; of a field with a vocabulary, the kept values by id."""
    (name, bucket), content = element
    field = next(field for field in schema.categorical if field.name == name)
    table, totals = table_from_bytes(content), None
    if isinstance(counter_of(field), TextCounter):
        kept, totals = kept_values(table, field)
        table = by_id(kept)
    return name, bucket, (write_tables(table, folder), totals)


def _write_counts(element: tuple[tuple[str, int], bytes], folder: str) -> tuple[str, int, str]:
    (name, bucket), content = element
    return name, bucket, write_tables(table_from_bytes(content), folder)

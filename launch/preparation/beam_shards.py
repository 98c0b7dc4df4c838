"""Encoding and writing of `launch.preparation.stages` as a pipeline of Apache Beam.

Encoded rows are passed on as files of the hidden folder, which Beam's elements name; no step needs
more than one batch of rows in memory.
"""

from __future__ import annotations

import contextlib
import dataclasses
import tempfile
import threading
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import apache_beam as beam
import polars as pl
from apache_beam.utils import shared

from launch.preparation.beam_steps import TABLE, Step, pickled
from launch.preparation.exchange import read_rows, write_rows
from launch.preparation.passes import Files
from launch.preparation.runs import RunFiles
from launch.preparation.stages import Bounds, PlacedPart, encode_part
from launch.preparation.values import row_encoder
from launch.preparation.workspace import FINISHED
from tf_helen.stores import gfile
from zoo.data.files import DataError, join, write_json
from zoo.data.schema import Schema
from zoo.data.shard_writer import Shard, ShardWriter


class Shards(beam.PTransform):
    """Encodes all parts and writes the record files.

    Args:
        parts: sequence of `PlacedPart`.
        directory: string, the folder, with schema and vocabularies.
        schema: `Schema`, the columns with sizes and statistics.
        bounds: dict from split to the bounds of its record files.
        done: set of (split, number) of the record files that exist.
        files: `Files`, how to write record files.
        folder: string, folder for encoded rows.
        memory: int, bytes that vocabularies may take in a worker.
    """

    def __init__(
        self,
        parts: Sequence[PlacedPart],
        directory: str,
        schema: Schema,
        bounds: Bounds,
        done: frozenset[tuple[str, int]],
        files: Files,
        folder: str,
        memory: int,
    ):
        super().__init__()
        self._parts, self._directory, self._schema = pickled(parts), directory, schema
        self._bounds, self._done, self._files = bounds, done, files
        self._folder, self._memory = folder, memory

    def expand(self, pipeline: beam.Pipeline) -> tuple[beam.PCollection, beam.PCollection]:
        """Returns the collections of (number of the part, changed values or `DataError`) and of
        (split, number of the file, `Shard` or `DataError`)."""
        encode = _EncodePart(
            self._directory, self._schema, self._bounds, self._done, self._folder, self._memory
        )
        encoded = (
            pipeline
            | "Parts" >> beam.Create(self._parts)
            | beam.Reshuffle()
            | "Encode" >> beam.ParDo(encode).with_outputs(TABLE, main="changed")
        )
        wanted = [
            ((split, shard), None)
            for split, bounds in self._bounds.items()
            for shard in range(len(bounds))
            if (split, shard) not in self._done
        ]
        written = (
            (encoded[TABLE], pipeline | "Files" >> beam.Create(wanted))
            | beam.Flatten()
            | beam.GroupByKey()
            | beam.Map(_write_shard, self._directory, self._schema, self._bounds, self._files)
        )
        return encoded["changed"], written


class _Encoder:
    """A `RowEncoder` that the threads of a process share."""

    def __init__(self, directory: str, schema: Schema, memory: int):
        # Files that are mapped remain readable without their names.
        with tempfile.TemporaryDirectory(prefix="tf-helen-") as scratch:
            self._encoder = row_encoder(directory, schema, RunFiles(scratch), memory)
        self._lock = threading.Lock()

    def encode(self, rows: pl.DataFrame, changed: dict[str, int]) -> dict:
        with self._lock:
            self._encoder.changed.clear()
            batch = self._encoder.encode(rows)
            for reason, count in self._encoder.changed.items():
                changed[reason] = changed.get(reason, 0) + count
        return batch


class _EncodePart(Step):
    """Writes the encoded rows of a part, a file per record file that they are for."""

    def __init__(
        self,
        directory: str,
        schema: Schema,
        bounds: Bounds,
        done: frozenset[tuple[str, int]],
        folder: str,
        memory: int,
    ):
        self._directory, self._schema, self._bounds = directory, schema, bounds
        self._done, self._folder, self._memory = done, folder, memory
        self._shared = shared.Shared()

    def setup(self) -> None:
        self._encoder = self._shared.acquire(
            lambda: _Encoder(self._directory, self._schema, self._memory)
        )

    def results(self, number: int, part: PlacedPart) -> Iterator[Any]:
        changed: dict[str, int] = {}
        paths: dict[tuple[str, int], str] = {}
        with contextlib.ExitStack() as stack:
            files: dict[str, Any] = {}  # of each split, the one that is written
            for split, shard, rows in encode_part(
                part,
                self._schema,
                lambda frame: self._encoder.encode(frame, changed),
                self._bounds,
            ):
                if (split, shard) in self._done:
                    continue
                if (split, shard) not in paths:
                    if split in files:
                        files[split].close()
                    # Beam may try a part again: only the names that it passes on are read.
                    path = paths[split, shard] = join(self._folder, f"{uuid.uuid4().hex}.rows")
                    file = stack.enter_context(gfile.GFile(path, "wb"))
                    files[split] = file
                write_rows(files[split], rows)
        for key, path in paths.items():
            yield beam.pvalue.TaggedOutput(TABLE, (key, (number, path)))
        yield number, changed


def _write_shard(
    element: tuple[tuple[str, int], Iterable],
    directory: str,
    schema: Schema,
    bounds: Bounds,
    files: Files,
) -> tuple[str, int, Shard | DataError]:
    (split, number), found = element
    paths = [path for _, path in sorted(filter(None, found))]
    writer = ShardWriter(directory, schema, split, bounds[split], files.layout, files.compression)
    try:
        shard = writer.write_rows(number, _rows_of(paths))
    except DataError as error:
        return split, number, error
    # So that the file is kept if the pipeline is interrupted.
    write_json(join(directory, FINISHED, f"{shard.file}.json"), dataclasses.asdict(shard))
    return split, number, shard


def _rows_of(paths: Sequence[str]) -> Iterator[Mapping[str, Any]]:
    for path in paths:
        with gfile.GFile(path, "rb") as file:
            yield from read_rows(file)

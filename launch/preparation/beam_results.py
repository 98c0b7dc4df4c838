"""Results of pipelines of Apache Beam, as files of the hidden folder."""

from __future__ import annotations

from collections.abc import Iterable

import apache_beam as beam
from apache_beam.internal import pickler

from launch.preparation.passes import Files
from launch.preparation.stages import Bounds
from launch.preparation.workspace import FINISHED
from tf_helen.stores import gfile
from zoo.data.files import DataError, join, read_json, write_bytes
from zoo.data.schema import Schema
from zoo.data.shard_writer import Shard, ShardWriter


def save_result(results: beam.PCollection, path: str, label: str) -> None:
    """Writes all elements of a collection to one file, for `load_result`.

    Args:
        results: the collection; its elements are small.
        path: string, the file.
        label: string, a name that is unique in the pipeline.
    """
    _ = (
        results
        | f"{label}: key" >> beam.Map(lambda element: (None, element))
        | f"{label}: first" >> beam.GroupByKey()
        | f"{label}: write" >> beam.Map(_write_result, path)
    )


def load_result(path: str) -> list:
    """Reads the elements that `save_result` has written; raises the first `DataError` in them."""
    if not gfile.exists(path):
        return []
    with gfile.GFile(path, "rb") as file:
        found = pickler.loads(file.read())
    found.sort(key=lambda element: element[:-1])
    for element in found:
        if isinstance(element[-1], DataError):
            raise element[-1]
    return found


def finished_shards(
    directory: str, schema: Schema, bounds: Bounds, files: Files
) -> dict[tuple[str, int], Shard]:
    """Returns the record files that earlier pipelines have written, by split and number.

    Args:
        directory: string, the folder.
        schema: `Schema`, the columns with sizes.
        bounds: dict from split to the bounds of its record files.
        files: `Files`, how record files are written.
    """
    known = join(directory, FINISHED)
    names = set(gfile.listdir(known)) if gfile.exists(known) else set()
    found = {}
    for split, parts in bounds.items():
        writer = ShardWriter(directory, schema, split, parts, files.layout, files.compression)
        for number in range(len(parts)):
            name = writer.name(number)
            if f"{name}.json" in names and gfile.exists(join(directory, name)):
                shard = Shard(**read_json(join(known, f"{name}.json")))
                if gfile.stat(join(directory, name)).length == shard.bytes:
                    found[split, number] = shard
    return found


def _write_result(keyed: tuple[None, Iterable], path: str) -> None:
    write_bytes(path, pickler.dumps(list(keyed[1])))

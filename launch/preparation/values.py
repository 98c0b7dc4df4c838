"""Loads the vocabularies of a folder into an encoder; those that are too large stay on disk."""

from __future__ import annotations

import polars as pl

from launch.preparation.encoding import RowEncoder
from launch.preparation.fields import WITH_VOCABULARY
from launch.preparation.lookup import SortedLookup, lookup_of
from launch.preparation.runs import RunFiles
from zoo.data.schema import Schema
from zoo.data.vocabulary import read_vocabulary

_VALUE = 100  # bytes of a value and its id in memory, about
_LEAST_CACHED = 1 << 12


def row_encoder(directory: str, schema: Schema, files: RunFiles, memory: int) -> RowEncoder:
    """Creates the encoder of a prepared folder.

    Args:
        directory: string, the folder, with schema and vocabularies.
        schema: `Schema`, the columns with sizes and statistics.
        files: `RunFiles` for sorted vocabularies.
        memory: int, bytes that the vocabularies may take, about. Half of it is for cached ids.

    Returns:
        `RowEncoder`.

    Example:
        >>> row_encoder("data/frappe", schema, files, 2**30)  # doctest: +SKIP
    """
    fields = [field for field in schema.categorical if field.encoding in WITH_VOCABULARY]
    left = memory // 2
    loaded: dict[str, pl.Series | SortedLookup] = {}
    for field in sorted(fields, key=lambda field: field.size):
        owner = field.shares or field.name
        left -= field.size * _VALUE
        if left >= 0 or field.encoding == "log_square":  # whose vocabulary is small
            if owner not in loaded:
                parts = read_vocabulary(directory, owner)
                loaded[owner] = pl.concat([pl.Series(v, dtype=pl.String) for v, _ in parts])
        elif owner not in loaded:
            parts = (values for values, _ in read_vocabulary(directory, owner))
            loaded[owner] = lookup_of(parts, files, memory // 4)
    most = max(_LEAST_CACHED, memory // 2 // _VALUE // max(1, len(schema.categorical)))
    vocabularies = {field.name: loaded[field.shares or field.name] for field in fields}
    return RowEncoder(schema, vocabularies, min(most, 1 << 22))

"""Lookups of an export: without checks of the ids, and pooled over a fixed number of columns."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import tensorflow as tf

from tf_helen.analysis.tables import field_rows
from tf_helen.layers import Embedding
from zoo.serving.stored_tables import StoredTable


class ServedLookup:
    """The lookup of some fields of an embedding layer in its `StoredTable`.

    The result is that of the layer, but the ids are not checked: the encoding of an export gives
    ids within their fields. It has no operations on text, so that other runtimes can execute it.

    Args:
        layer: `tf_helen.layers.Embedding` with named fields.
        table: `StoredTable`, its rows.
        fields: names of the fields, in the order of the columns of ids. Defaults to `None`: all.

    Example:
        >>> layer = Embedding({"user": 3, "tags": 4}, 2, lengths={"tags": 2}, pooling="sum")
        >>> layer.build()
        >>> lookup = ServedLookup(layer, StoredTable(layer))
        >>> ids = tf.constant([[2, 1, -1], [0, 3, 3]])
        >>> bool(tf.reduce_all(lookup(ids) == layer(ids)))
        True
    """

    def __init__(self, layer: Embedding, table: StoredTable, fields: Iterable[str] | None = None):
        self.layer, self.table = layer, table
        self.fields = list(layer.fields if fields is None else fields)
        starts = field_rows(layer)
        self.lengths = [layer.lengths[name] for name in self.fields]
        self._means = [layer.pooling[name] == "mean" for name in self.fields]
        self._first_rows = np.repeat([starts[name].start for name in self.fields], self.lengths)

    def part(self, fields: Sequence[str]) -> ServedLookup:
        """Returns the lookup of some of the fields in the same table."""
        return ServedLookup(self.layer, self.table, fields)

    def __call__(self, ids: tf.Tensor, pool: bool = True) -> tf.Tensor:
        """Looks up rows.

        Args:
            ids: integers `[B, sum of lengths]`, padded with -1 in multi-valued fields.
            pool: boolean; combines the rows of a field. Defaults to `True`.

        Returns:
            `[B, fields, d]`, or `[B, sum of lengths, d]` without pooling.
        """
        if self.table.rows > tf.int32.max:
            ids = tf.cast(ids, tf.int64)
        several = np.repeat(np.array(self.lengths) > 1, self.lengths)
        known = tf.maximum(ids, 0) if several.any() else ids
        rows = self.table(known + tf.constant(self._first_rows, ids.dtype))
        dtype = self.layer.compute_dtype
        if not several.any():
            return tf.cast(rows, dtype)
        rows = tf.where((ids >= 0)[..., None], rows, tf.zeros_like(rows))
        if not pool:
            return tf.cast(rows, dtype)
        # Half precision would lose the later terms of a sum, so the sums are those of float32.
        return tf.cast(self._pooled(ids, rows), dtype)

    def _pooled(self, ids: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
        parts, start = [], 0
        for length, run in itertools.groupby(zip(self.lengths, self._means, strict=True), _kind):
            columns = list(run)
            if length == 1:  # neighboring fields with one value
                parts.append(rows[:, start : start + len(columns)])
                start += len(columns)
                continue
            for width, is_mean in columns:
                values, present = rows[:, start : start + width], ids[:, start : start + width] >= 0
                total = tf.reduce_sum(values, axis=1, keepdims=True)
                if is_mean:
                    count = tf.reduce_sum(tf.cast(present, rows.dtype), axis=1, keepdims=True)
                    total /= tf.maximum(count, 1)[..., None]
                parts.append(total)
                start += width
        return parts[0] if len(parts) == 1 else tf.concat(parts, axis=1)


def _kind(column: tuple[int, bool]) -> int:
    return min(column[0], 2)


def served_lookups(tables: Mapping[Embedding, StoredTable]) -> dict[Embedding, ServedLookup]:
    """Returns the lookup of each table's layer, for `tf_helen.layers.lookups.replaced_lookups`.

    Args:
        tables: dict, the result of `stored_tables`.

    Example:
        >>> served_lookups({})
        {}
    """
    return {layer: ServedLookup(layer, table) for layer, table in tables.items()}

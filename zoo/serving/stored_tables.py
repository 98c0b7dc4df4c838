"""Embedding tables as an export stores them: quantized, and without rows of zeros."""

from __future__ import annotations

from collections.abc import Iterator

import keras
import numpy as np
import tensorflow as tf

from tf_helen import keras_access
from tf_helen.analysis.tables import table_chunks
from tf_helen.core import replicas
from tf_helen.core.checks import one_of
from tf_helen.layers import DynamicEmbedding, Embedding

FORMATS = ("float32", "float16", "int8", "int4")
_BLOCK = 128  # rows whose places among the kept rows are stored in one byte each
_LEVELS = {"int8": 127, "int4": 7}


class StoredTable(tf.Module):
    """The rows of an embedding layer, in the variables of an export.

    `float16` rounds each number. `int8` and `int4` store a row as integers q and a float32 scale:
    `row = scale * q`, `scale = max |row| / 127` (int4: 7), `q = round(row / scale)`; int4 stores
    two numbers per byte, as `q + 8`, the first in the lower bits. Tables of width 1, for which a
    scale per row saves nothing, are stored as float16. Zeros stay exactly zero.

    Without rows of zeros, the other rows are stored in their order, and two index arrays give the
    place of a row: `place[r // 128] + rank[r] - 1`, and `rank[r] = 0` for a row of zeros. This
    needs 1.03 bytes per row, so a table is stored in this way only if that is smaller.

    Args:
        layer: built `tf_helen.layers.Embedding` without pending decay. Its own variable is used
            if it can be stored as it is; otherwise the rows are copied.
        form: string, one of `FORMATS`. Defaults to "float32".
        drop_zero_rows: boolean; rows of zeros are not stored. Defaults to `False`.

    Attributes:
        form: string, the format of the stored numbers.
        rows: int, number of rows of the layer.
        zero_rows: int, number of rows that are exactly zero; counted if `drop_zero_rows`, else 0.
        stored_rows: int, number of rows that are stored.
        bytes_before: int, size of the layer's table in float32.
        bytes_after: int, size of the stored variables.

    Raises:
        ValueError: on an unknown format, or a number that the format cannot store: not finite, or
            above 65504 for float16.

    Example:
        >>> layer = Embedding(3, 2)
        >>> layer.build()
        >>> layer.set_weights([np.array([[1.0, -2.0], [0.0, 0.0], [0.5, 0.25]])])
        >>> table = StoredTable(layer, form="float16", drop_zero_rows=True)
        >>> table(tf.constant([2, 1])).numpy().tolist(), table.zero_rows
        ([[0.5, 0.25], [0.0, 0.0]], 1)
    """

    def __init__(self, layer: Embedding, *, form: str = "float32", drop_zero_rows: bool = False):
        super().__init__()
        one_of("tables", form, FORMATS)
        self.width = int(layer.output_dim)
        self.form = "float16" if form in _LEVELS and self.width == 1 else form
        self.rows = int(layer.offsets[-1])
        self.bytes_before = 4 * self.rows * self.width
        self.zero_rows = 0
        self.rank: tf.Variable | None = None
        self.place: tf.Variable | None = None
        self.scale: tf.Variable | None = None
        kept = self._kept(layer) if drop_zero_rows else None
        if kept is not None:
            self.zero_rows = int(len(kept) - kept.sum())
            if self.zero_rows * self._row_bytes <= self.rows * (1 + 4 / _BLOCK) + 16:
                kept = None
        own = self._own_variable(layer)
        if self.form == "float32" and kept is None and own is not None:
            self.values = own
        else:
            self._store(layer, kept)
        self.stored_rows = self.rows if self.rank is None else self.rows - self.zero_rows
        self.bytes_after = sum(x.shape.num_elements() * x.dtype.size for x in self.parts.values())

    @property
    def _row_bytes(self) -> int:
        scale = 4 if self.form in _LEVELS else 0
        return {
            "float32": 4 * self.width,
            "float16": 2 * self.width,
            "int8": self.width,
            "int4": -(-self.width // 2),
        }[self.form] + scale

    @property
    def parts(self) -> dict[str, tf.Variable]:
        """The variables by name: `values` and, if needed, `scale`, `rank` and `place`."""
        named = {"values": self.values, "scale": self.scale, "rank": self.rank, "place": self.place}
        return {name: variable for name, variable in named.items() if variable is not None}

    @staticmethod
    def _own_variable(layer: Embedding) -> tf.Variable | None:
        if not isinstance(layer.embeddings, keras.Variable):  # in shards
            return None
        found = replicas.copies(layer.embeddings)
        is_float = found[0].dtype == tf.float32 and found[0].shape[0] == layer.offsets[-1]
        return found[0] if is_float else None

    def _kept(self, layer: Embedding) -> np.ndarray:
        return np.concatenate([rows.any(axis=1) for rows in _chunks(layer)])

    def _store(self, layer: Embedding, kept: np.ndarray | None) -> None:
        values: list[np.ndarray] = []
        scales: list[np.ndarray] = []
        first = 0
        for rows in _chunks(layer):
            if kept is not None:
                first, rows = first + len(rows), rows[kept[first : first + len(rows)]]
            stored, scale = _encoded(rows, self.form, layer.name)
            values.append(stored)
            scales.append(scale)
        if kept is not None and not kept.any():  # a lookup needs a row
            stored, scale = _encoded(np.zeros((1, self.width), np.float32), self.form, layer.name)
            values.append(stored)
            scales.append(scale)
        self.values = _variable(np.concatenate(values), "values")
        if self.form in _LEVELS:
            self.scale = _variable(np.concatenate(scales), "scale")
        if kept is not None:
            blocks = np.zeros((-(-len(kept) // _BLOCK), _BLOCK), bool)
            blocks.reshape(-1)[: len(kept)] = kept
            ranks = np.where(blocks, np.cumsum(blocks, axis=1), 0).ravel()[: len(kept)]
            places = np.concatenate([[0], np.cumsum(blocks.sum(axis=1))[:-1]])
            self.rank = _variable(ranks.astype(np.uint8), "rank")
            self.place = _variable(places.astype(np.int32), "place")

    def __call__(self, ids: tf.Tensor) -> tf.Tensor:
        """Returns rows, float32 `[..., d]`, of integer row numbers from 0 to `rows - 1`."""
        if self.rank is None or self.place is None:
            return self._decoded(ids)
        rank = tf.cast(tf.gather(self.rank, ids), tf.int32)
        place = tf.gather(self.place, ids // _BLOCK) + rank - 1
        rows = self._decoded(tf.maximum(place, 0))
        return tf.where(rank[..., None] > 0, rows, tf.zeros_like(rows))

    def _decoded(self, places: tf.Tensor) -> tf.Tensor:
        stored = tf.gather(self.values, places)
        if self.form == "float32":
            return stored
        if self.form == "int4":
            both = tf.cast(stored, tf.int32)
            pairs = tf.stack([both % 16, both // 16], axis=-1)
            shape = tf.concat([tf.shape(stored)[:-1], [2 * stored.shape[-1]]], 0)
            stored = tf.reshape(pairs, shape)[..., : self.width] - 8
        rows = tf.cast(stored, tf.float32)
        return rows if self.scale is None else rows * tf.gather(self.scale, places)[..., None]


def _chunks(layer: Embedding) -> Iterator[np.ndarray]:
    """Yields the rows of a layer."""
    for _, rows in table_chunks(layer.embeddings):
        yield np.asarray(rows, np.float32)


def _encoded(rows: np.ndarray, form: str, table: str) -> tuple[np.ndarray, np.ndarray]:
    """Returns the stored form of rows, and their scales, which only int8 and int4 use."""
    no_scale = np.ones(len(rows), np.float32)
    if form == "float32":
        return rows, no_scale
    largest = np.abs(rows).max(axis=1, initial=0)
    limit = np.finfo(np.float16).max if form == "float16" else np.finfo(np.float32).max
    if not (largest <= limit).all():
        raise ValueError(
            f"the table {table!r} has a number that {form} cannot store; train again with a "
            "smaller learning rate, or export with tables='float32'"
        )
    if form == "float16":
        return rows.astype(np.float16), no_scale
    scale = (largest / _LEVELS[form]).astype(np.float32)
    divisor = np.where(scale > 0, scale, 1)[:, None]
    levels = np.clip(np.rint(rows / divisor), -_LEVELS[form], _LEVELS[form])
    if form == "int8":
        return levels.astype(np.int8), scale
    shifted = (levels + 8).astype(np.uint8)
    if shifted.shape[1] % 2:
        shifted = np.concatenate([shifted, np.full((len(shifted), 1), 8, np.uint8)], axis=1)
    return shifted[:, 0::2] | (shifted[:, 1::2] << 4), scale


def _variable(values: np.ndarray, name: str) -> tf.Variable:
    with tf.init_scope():
        return tf.Variable(values, trainable=False, name=name)


def stored_tables(
    model: keras.Model, *, form: str = "float32", drop_zero_rows: bool = False
) -> dict[Embedding, StoredTable]:
    """Stores all embedding tables of a model.

    Args:
        model: built model; a pending decay must have been applied.
        form: see `StoredTable`.
        drop_zero_rows: see `StoredTable`.

    Returns:
        Dict from layer to `StoredTable`, without dynamic tables; empty if the model has no
        embedding layer.

    Raises:
        ValueError: see `StoredTable`, and on dynamic tables with another form.

    Example:
        >>> import zoo
        >>> model = zoo.FM(zoo.Schema("tiny", [zoo.Categorical("user", 10)]), 4)
        >>> [table.bytes_after for table in stored_tables(model, form="int8").values()]
        [80, 20]
    """
    one_of("tables", form, FORMATS)
    layers = [x for x in keras_access.layers_of(model) if isinstance(x, Embedding)]
    if form == "float32" and not drop_zero_rows:
        # Their lookups find the rows of ids, and stay as they are.
        layers = [layer for layer in layers if not isinstance(layer, DynamicEmbedding)]
    elif any(isinstance(layer, DynamicEmbedding) for layer in layers):
        raise ValueError(
            "dynamic tables are exported as they are. Received: "
            f"tables={form!r}, drop_zero_rows={drop_zero_rows}; use float32 and all rows"
        )
    return {
        layer: StoredTable(layer, form=form, drop_zero_rows=drop_zero_rows)
        for layer in dict.fromkeys(layers)
    }

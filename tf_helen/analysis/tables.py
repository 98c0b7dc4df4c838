"""The embedding tables of a model, their fields and their rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf

from tf_helen import keras_access
from tf_helen.core.checks import nearest
from tf_helen.core.whole_state import ShardedTable, read_whole
from tf_helen.layers import DynamicEmbedding, Embedding
from tf_helen.layers.initializing import CHUNK_ROWS


def tables_of(model: keras.layers.Layer) -> dict[str, Embedding]:
    """Returns the embedding layers of a model by name.

    Args:
        model: built Keras model or layer, such as `zoo.DeepFM` or its embedding.

    Returns:
        Dict from name to `tf_helen.layers.Embedding`, in the order of the layers. The name is the
        path of the table's variable without the model's name and without "embeddings".

    Raises:
        TypeError: if `model` is not a Keras layer.
        ValueError: if it has no `tf_helen.layers.Embedding`, or is not built.

    Example:
        >>> inputs = keras.Input((2,), dtype="int32")
        >>> x = tf_helen.layers.Embedding([10, 20], 4, name="ids")(inputs)
        >>> list(tf_helen.analysis.tables_of(keras.Model(inputs, keras.layers.Flatten()(x))))
        ['ids']
    """
    if not isinstance(model, keras.layers.Layer):
        raise TypeError(f"`model` must be a Keras model or layer. Received: {type(model).__name__}")
    layers = [x for x in keras_access.layers_of(model) if isinstance(x, Embedding)]
    if not layers:
        raise ValueError(
            f"{model.name!r} has no tf_helen.layers.Embedding. Use this layer for the ids, or pass "
            "another model."
        )
    unbuilt = [layer.name for layer in layers if not layer.built]
    if unbuilt:
        raise ValueError(
            f"The embedding layer {unbuilt[0]!r} is not built. Call the model on a batch first."
        )
    return {_name(layer, model): layer for layer in dict.fromkeys(layers)}


def _name(layer: Embedding, model: keras.layers.Layer) -> str:
    path = layer.embeddings.path.removesuffix("/embeddings")
    return path.removeprefix(f"{model.name}/")


def find_table(model: keras.Model, embedding: str | keras.layers.Layer) -> Embedding:
    """Returns an embedding layer of a model.

    Args:
        model: built Keras model.
        embedding: an `Embedding` of the model; a layer that contains exactly one, such as
            `zoo.layers.FieldEmbedding`; a name of `tables_of`; or the last part of such a name.

    Returns:
        The `Embedding`.

    Raises:
        ValueError: if no layer or more than one matches; the message lists the names.

    Example:
        >>> inputs = keras.Input((2,), dtype="int32")
        >>> layer = tf_helen.layers.Embedding([10, 20], 4, name="ids")
        >>> model = keras.Model(inputs, keras.layers.Flatten()(layer(inputs)))
        >>> find_table(model, "ids") is layer
        True
    """
    known = tables_of(model)
    if isinstance(embedding, str):
        found = {
            name: layer
            for name, layer in known.items()
            if name == embedding or layer.name == embedding or name.endswith(f"/{embedding}")
        }
        found = {embedding: known[embedding]} if embedding in known else found
        if len(found) == 1:
            return next(iter(found.values()))
        problem = f"names {len(found)} tables" if found else "names no table"
        raise ValueError(
            f"`embedding` {problem} of the model. Received: embedding={embedding!r}."
            f"{nearest(embedding, known)} Names: {', '.join(known)}."
        )
    inside = tables_of(embedding)
    owned = [layer for layer in inside.values() if any(layer is x for x in known.values())]
    if len(owned) != 1:
        raise ValueError(
            f"`embedding` must be a layer of the model with one table. Received: "
            f"{embedding.name!r}, which has {len(owned)} tables of the model. Names of the tables: "
            f"{', '.join(known)}."
        )
    return owned[0]


def field_rows(layer: Embedding) -> dict[str, range]:
    """Returns the rows of each field in a table.

    Args:
        layer: `tf_helen.layers.Embedding`.

    Returns:
        Dict from field name to the range of its rows. Fields that share rows have equal ranges.

    Example:
        >>> layer = tf_helen.layers.Embedding({"user": 10, "item": 20}, 4)
        >>> tf_helen.analysis.field_rows(layer)["item"]
        range(10, 30)
    """
    starts = layer.offsets[:-1].tolist()
    owned = [name for name in layer.fields if name not in layer.shared]
    first = dict(zip(owned, starts, strict=True))
    return {
        name: range(start, start + size)
        for name, size in layer.fields.items()
        for start in [first[layer.shared.get(name, name)]]
    }


def table_counts(
    layer: Embedding, counts: Mapping[str, Sequence[int]] | Sequence[int]
) -> np.ndarray:
    """Returns the number of occurrences of each row of a table.

    Args:
        layer: `tf_helen.layers.Embedding`.
        counts: dict from field name to the counts of its ids, such as `zoo.load_counts` returns;
            it may name more fields. Counts of fields that share rows are added. Or an array with a
            count per row.

    Returns:
        int64 array `[rows]`.

    Raises:
        ValueError: if a field is missing, or a number of counts is not the number of ids; on counts
            by field for a `tf_helen.layers.DynamicEmbedding`.

    Example:
        >>> layer = tf_helen.layers.Embedding({"user": 2, "item": 3}, 4)
        >>> tf_helen.analysis.table_counts(layer, {"user": [5, 0], "item": [1, 2, 2]}).tolist()
        [5, 0, 1, 2, 2]
    """
    rows = int(layer.offsets[-1])
    if not isinstance(counts, Mapping):
        found = np.asarray(counts, np.int64)
        if found.shape != (rows,):
            raise ValueError(
                f"`counts` must have one number per row of {layer.name!r}, [{rows}]. Received the "
                f"shape {list(found.shape)}."
            )
        return found
    if isinstance(layer, DynamicEmbedding):
        raise ValueError(
            f"The rows of {layer.name!r} belong to the ids that were admitted. Received: counts by "
            "field; pass an array with a count per row, such as from `layer.table_state()`."
        )
    total = np.zeros(rows, np.int64)
    for name, place in field_rows(layer).items():
        if name not in counts:
            raise ValueError(
                f"`counts` lacks the field {name!r}. Received: {', '.join(map(str, counts))}."
            )
        found = np.asarray(counts[name], np.int64)
        if found.shape != (len(place),):
            raise ValueError(
                f"`counts[{name!r}]` must have one number per id, [{len(place)}]. Received the "
                f"shape {list(found.shape)}."
            )
        total[place.start : place.stop] += found
    return total


def table_chunks(table: keras.Variable | ShardedTable) -> Iterator[tuple[int, np.ndarray]]:
    """Yields the rows of a table in chunks, to avoid a copy of the table in memory.

    Args:
        table: `[rows, ...]`, without a pending decay.

    Yields:
        The number of the first row, and an array of rows.

    Example:
        >>> [(first, rows.shape) for first, rows in table_chunks(keras.Variable(np.ones((3, 2))))]
        [(0, (3, 2))]
    """
    for start in range(0, table.shape[0], CHUNK_ROWS):
        stop = min(start + CHUNK_ROWS, table.shape[0])
        yield start, read_whole(table, tf.range(start, stop, dtype=tf.int64)).numpy()

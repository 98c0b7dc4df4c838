"""The state of a `DynamicEmbedding` in files, also of another capacity."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from tf_helen.core.capacities import check_fit, moved, resized_sketch
from tf_helen.core.whole_state import ShardedTable
from tf_helen.layers.id_rows import BY_ROW, IdRows


def save(store: Any, table: np.ndarray, rows: IdRows) -> None:
    """Writes the state of a layer to a store of Keras.

    Args:
        store: dict-like, of arrays.
        table: `[rows, dim]`, the whole table.
        rows: `IdRows` of the layer.
    """
    store["embeddings"] = table
    for name, variable in rows.saved.items():
        value = variable.numpy()
        if value.dtype == object:  # HDF5 has no strings with zeros in them
            store["id_lengths"] = np.array([len(each) for each in value], np.int64)
            value = np.frombuffer(b"".join(value), np.uint8)
        store[name] = value


def load(
    store: Mapping[str, Any],
    table: keras.Variable | ShardedTable,
    rows: IdRows,
    what: str,
) -> np.ndarray:
    """Sets the state of a layer to that of a store, which may have other capacities.

    Args:
        store: dict-like, which `save` wrote.
        table: `layer.embeddings`.
        rows: `IdRows` of the layer.
        what: string, the layer for messages.

    Returns:
        int64 `[fields]`, the capacities of the store.

    Raises:
        ValueError: if the store has other variables, or its ids do not fit.
    """
    names = set(store.keys())
    missing = {"embeddings", *rows.saved} - names
    if missing:
        raise ValueError(
            f"{what} needs the variables {', '.join(sorted(missing))}, which the file does not "
            "have. Construct the layer with the same `admission`, `eviction` and `id_dtype`."
        )
    before, capacities = np.asarray(store["capacities"]), rows.capacities.numpy()
    check_fit(before, capacities, np.asarray(store["used"]), what)
    table.assign(moved(np.asarray(store["embeddings"]), before, np.asarray(table), capacities))
    for name, variable in rows.saved.items():
        value = np.asarray(store[name])
        if name == "ids" and "id_lengths" in names:
            value = _strings(value, np.asarray(store["id_lengths"]))
        if name in BY_ROW:
            value = moved(value, before, variable.numpy(), capacities)
        elif name == "sketch":
            value = resized_sketch(value, variable.shape[0])
        elif name == "capacities":
            value = capacities
        variable.assign(value)
    return before


def _strings(characters: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    ends = np.cumsum(lengths)
    data = characters.tobytes()
    found = np.empty(len(ends), object)
    found[:] = [data[end - n : end] for end, n in zip(ends, lengths, strict=True)]
    return found

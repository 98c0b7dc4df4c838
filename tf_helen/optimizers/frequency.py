"""Frequencies of the rows of a table, relative to the most frequent row of their field."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_helen.core import replicas, tables
from tf_helen.core.rows import RowBlock, sum_duplicates, write_rows
from tf_helen.core.table_group import TableGroup
from tf_helen.optimizers.slots import HISTORY

# Counts are computed in float64, which represents every 4-byte count exactly.


@dataclasses.dataclass(frozen=True)
class StoredCounts:
    """Counts of one table, on this replica.

    Attributes:
        read: function from rows of the whole table, `[n]`, to their counts, int64 `[n]`.
        write: function of rows and counts; `None`: the optimizer with the records adds batches.
        maximum: float64 variable `[fields]`, maximum count of each field.
    """

    read: Callable[[tf.Tensor], tf.Tensor]
    write: Callable[[tf.Tensor, tf.Tensor], None] | None
    maximum: tf.Variable


def counts_of(
    owner: Any, shards: Sequence[keras.Variable], maximum: tf.Variable, write: bool
) -> StoredCounts:
    """Returns the counts in the row records that an optimizer, `owner`, has of a table."""
    variable, group = shards[0], tables.of_or_single(shards[0]).group
    if owner is None:
        raise ValueError(
            f"`frequency='running'` needs an optimizer of tf_helen for {variable.path!r}, which is "
            "trained by an optimizer of Keras. Use `frequency='batch'` or another optimizer."
        )
    records = [replicas.local(owner.slots_of(shard)[HISTORY]) for shard in shards]

    def read_shard(rank: int, ids: tf.Tensor) -> tf.Tensor:
        return tf.cast(owner.stored_history(shards[rank], ids)["count"], tf.int64)

    def write_shard(rank: int, ids: tf.Tensor, counts: tf.Tensor) -> None:
        write_rows(records[rank], ids, counts[:, None])

    return StoredCounts(
        read=lambda ids: group.lookup(ids, read_shard),
        write=(lambda ids, counts: group.send(ids, counts, write_shard)) if write else None,
        maximum=maximum,
    )


def check_loaded(optimizer: Any, variables: Sequence[keras.Variable]) -> None:
    """Raises unless the counts of a config were loaded with the state of the optimizer."""
    slots = [optimizer.slots_of(variable).get("field_maximum") for variable in variables]
    copies = [replicas.copies(slot)[0] for slot in slots if slot is not None]
    with tf.init_scope():
        counted = any(copy.numpy().max() > 0 for copy in copies)
    if not counted:
        raise ValueError(
            "This optimizer was created from a config, which does not contain the counts of "
            "`frequency`. Load it with its state (a trained model), or pass `frequency` again."
        )


def field_maximum(counts: tf.Tensor, group: TableGroup, ids: tf.Tensor) -> tf.Tensor:
    """Returns the maximum count of the given rows by field, at least 0, float64 `[fields]`."""
    field = group.field_of_rows(ids)
    largest = tf.math.unsorted_segment_max(counts, field, len(group.fields))
    return tf.maximum(largest, 0)  # for a field without rows, TensorFlow returns the lowest number


def relative_frequency(
    block: RowBlock,
    group: TableGroup,
    stored: StoredCounts | None,
    include_batch: bool,
) -> tf.Tensor:
    """Returns `N_k / max_k' N_k'`, with the maximum over the rows of the field of row k.

    Args:
        block: `RowBlock`, the rows of this batch in the whole table, with their counts.
        group: `TableGroup` with the rows of each field.
        stored: `StoredCounts` of earlier batches or of the data set; `None`: this batch only.
        include_batch: boolean, whether to add this batch to the stored counts.

    Returns:
        float32 `[rows of the block]`, in [0, 1].
    """
    counts = tf.zeros(tf.shape(block.ids), tf.float64)
    if include_batch:
        counts += tf.cast(block.counts, tf.float64)
    if stored is not None:
        counts += tf.cast(stored.read(block.ids), tf.float64)
    largest = field_maximum(counts, group, block.ids)
    if stored is not None:
        largest = tf.maximum(largest, stored.maximum.read_value())
    share = tf.math.divide_no_nan(counts, tf.gather(largest, group.field_of_rows(block.ids)))
    return tf.cast(share, tf.float32)


def add_batch(rows: tf.Tensor, group: TableGroup, stored: StoredCounts) -> None:
    """Adds the occurrences of a global batch to the field maxima, and to stored counts.

    Args:
        rows: int `[n]`, rows of the whole table, one per occurrence.
        group: `TableGroup`.
        stored: `StoredCounts` of the table.
    """
    ones = tf.ones([tf.shape(rows)[0], 1], tf.float64)
    shape = tf.constant([group.rows, 1], rows.dtype)
    occurrences = tf.IndexedSlices(ones, rows, dense_shape=shape)
    block = sum_duplicates(replicas.all_reduce_sum([occurrences])[0])
    counts = stored.read(block.ids) + tf.cast(block.counts, tf.int64)
    if stored.write is not None:
        stored.write(block.ids, counts)
    largest = field_maximum(tf.cast(counts, tf.float64), group, block.ids)
    known = stored.maximum.read_value()
    stored.maximum.assign(tf.maximum(known, largest), read_value=False)


def keys_of(
    variable: keras.Variable, given: Mapping[str, np.ndarray], group: TableGroup
) -> list[str]:
    """Returns the keys of the counts of a table: the end of its path, or all its fields."""
    by_path = [key for key in given if f"/{variable.path}".endswith("/" + key)]
    if by_path:
        return [max(by_path, key=len)]
    has_fields = tables.of(variable) is not None
    return list(group.fields) if has_fields and all(f in given for f in group.fields) else []


def counts_for(
    variable: keras.Variable, given: Mapping[str, np.ndarray], group: TableGroup
) -> np.ndarray:
    """Returns the counts of a table among those that the user gave.

    Args:
        variable: Keras variable of the table, or of any of its shards.
        given: dict from variable path (or its end) or field name to counts.
        group: `TableGroup` with the fields.

    Returns:
        float64 `[rows]`, of the whole table.

    Raises:
        ValueError: if there are no counts for the table, or they have the wrong length or values;
            on a table whose rows are given to ids in training.
    """
    if group.reuse is not None:
        raise ValueError(
            f"The rows of {variable.path!r} are given to ids in training, so counts per row are "
            "not known before. Use `frequency='running'` or 'batch'."
        )
    keys = keys_of(variable, given, group)
    if not keys:
        raise ValueError(
            f"`frequency` has no counts for the table {variable.path!r} (rows: {group.rows}, "
            f"fields: {', '.join(group.fields[:20])}). Given: {', '.join(list(given)[:20])}. Use "
            "the variable's path or all its field names as keys."
        )
    parts = [np.asarray(given[key], np.float64).ravel() for key in keys]
    if len(keys) > 1:
        for field, size, part in zip(keys, np.diff(group.offsets), parts, strict=True):
            if len(part) != size:
                raise ValueError(
                    f"`frequency` has {len(part)} counts for field {field!r}, which has {size} "
                    "rows. Pass one count per row."
                )
    counts = np.concatenate(parts)
    whole = np.all((counts >= 0) & (counts < 2**32) & (counts == np.floor(counts)))
    if len(counts) != group.rows or not whole:
        raise ValueError(
            f"`frequency` for {variable.path!r} must be {group.rows} integers in "
            f"[0, 2^32). Received {len(counts)} values, such as {counts[:3].tolist()}"
        )
    return counts

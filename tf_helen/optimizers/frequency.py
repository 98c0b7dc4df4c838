"""How often the rows of a table occur, relative to the most frequent row of their field."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

import keras
import numpy as np
import tensorflow as tf

from tf_helen.core import replicas, tables
from tf_helen.core.rows import RowBlock, sum_duplicates, write_rows
from tf_helen.optimizers.slots import HISTORY

# Counts are computed in float64, where every 4-byte count is exact.


@dataclasses.dataclass(frozen=True)
class StoredCounts:
    """Counts of one table, on this replica.

    Attributes:
        read: ids `[n]` -> uint32 `[n]`.
        write: ids, counts; `None`: the optimizer that holds the records adds the batches.
        maximum: float64 variable `[fields]`, the largest count of each field.
    """

    read: Callable[[tf.Tensor], tf.Tensor]
    write: Callable[[tf.Tensor, tf.Tensor], None] | None
    maximum: tf.Variable


def counts_of(owner, variable: keras.Variable, maximum: tf.Variable, write: bool) -> StoredCounts:
    """The counts in the records that `owner`, an optimizer, holds of a variable's rows."""
    if owner is None:
        raise ValueError(
            f"`frequency='running'` needs an optimizer of tf_helen for {variable.path!r}, which an "
            "optimizer of Keras trains."
        )
    records = replicas.local(owner.slots_of(variable)[HISTORY])
    return StoredCounts(
        read=lambda ids: owner.stored_history(variable, ids)["count"],
        write=(lambda ids, counts: write_rows(records, ids, counts[:, None])) if write else None,
        maximum=maximum,
    )


def check_loaded(optimizer, variables) -> None:
    """Raises unless the counts that a config speaks of were loaded with the optimizer's state."""
    slots = [optimizer.slots_of(variable).get("field_maximum") for variable in variables]
    copies = [replicas.copies(slot)[0] for slot in slots if slot is not None]
    with tf.init_scope():
        counted = any(copy.numpy().max() > 0 for copy in copies)
    if not counted:
        raise ValueError(
            "This optimizer was made from a config, which does not hold the counts of `frequency`. "
            "Load it with its state (a model that has trained), or give `frequency` again."
        )


def field_maximum(counts: tf.Tensor, table: tables.Table, ids: tf.Tensor) -> tf.Tensor:
    """float64 `[fields]`: the largest count among the given rows of each field, at least 0."""
    field = table.field_of_rows(ids)
    largest = tf.math.unsorted_segment_max(counts, field, len(table.fields))
    return tf.maximum(largest, 0)  # a field without rows has the lowest number there is


def relative_frequency(
    block: RowBlock,
    table: tables.Table,
    stored: StoredCounts | None,
    include_batch: bool,
) -> tf.Tensor:
    """`N_k / max_k' N_k'`, the maximum over the rows of k's field.

    Args:
        block: the rows of this batch, with their counts.
        table: which rows belong to which field.
        stored: counts of earlier batches, or of the data set; `None`: this batch only.
        include_batch: whether this batch adds to the stored counts.

    Returns:
        float32 `[rows of the block]`, in [0, 1].
    """
    counts = tf.zeros(tf.shape(block.ids), tf.float64)
    if include_batch:
        counts += tf.cast(block.counts, tf.float64)
    if stored is not None:
        counts += tf.cast(stored.read(block.ids), tf.float64)
    largest = field_maximum(counts, table, block.ids)
    if stored is not None:
        largest = tf.maximum(largest, stored.maximum.read_value())
    share = tf.math.divide_no_nan(counts, tf.gather(largest, table.field_of_rows(block.ids)))
    return tf.cast(share, tf.float32)


def add_batch(gradient: tf.IndexedSlices, table: tables.Table, stored: StoredCounts) -> None:
    """Adds the occurrences of a (global) batch to the field maxima, and to counts kept here."""
    ones = tf.ones([tf.shape(gradient.indices)[0], 1], tf.float64)
    occurrences = tf.IndexedSlices(ones, gradient.indices, dense_shape=tf.constant([table.rows, 1]))
    block = sum_duplicates(replicas.all_reduce_sum([occurrences])[0])
    counts = stored.read(block.ids) + tf.cast(block.counts, tf.uint32)
    if stored.write is not None:
        stored.write(block.ids, counts)
    largest = field_maximum(tf.cast(counts, tf.float64), table, block.ids)
    known = stored.maximum.read_value()
    stored.maximum.assign(tf.maximum(known, largest), read_value=False)


def keys_of(
    variable: keras.Variable, given: Mapping[str, np.ndarray], table: tables.Table
) -> list[str]:
    """The keys under which a table's counts were given: its path's end, or all its fields."""
    by_path = [key for key in given if f"/{variable.path}".endswith("/" + key)]
    if by_path:
        return [max(by_path, key=len)]
    is_ours = tables.of(variable) is not None
    return list(table.fields) if is_ours and all(f in given for f in table.fields) else []


def counts_for(
    variable: keras.Variable, given: Mapping[str, np.ndarray], table: tables.Table
) -> np.ndarray:
    """Finds one table's counts among those the user gave.

    Args:
        variable: the table.
        given: counts by variable path (or its end), or by field name.
        table: the table's fields.

    Returns:
        float64 `[rows]`.

    Raises:
        ValueError: if the table has no entry, or counts of the wrong length, or negative ones.
    """
    keys = keys_of(variable, given, table)
    if not keys:
        raise ValueError(
            f"`frequency` has no counts for the table {variable.path!r} (rows: {table.rows}, "
            f"fields: {', '.join(table.fields[:20])}). Given: {', '.join(list(given)[:20])}. Use "
            "the variable's path or all its field names as keys."
        )
    parts = [np.asarray(given[key], np.float64).ravel() for key in keys]
    if len(keys) > 1:
        for field, size, part in zip(keys, np.diff(table.offsets), parts, strict=True):
            if len(part) != size:
                raise ValueError(
                    f"`frequency` has {len(part)} counts for field {field!r}, which has {size} rows"
                )
    counts = np.concatenate(parts)
    whole = np.all((counts >= 0) & (counts < 2**32) & (counts == np.floor(counts)))
    if len(counts) != table.rows or not whole:
        raise ValueError(
            f"`frequency` for {variable.path!r} must be {table.rows} whole numbers in "
            f"[0, 2^32). Received {len(counts)} values, such as {counts[:3].tolist()}"
        )
    return counts

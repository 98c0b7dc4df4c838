"""Initializes large tables in chunks, without temporaries of the size of the table."""

from __future__ import annotations

import keras
import tensorflow as tf

from tf_helen.core.whole_state import ShardedTable, write_whole

CHUNK_ROWS = 1 << 17
_LARGE = 1 << 20
_ELEMENTWISE = (
    keras.initializers.RandomNormal,
    keras.initializers.RandomUniform,
    keras.initializers.TruncatedNormal,
)


def is_drawn_in_chunks(initializer: keras.initializers.Initializer, rows: int) -> bool:
    """Returns whether a table is initialized in chunks.

    This is the case if it is large and its entries are drawn independently, but not while a
    function is traced, because the initialization would become part of the function.
    """
    drawn = isinstance(initializer, _ELEMENTWISE) and isinstance(initializer.seed, int)
    return drawn and rows > _LARGE and tf.executing_eagerly()


def draw_in_chunks(
    table: keras.Variable | ShardedTable, initializer: keras.initializers.Initializer
) -> None:
    """Writes random initial values to a table, in chunks of rows.

    A random initializer has temporaries of the size of its result, so that the initialization of a
    table would need more memory than its training.

    Args:
        table: Keras variable, table `[rows, dim]`, or `ShardedTable`.
        initializer: Keras initializer for which `is_drawn_in_chunks` is true.
    """
    rows, width = table.shape
    for number, start in enumerate(range(0, rows, CHUNK_ROWS)):
        ids = tf.range(start, min(start + CHUNK_ROWS, rows), dtype=tf.int64)
        # An initializer draws the same values for the same seed, so each chunk has its own seed.
        config = {**initializer.get_config(), "seed": initializer.seed + number}
        values = type(initializer).from_config(config)((len(ids), width), table.dtype)
        write_whole(table, ids, values)


def draw(table: keras.Variable | ShardedTable, initializer: keras.initializers.Initializer) -> None:
    """Re-initializes a table, in chunks if it is large."""
    if is_drawn_in_chunks(initializer, table.shape[0]):
        draw_in_chunks(table, initializer)
    else:
        table.assign(initializer(tuple(table.shape), table.dtype))

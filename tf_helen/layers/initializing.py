"""Initializes large tables in chunks, without temporaries of the size of the table."""

from __future__ import annotations

import keras
import tensorflow as tf

from tf_helen.core import replicas
from tf_helen.core.rows import write_rows

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


def draw_in_chunks(variable: keras.Variable, initializer: keras.initializers.Initializer) -> None:
    """Writes random initial values to a table, in chunks of rows.

    A random initializer has temporaries of the size of its result, so that the initialization of a
    table would need more memory than its training.

    Args:
        variable: Keras variable, table `[rows, dim]`.
        initializer: Keras initializer for which `is_drawn_in_chunks` is true.
    """
    rows, width = variable.shape
    for number, start in enumerate(range(0, rows, CHUNK_ROWS)):
        ids = tf.range(start, min(start + CHUNK_ROWS, rows))
        # An initializer draws the same values for the same seed, so each chunk has its own seed.
        config = {**initializer.get_config(), "seed": initializer.seed + number}
        values = type(initializer).from_config(config)((len(ids), width), variable.dtype)
        for copy in replicas.copies(variable):
            write_rows(copy, ids, values)


def draw(variable: keras.Variable, initializer: keras.initializers.Initializer) -> None:
    """Re-initializes a table, in chunks if it is large."""
    if is_drawn_in_chunks(initializer, variable.shape[0]):
        draw_in_chunks(variable, initializer)
    else:
        variable.assign(initializer(tuple(variable.shape), variable.dtype))

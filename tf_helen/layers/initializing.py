"""Initial values of large tables without their weight in temporaries."""

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
    """Whether a table is large enough, and its entries are drawn independently.

    Not while a function is traced: the drawing would become part of the function.
    """
    drawn = isinstance(initializer, _ELEMENTWISE) and isinstance(initializer.seed, int)
    return drawn and rows > _LARGE and tf.executing_eagerly()


def draw_in_chunks(variable: keras.Variable, initializer: keras.initializers.Initializer) -> None:
    """Writes random initial values into a table of zeros, some rows at a time.

    A random initializer makes temporaries as large as its result, so that a table would need more
    memory to begin than to train.

    Args:
        variable: the table `[rows, dim]`.
        initializer: one for which `is_drawn_in_chunks` holds.
    """
    rows, width = variable.shape
    for number, start in enumerate(range(0, rows, CHUNK_ROWS)):
        ids = tf.range(start, min(start + CHUNK_ROWS, rows))
        # One seed gives one draw: every chunk needs its own.
        config = {**initializer.get_config(), "seed": initializer.seed + number}
        values = type(initializer).from_config(config)((len(ids), width), variable.dtype)
        for copy in replicas.copies(variable):
            write_rows(copy, ids, values)


def draw(variable: keras.Variable, initializer: keras.initializers.Initializer) -> None:
    """Draws a table anew, a large one in chunks."""
    if is_drawn_in_chunks(initializer, variable.shape[0]):
        draw_in_chunks(variable, initializer)
    else:
        variable.assign(initializer(tuple(variable.shape), variable.dtype))

"""Initial values of rows that are given to other ids."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

_ANY_SHAPE = (
    keras.initializers.RandomNormal,
    keras.initializers.RandomUniform,
    keras.initializers.TruncatedNormal,
    keras.initializers.Zeros,
    keras.initializers.Ones,
    keras.initializers.Constant,
)


class _Seed(keras.random.SeedGenerator):
    """A seed that is a tensor: Keras's initializers take integers and generators only."""

    def __init__(self, seed: tf.Tensor):
        self._seed = seed

    def next(self, ordered=True):
        return self._seed


def check_initializer(initializer: Any, what: str) -> None:
    """Raises an error unless single rows can be drawn by an initializer.

    Args:
        initializer: Keras initializer of a table.
        what: string, the layer for the message.

    Raises:
        ValueError: if the values of a row may depend on the shape of the table.
    """
    if not isinstance(initializer, _ANY_SHAPE):
        raise ValueError(
            f"{what} draws rows again when they are given to other ids, for which the entries of "
            "`embeddings_initializer` must not depend on each other or on the size of the table. "
            f"Received: {type(initializer).__name__}. Use RandomUniform, RandomNormal, "
            "TruncatedNormal, Zeros, Ones or Constant, or `eviction=None`."
        )


def fresh_rows(initializer: Any, shape: tuple[Any, int], dtype: str, seed: tf.Tensor) -> tf.Tensor:
    """Returns new initial rows, a pure function of the arguments.

    Args:
        initializer: Keras initializer that `check_initializer` accepts.
        shape: number of rows (int scalar tensor), and width.
        dtype: string, dtype of the table.
        seed: int32 or int64 `[2]`.

    Returns:
        Tensor `[rows, width]`.
    """
    config = initializer.get_config()
    if "seed" in config:
        config["seed"] = _Seed(tf.cast(seed, tf.int64))
        rows = type(initializer)(**config)(shape, dtype=dtype)
    elif isinstance(initializer, keras.initializers.Constant):
        rows = tf.broadcast_to(tf.cast(initializer.value, dtype), shape)
    else:
        rows = tf.fill(shape, tf.cast(isinstance(initializer, keras.initializers.Ones), dtype))
    return tf.cast(rows, dtype)

"""What this package takes from Keras beyond its documented names, with the reason for each."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import tensorflow as tf


def add_integer_input(model: keras.Sequential, shape: Sequence[int | None] | None) -> None:
    """Gives a `Sequential` that has no input layer one of integers.

    Keras gives it one of the first layer's compute dtype, and then casts ids to floats. There is
    no public method that puts a layer first.

    Args:
        model: a model that is not built yet.
        shape: the shape of its input, with the batch; nothing is done for what is no tuple of
            numbers, which `Sequential.build` does not build either.

    Example:
        >>> model = keras.Sequential([keras.layers.Embedding(9, 2)])
        >>> add_integer_input(model, (None, 3))
        >>> model.input_dtype
        'int64'
    """
    layers = model._layers
    if not layers or isinstance(layers[0], keras.layers.InputLayer):
        return
    shape = tuple(shape) if isinstance(shape, (tuple, list, tf.TensorShape)) else ("",)
    if all(size is None or isinstance(size, int) for size in shape):
        layers.insert(0, keras.layers.InputLayer(batch_shape=shape, dtype="int64"))

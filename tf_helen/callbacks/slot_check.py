"""Checks that the optimizer slots of single tables can be reset."""

from __future__ import annotations

from collections.abc import Iterable

import keras

from tf_helen.optimizers.delegating import DelegatingOptimizer
from tf_helen.optimizers.row_sparse import RowSparseOptimizer
from tf_helen.training import loss_scaling


def check_slots(model: keras.Model, layers: Iterable[keras.layers.Layer], who: str) -> None:
    """Raises an error if one of Keras's optimizers trains a table.

    Keras's optimizers have no method that resets the slots of one table.

    Args:
        model: compiled Keras model.
        layers: embedding layers.
        who: string, name of the callback, for the message.

    Raises:
        TypeError: if one of Keras's optimizers trains one of the layers.
    """
    for layer in layers:
        optimizer = loss_scaling.unwrap(model.optimizer)
        while layer.built and isinstance(optimizer, DelegatingOptimizer):
            optimizer = optimizer.optimizer_of(layer.embeddings)
        if not isinstance(optimizer, RowSparseOptimizer):
            raise TypeError(
                f"{who} must reset slots of single tables, which Keras's "
                f"{type(optimizer).__name__} cannot do. Use an optimizer of tf_helen, such as "
                "`tf_helen.Adam()`."
            )

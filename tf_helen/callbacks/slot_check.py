"""Whether the slots of single tables can be reset."""

from __future__ import annotations

from collections.abc import Iterable

import keras

from tf_helen.optimizers.delegating import DelegatingOptimizer
from tf_helen.optimizers.row_sparse import RowSparseOptimizer
from tf_helen.training import loss_scaling


def check_slots(model: keras.Model, layers: Iterable[keras.layers.Layer], who: str) -> None:
    """Raises if one of Keras's optimizers trains a table, whose slots nobody can reset.

    Args:
        model: compiled Keras model.
        layers: embedding layers.
        who: name of the callback, for the message.

    Raises:
        TypeError: names the optimizer.
    """
    for layer in layers:
        one = loss_scaling.unwrap(model.optimizer)
        while layer.built and isinstance(one, DelegatingOptimizer):
            one = one.optimizer_of(layer.embeddings)
        if not isinstance(one, RowSparseOptimizer):
            raise TypeError(
                f"{who} must reset slots of single tables, which Keras's {type(one).__name__} "
                "cannot. Use an optimizer of tf_helen, such as `tf_helen.Adam()`."
            )

"""Parameter counts of a model."""

from __future__ import annotations

import keras
import numpy as np

from tf_helen import keras_access
from tf_helen.layers import Embedding


def parameter_counts(model: keras.Model) -> tuple[int, int]:
    """Counts the trainable parameters of a built model.

    Args:
        model: a built Keras model.

    Returns:
        Two ints: the parameters of the embedding tables (including the weights of a linear part),
        which grow with the vocabularies, and all other parameters.

    Example:
        >>> import zoo
        >>> parameter_counts(zoo.FM(zoo.Schema("tiny", [zoo.Categorical("user", 10)]), 4))
        (50, 1)
    """
    layers = keras_access.layers_of(model, include_self=False)
    tables = [layer for layer in layers if isinstance(layer, Embedding)]
    # By identity: two layers may share a table.
    weights = {id(weight): weight for table in tables for weight in table.trainable_weights}
    everything = sum(_size(weight) for weight in model.trainable_weights)
    embedded = sum(_size(weight) for weight in weights.values())
    return embedded, everything - embedded


def _size(weight: keras.Variable) -> int:
    return int(np.prod(weight.shape))

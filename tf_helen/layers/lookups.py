"""Other lookups in place of those of embedding layers, such as compressed tables of an export."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import TypeAlias

import tensorflow as tf

from tf_helen.layers.embedding import Embedding

Lookup: TypeAlias = Callable[[tf.Tensor, bool], tf.Tensor]


@contextlib.contextmanager
def replaced_lookups(lookups: Mapping[Embedding, Lookup]) -> Iterator[None]:
    """Context in which embedding layers return the results of other functions.

    The layers neither check their ids nor read their tables. A function that is traced in the
    context keeps the replaced lookups.

    Args:
        lookups: dict from `tf_helen.layers.Embedding` to a function of the layer's inputs and its
            argument `pool`; it returns a tensor of the shape that the layer documents.

    Example:
        >>> layer = tf_helen.layers.Embedding({"user": 3}, 2)
        >>> with replaced_lookups({layer: lambda ids, pool: tf.zeros((len(ids), 1, 2))}):
        ...     found = layer(np.array([[1]]))
        >>> found.numpy().tolist()
        [[[0.0, 0.0]]]
    """
    before = {layer: layer.lookup for layer in lookups}
    try:
        for layer, lookup in lookups.items():
            layer.lookup = lookup
        yield
    finally:
        for layer, earlier in before.items():
            layer.lookup = earlier

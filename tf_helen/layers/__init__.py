"""Keras layers whose tables train at row cost."""

from tf_helen.layers.embedding import Embedding

__all__ = ["Embedding"]

"""Keras layers for embedding tables."""

from tf_helen.layers.embedding import Embedding

__all__ = ["Embedding"]

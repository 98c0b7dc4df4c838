"""Keras layers for embedding tables."""

from tf_helen.layers.admission import Admission
from tf_helen.layers.dynamic_embedding import DynamicEmbedding
from tf_helen.layers.embedding import Embedding
from tf_helen.layers.eviction import Eviction

__all__ = ["Admission", "DynamicEmbedding", "Embedding", "Eviction"]

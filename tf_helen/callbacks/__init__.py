"""Keras callbacks for training embedding models."""

from tf_helen.callbacks.embedding_norms import EmbeddingNorms
from tf_helen.callbacks.exact_resume import ExactResume, Terminated
from tf_helen.callbacks.id_counts import IdCounts
from tf_helen.callbacks.magnitude_pruning import MagnitudePruning
from tf_helen.callbacks.meda import MEDA
from tf_helen.callbacks.sparsity import Sparsity

__all__ = [
    "MEDA",
    "EmbeddingNorms",
    "ExactResume",
    "IdCounts",
    "MagnitudePruning",
    "Sparsity",
    "Terminated",
]

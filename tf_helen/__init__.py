"""Row-sparse optimizers for click-through-rate models in Keras: Helen, AdamAR and their bases."""

from tf_helen import layers, metrics, optimizers
from tf_helen.optimizers import (
    ASAM,
    SAM,
    SGD,
    Adagrad,
    AdagradAR,
    Adam,
    AdamAR,
    AdamW,
    Helen,
    Momentum,
    RowSparseOptimizer,
)
from tf_helen.trainer import Model, Sequential, enable

__version__ = "0.1.0"

__all__ = [
    "ASAM",
    "SAM",
    "SGD",
    "Adagrad",
    "AdagradAR",
    "Adam",
    "AdamAR",
    "AdamW",
    "Helen",
    "Model",
    "Momentum",
    "RowSparseOptimizer",
    "Sequential",
    "enable",
    "layers",
    "metrics",
    "optimizers",
]

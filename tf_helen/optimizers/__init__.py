"""Optimizers: each one rule for a block of rows, sparse or dense alike."""

from tf_helen.optimizers.adagrad import Adagrad
from tf_helen.optimizers.adam import Adam, AdamW
from tf_helen.optimizers.adam_ar import AdagradAR, AdamAR
from tf_helen.optimizers.helen import Helen
from tf_helen.optimizers.registry import get
from tf_helen.optimizers.row_sparse import RowSparseOptimizer, Step
from tf_helen.optimizers.sam import ASAM, SAM
from tf_helen.optimizers.sgd import SGD, Momentum

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
    "Momentum",
    "RowSparseOptimizer",
    "Step",
    "get",
]

"""Optimizers: each one rule for a block of rows, sparse or dense alike."""

from tf_helen.optimizers.adagrad import Adagrad
from tf_helen.optimizers.adam import Adam, AdamW
from tf_helen.optimizers.adam_ar import AdagradAR, AdamAR
from tf_helen.optimizers.asam import ASAM
from tf_helen.optimizers.helen import Helen
from tf_helen.optimizers.registry import get
from tf_helen.optimizers.row_sparse import RowSparseOptimizer
from tf_helen.optimizers.sam import SAM
from tf_helen.optimizers.sgd import SGD, Momentum
from tf_helen.optimizers.step import Step

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

"""Row-sparse optimizers for click-through-rate models in Keras: Helen, AdamAR and their bases."""

from tf_helen.requirements import check_keras as _check_keras

_check_keras()  # before anything imports Keras

from tf_helen import callbacks, layers, metrics, optimizers  # noqa: E402
from tf_helen.optimizers import (  # noqa: E402
    ASAM,
    SAM,
    SGD,
    Adagrad,
    AdagradAR,
    AdagradW,
    AdaHessian,
    Adam,
    AdamAR,
    AdamW,
    AMSGrad,
    CowClip,
    GroupAdagrad,
    GroupAdaHessian,
    GroupAdam,
    GroupAdamAR,
    GroupAMSGrad,
    GroupFTRL,
    GroupMomentum,
    Helen,
    Momentum,
    Nadam,
    PerVariable,
    RAdam,
    RowSparseOptimizer,
    RowWiseAdagrad,
)
from tf_helen.trainer import Model, Sequential, enable, settle  # noqa: E402

__version__ = "0.1.0"

__all__ = [
    "ASAM",
    "SAM",
    "SGD",
    "AMSGrad",
    "AdaHessian",
    "Adagrad",
    "AdagradAR",
    "AdagradW",
    "Adam",
    "AdamAR",
    "AdamW",
    "CowClip",
    "GroupAMSGrad",
    "GroupAdaHessian",
    "GroupAdagrad",
    "GroupAdam",
    "GroupAdamAR",
    "GroupFTRL",
    "GroupMomentum",
    "Helen",
    "Model",
    "Momentum",
    "Nadam",
    "PerVariable",
    "RAdam",
    "RowSparseOptimizer",
    "RowWiseAdagrad",
    "Sequential",
    "callbacks",
    "enable",
    "layers",
    "metrics",
    "optimizers",
    "settle",
]

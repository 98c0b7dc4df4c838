"""Optimizers for embedding tables and dense weights."""

from tf_helen.optimizers.ada_hessian import AdaHessian
from tf_helen.optimizers.adagrad import Adagrad
from tf_helen.optimizers.adam import Adam, AMSGrad
from tf_helen.optimizers.adam_ar import AdagradAR, AdamAR
from tf_helen.optimizers.adamw import AdagradW, AdamW
from tf_helen.optimizers.asam import ASAM
from tf_helen.optimizers.cow_clip import CowClip
from tf_helen.optimizers.frequency_aware import FrequencyAware
from tf_helen.optimizers.group_ada_hessian import GroupAdaHessian
from tf_helen.optimizers.group_adagrad import GroupAdagrad
from tf_helen.optimizers.group_adam import GroupAdam, GroupAdamAR, GroupAMSGrad
from tf_helen.optimizers.group_ftrl import GroupFTRL
from tf_helen.optimizers.group_momentum import GroupMomentum
from tf_helen.optimizers.helen import Helen
from tf_helen.optimizers.nadam import Nadam
from tf_helen.optimizers.passes import Needs, TrainerError
from tf_helen.optimizers.per_variable import PerVariable
from tf_helen.optimizers.radam import RAdam
from tf_helen.optimizers.registry import get, get_class
from tf_helen.optimizers.row_sparse import RowSparseOptimizer
from tf_helen.optimizers.row_wise_adagrad import RowWiseAdagrad
from tf_helen.optimizers.row_wise_rmsprop_ar import RowWiseRMSpropAR
from tf_helen.optimizers.sam import SAM
from tf_helen.optimizers.sgd import SGD, Momentum
from tf_helen.rules import Direction, Step

CLASSES = (
    SGD,
    Momentum,
    Adagrad,
    AdagradW,
    RowWiseAdagrad,
    Adam,
    AMSGrad,
    AdamW,
    Nadam,
    RAdam,
    AdaHessian,
    AdamAR,
    AdagradAR,
    RowWiseRMSpropAR,
    GroupAdam,
    GroupAMSGrad,
    GroupAdamAR,
    GroupAdagrad,
    GroupMomentum,
    GroupAdaHessian,
    GroupFTRL,
    CowClip,
    FrequencyAware,
    PerVariable,
    SAM,
    ASAM,
    Helen,
)

__all__ = [
    "ASAM",
    "CLASSES",
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
    "Direction",
    "FrequencyAware",
    "GroupAMSGrad",
    "GroupAdaHessian",
    "GroupAdagrad",
    "GroupAdam",
    "GroupAdamAR",
    "GroupFTRL",
    "GroupMomentum",
    "Helen",
    "Momentum",
    "Nadam",
    "Needs",
    "PerVariable",
    "RAdam",
    "RowSparseOptimizer",
    "RowWiseAdagrad",
    "RowWiseRMSpropAR",
    "Step",
    "TrainerError",
    "get",
    "get_class",
]

"""The optimizers for models of tf_keras (Keras 2) and TensorFlow Recommenders.

`tf_helen.legacy.AdamAR`, `.Helen` and all other optimizers of `tf_helen`, with the same arguments,
as `tf_keras.optimizers.Optimizer`s over the same rules; `Embedding`, which reads rows up to date;
and `TrainerMixin`, under which optimizers that need two passes train.
"""

try:
    import tf_keras  # noqa: F401
except ImportError as error:
    raise ImportError(
        "`tf_helen.legacy` needs tf_keras (Keras 2), which is not installed. Install it together "
        "with TensorFlow Recommenders: pip install 'tf-helen[tfrs]'."
    ) from error

from tf_helen.legacy.ada_hessian import AdaHessian
from tf_helen.legacy.adagrad import Adagrad, AdagradAR, AdagradW, RowWiseAdagrad
from tf_helen.legacy.adam import Adam, AdamAR, AdamW, AMSGrad, Nadam, RAdam
from tf_helen.legacy.cow_clip import CowClip
from tf_helen.legacy.embedding import Embedding
from tf_helen.legacy.frequency_aware import FrequencyAware
from tf_helen.legacy.group import (
    GroupAdagrad,
    GroupAdaHessian,
    GroupAdam,
    GroupAdamAR,
    GroupAMSGrad,
    GroupFTRL,
    GroupMomentum,
)
from tf_helen.legacy.optimizer import LegacyOptimizer
from tf_helen.legacy.per_variable import PerVariable
from tf_helen.legacy.row_wise_rmsprop_ar import RowWiseRMSpropAR
from tf_helen.legacy.sgd import SGD, Momentum
from tf_helen.legacy.sharpness import ASAM, SAM, Helen
from tf_helen.legacy.trainer import TrainerMixin

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
    "Embedding",
    "FrequencyAware",
    "GroupAMSGrad",
    "GroupAdaHessian",
    "GroupAdagrad",
    "GroupAdam",
    "GroupAdamAR",
    "GroupFTRL",
    "GroupMomentum",
    "Helen",
    "LegacyOptimizer",
    "Momentum",
    "Nadam",
    "PerVariable",
    "RAdam",
    "RowWiseAdagrad",
    "RowWiseRMSpropAR",
    "TrainerMixin",
]

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

from tf_helen.legacy.classes import make_classes as _make_classes
from tf_helen.legacy.embedding import Embedding
from tf_helen.legacy.optimizer import LegacyOptimizer
from tf_helen.legacy.trainer import TrainerMixin

_CLASSES = _make_classes()
globals().update(_CLASSES)

__all__ = ["Embedding", "LegacyOptimizer", "TrainerMixin", *_CLASSES]

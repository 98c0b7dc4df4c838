"""One class for tf_keras per optimizer of the package."""

from __future__ import annotations

import inspect

import keras
import tf_keras

from tf_helen.legacy.optimizer import LegacyOptimizer
from tf_helen.optimizers.registry import optimizer_classes

PACKAGE = "tf_helen.legacy"


def legacy_class(inner_class: type[keras.optimizers.Optimizer]) -> type[LegacyOptimizer]:
    """Makes the class of one optimizer for tf_keras models.

    Args:
        inner_class: an optimizer class of `tf_helen`.

    Returns:
        A class of the same name, arguments and configuration, registered with tf_keras.

    Example:
        >>> tf_helen.legacy.AdamAR.__doc__.splitlines()[0]
        '`tf_helen.AdamAR` for models of tf_keras (Keras 2) and TensorFlow Recommenders.'
    """
    name = inner_class.__name__
    made = type(
        name,
        (LegacyOptimizer,),
        {
            "__module__": PACKAGE,
            "__qualname__": name,
            "__doc__": _documentation(inner_class),
            "__signature__": inspect.signature(inner_class),
            "inner_class": inner_class,
        },
    )
    return tf_keras.saving.register_keras_serializable(package=PACKAGE)(made)


def _documentation(inner_class: type) -> str:
    """The Keras 3 class's text; its example is about Keras 3 variables and stays there."""
    text = inspect.getdoc(inner_class) or ""
    text = text.split("\nExample:")[0].rstrip()
    name = inner_class.__name__
    return (
        f"`tf_helen.{name}` for models of tf_keras (Keras 2) and TensorFlow Recommenders.\n\n{text}"
        "\n\nWhere this text names `tf_helen.Model` or `tf_helen.enable`, read "
        "`tf_helen.legacy.TrainerMixin`;\nwhere `tf_helen.layers.Embedding`, "
        "`tf_helen.legacy.Embedding`.\n"
    )


def make_classes() -> dict[str, type[LegacyOptimizer]]:
    """Class name -> class, for every optimizer that `tf_helen` knows by name."""
    return {inner.__name__: legacy_class(inner) for inner in optimizer_classes().values()}

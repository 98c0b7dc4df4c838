"""PerVariable for models of tf_keras."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tf_keras

import tf_helen
from tf_helen.legacy.optimizer import LegacyOptimizer


@tf_keras.saving.register_keras_serializable(package="tf_helen.legacy")
class PerVariable(LegacyOptimizer):
    """`tf_helen.PerVariable` for models of tf_keras (Keras 2) and TensorFlow Recommenders.

    The optimizers may also be optimizers of `tf_helen.legacy`.

    Args:
        Those of `tf_helen.PerVariable`, which describes them, with its defaults and errors.
    """

    inner_class = tf_helen.PerVariable

    def __init__(
        self,
        optimizers: Mapping[str, Any],
        *,
        name: str = "per_variable",
    ):
        super().__init__(optimizers, name=name)

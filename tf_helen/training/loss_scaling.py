"""Loss scaling for row-sparse gradients."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import tensorflow as tf

from tf_helen.core import replicas
from tf_helen.core.rows import values_of

LossScaleOptimizer = keras.optimizers.LossScaleOptimizer


def unwrap(optimizer: keras.optimizers.Optimizer) -> keras.optimizers.Optimizer:
    """Returns the inner optimizer of a `LossScaleOptimizer`, or the optimizer itself."""
    return optimizer.inner_optimizer if isinstance(optimizer, LossScaleOptimizer) else optimizer


def all_finite(gradients: Sequence[tf.Tensor | tf.IndexedSlices | None]) -> tf.Tensor:
    """Returns whether all gradients are finite on every replica, a boolean scalar."""
    values = [values_of(gradient) for gradient in gradients if gradient is not None]
    finite = [tf.reduce_all(tf.math.is_finite(value)) for value in values]
    return replicas.all_replicas(tf.reduce_all(tf.stack(finite)))


def prepare(optimizer: keras.optimizers.Optimizer) -> None:
    """Makes a `LossScaleOptimizer` check sparse gradients without densifying them.

    Keras's check converts sparse gradients to tensors of the size of the table, and checks only the
    first replica.
    """
    if isinstance(optimizer, LossScaleOptimizer):
        optimizer.check_finite = all_finite

"""Forward-backward passes over a closure."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import keras
import tensorflow as tf


def gradients_of(
    closure: Callable[[], tf.Tensor],
    variables: Sequence[keras.Variable],
    loss_scale: tf.Tensor | None = None,
) -> tuple[tf.Tensor, list]:
    """Runs the closure under a tape.

    Args:
        closure: returns the scalar loss.
        variables: what to differentiate by.
        loss_scale: multiplies the loss before differentiation, not the loss returned.

    Returns:
        The loss, and its gradient by each variable (`IndexedSlices` for looked-up tables).
    """
    with tf.GradientTape() as tape:
        loss = closure()
        scaled = loss if loss_scale is None else loss * tf.cast(loss_scale, loss.dtype)
    return loss, tape.gradient(scaled, list(variables))

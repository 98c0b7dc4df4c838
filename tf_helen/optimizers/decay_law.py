"""How much of a row is left after an absence: from a fixed alpha, or one found while training."""

from __future__ import annotations

import math

import keras
import tensorflow as tf

from tf_helen import checks, replicas
from tf_helen.optimizers.decay_table import missing_factor
from tf_helen.optimizers.history import RowHistory

_LEAST_ALPHA = 1e-9  # P(n) is tabulated; the paper's smallest alpha is 3e-7
_FORGOTTEN = 2.0**-24  # the rounding of float32: what is left no longer changes a row


def checked_alpha(alpha: float | str) -> float | str:
    """Returns alpha as a float in [0, 1], or "auto"; else raises `ValueError`."""
    if alpha == "auto":
        return alpha
    if isinstance(alpha, str):
        raise ValueError(f"`alpha` must be a number in [0, 1] or 'auto'. Received: {alpha!r}")
    alpha = checks.number_in_range("alpha", alpha, 0, 1)
    if 0 < alpha < _LEAST_ALPHA:
        raise ValueError(f"`alpha` must be 0 or at least {_LEAST_ALPHA:g}. Received: {alpha!r}")
    return alpha


def alpha_for(steps_per_epoch: int) -> float:
    """The least alpha that makes a row which occurs once per epoch forget from one to the next.

    Such a row is away for `n = steps_per_epoch - 1` steps, and `exp(-alpha n (n + 1) / 2)` of it is
    left. Here that is 2^-24, the rounding of float32.

    Args:
        steps_per_epoch: at least 1.

    Returns:
        `2 log(2^24) / (n (n + 1))`.

    Example:
        >>> round(alpha_for(563), 6)
        0.000105
    """
    return -2 * math.log(_FORGOTTEN) / max(steps_per_epoch * (steps_per_epoch - 1), 1)


class FixedDecay:
    """`P(n) = prod_{i=1..n} (1 - min(1, alpha i))`, from a table."""

    def __init__(self, alpha: float):
        self.alpha = alpha

    def missing(self, history: RowHistory, until: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
        """`[rows]`: what stored rows must be multiplied by to be up to date at step `until`."""
        return missing_factor(history, until, self.alpha, dtype)


class FoundDecay(tf.Module):
    """`P(n) = exp(-alpha n (n + 1) / 2)`: alpha is a variable, 0 until it is known.

    It is the law of `lambda = 1 - exp(-alpha I)`, which is `alpha I` where that is small.
    """

    def __init__(self, alpha: keras.Variable):
        super().__init__()
        self._alpha = alpha.value

    def missing(self, history: RowHistory, until: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
        """`[rows]`: what stored rows must be multiplied by to be up to date at step `until`."""
        last_step = tf.bitcast(history["last_step"], tf.int32)
        decayed_to = tf.bitcast(history["decayed_to"], tf.int32)
        away = tf.maximum(tf.cast(until, tf.int32) - 1 - last_step, 0)
        settled = tf.maximum(decayed_to - 1 - last_step, 0)
        # n (n + 1) - h (h + 1), without the cancellation
        owed = tf.cast(away - settled, dtype) * (tf.cast(away, dtype) + tf.cast(settled, dtype) + 1)
        alpha = tf.cast(replicas.local(self._alpha).read_value(), dtype)
        return tf.exp(-alpha / 2 * owed)

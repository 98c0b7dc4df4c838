"""P(n), the factor of a row after n steps of absence."""

from __future__ import annotations

import functools

import numpy as np
import tensorflow as tf
from numpy.typing import DTypeLike

from tf_helen.core.history import RowHistory


@functools.lru_cache(maxsize=32)
def decay_table(alpha: float, dtype: DTypeLike = np.float64) -> np.ndarray:
    """Returns P(n) for n = 0, 1, ... until it is 0 or subnormal; the last entry is 0.

    Args:
        alpha: float, not negative, decay per step of absence.
        dtype: floating NumPy dtype of the result. Defaults to float64.

    Returns:
        `[n]`: at most `1 / alpha` entries, about `sqrt(175 / alpha)` in float32 and
        `sqrt(1417 / alpha)` in float64; a single 1 for alpha 0.
    """
    if alpha == 0:
        return np.ones(1, dtype)
    longest = int(min(np.ceil(1 / alpha), np.ceil(np.sqrt(1500 / alpha)))) + 1
    factors = 1 - np.minimum(1.0, alpha * np.arange(1, longest + 1))
    table = np.concatenate([[1.0], np.cumprod(factors)])
    return np.append(table[table > np.finfo(dtype).tiny], 0.0).astype(dtype)


def missing_factor(
    history: RowHistory, until: tf.Tensor, alpha: float, dtype: tf.DType
) -> tf.Tensor:
    """Returns the factor of stored rows for the steps after `decayed_to` up to `until`.

    Args:
        history: `RowHistory` of the rows, with last_step s and decayed_to.
        until: integer scalar, a step, not before any decayed_to.
        alpha: float, decay per step of absence.
        dtype: dtype of the result.

    Returns:
        `[rows]`: `P(until - s - 1) / P(decayed_to - s - 1)`.
    """
    table = decay_table(alpha, dtype.as_numpy_dtype)
    inverse = np.divide(1, table, out=np.zeros_like(table), where=table > 0)
    until = tf.cast(until, tf.int32)
    last_step = tf.bitcast(history["last_step"], tf.int32)
    decayed_to = tf.bitcast(history["decayed_to"], tf.int32)
    wanted = tf.clip_by_value((until - 1) - last_step, 0, len(table) - 1)
    had = tf.clip_by_value(decayed_to - 1 - last_step, 0, len(table) - 1)
    missing = tf.gather(tf.constant(table), wanted) * tf.gather(tf.constant(inverse), had)
    # Where P is 0, its inverse is 0 as well, so the factor is 0; without any steps it must be 1.
    return tf.where(tf.equal(decayed_to, until), tf.ones([], dtype), missing)

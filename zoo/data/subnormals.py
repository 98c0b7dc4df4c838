"""Replaces subnormal numbers by 0.

Numbers below `SMALLEST` in magnitude are subnormal in float32. Some processors and libraries round
them to 0, others compute with them, and TensorFlow does either, depending on the thread.
Preparation, training and serving read them as 0, so that all agree.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

SMALLEST = 2.0**-126


def flush(numbers: tf.Tensor) -> tf.Tensor:
    """Returns a float tensor with 0 in place of every number below `SMALLEST` in magnitude.

    Example:
        >>> flush(tf.constant([1e-39, -1e-39, 0.5])).numpy().tolist()
        [0.0, 0.0, 0.5]
    """
    return tf.where(tf.abs(numbers) < SMALLEST, tf.zeros_like(numbers), numbers)


def flush_array(numbers: np.ndarray | Sequence[float]) -> np.ndarray:
    """`flush` for arrays: float64 `[n]`.

    Example:
        >>> flush_array([1e-39, 0.5]).tolist()
        [0.0, 0.5]
    """
    numbers = np.asarray(numbers, np.float64)
    return np.where(np.abs(numbers) < SMALLEST, 0.0, numbers)

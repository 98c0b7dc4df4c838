"""Rounding of rows to the dtype of their table."""

from __future__ import annotations

import dataclasses

import tensorflow as tf

from tf_helen.core.checks import one_of

HALF = ("float16", "bfloat16")
_SWEEP = 1 << 32


@dataclasses.dataclass(frozen=True)
class Rounding:
    """Rounds float32 rows to half precision when an optimizer writes them.

    With `stochastic=True`, a value between two neighbors a < x < b of the dtype becomes b with
    probability `(x - a) / (b - a)`, so its expectation is x, and updates that are smaller than half
    the distance of the neighbors are not lost. Values of the dtype, such as 0, do not change. The
    random numbers depend on the seed and the step only, so a resumed training has the same bits.

    Args:
        stochastic: boolean; `False`: to the nearest value, ties to even.
        seed: int from 0 to 2^31 - 1, another one for each table and shard.

    Reference: Gupta et al., Deep Learning with Limited Numerical Precision, ICML 2015, section 3.

    Example:
        >>> rows = tf.fill([1000, 8], 1.001)  # neighbors in bfloat16: 1 and 1.0078125
        >>> found = tf.cast(Rounding(True, 0)(rows, tf.bfloat16, 1), tf.float32)
        >>> sorted(set(found.numpy().ravel().tolist()))
        [1.0, 1.0078125]
        >>> abs(float(tf.reduce_mean(found)) - 1.001) < 1e-4
        True
    """

    stochastic: bool
    seed: int

    def __call__(
        self, rows: tf.Tensor, dtype: tf.DType, step: tf.Tensor | int, first: tf.Tensor | int = -1
    ) -> tf.Tensor:
        """Returns rows in another dtype.

        Args:
            rows: float `[rows, ...]`.
            dtype: dtype of the table.
            step: int64 scalar, number of the step.
            first: int64 scalar, the first row if a part of the whole table is written in this step.
                Defaults to -1: the rows of a batch.

        Returns:
            The rounded rows; unchanged if they have the dtype, or one that is not half precision.
        """
        nearest = tf.cast(rows, dtype)
        if not self.stochastic or dtype.name not in HALF or rows.dtype == dtype:
            return nearest
        # A batch and the parts of a sweep in one step get numbers of their own.
        number = (tf.cast(step, tf.int64) * _SWEEP) + tf.cast(first, tf.int64) + 1
        seed = tf.stack([tf.constant(self.seed, tf.int64), number])
        uniform = tf.random.stateless_uniform(tf.shape(rows), seed, dtype=rows.dtype)
        error = rows - tf.cast(nearest, rows.dtype)
        other = _neighbor(nearest, towards_plus=error > 0)
        gap = tf.abs(tf.cast(other, rows.dtype) - tf.cast(nearest, rows.dtype))
        # Of an infinite gap or error nothing is taken.
        is_other = tf.logical_and(uniform * gap < tf.abs(error), tf.math.is_finite(gap))
        return tf.where(tf.logical_and(is_other, tf.math.is_finite(error)), other, nearest)


def checked_rounding(name: str | None, rounding: str, seed: int) -> Rounding | None:
    """Returns the rounding of a table with the dtype `name`; `None` without one.

    Raises:
        ValueError: on another dtype than float16 and bfloat16, or an unknown rounding.
    """
    one_of("rounding", rounding, ("stochastic", "nearest"))
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**31:
        raise ValueError(f"`rounding_seed` must be an integer in [0, 2^31). Received: {seed!r}")
    if name is None:
        return None
    one_of("embeddings_dtype", name, HALF)
    return Rounding(rounding == "stochastic", seed)


def _neighbor(values: tf.Tensor, towards_plus: tf.Tensor) -> tf.Tensor:
    """Returns the next value of a half-precision dtype above or below each value."""
    # Floats of one sign are ordered as the integers with the same bits; -0 and 0 are one value.
    values = tf.where(values == 0, tf.zeros_like(values), values)
    bits = tf.cast(tf.bitcast(values, tf.int16), tf.int32)
    ordered = tf.where(bits < 0, -0x8000 - bits, bits)
    ordered += tf.where(towards_plus, 1, -1)
    bits = tf.where(ordered < 0, -0x8000 - ordered, ordered)
    return tf.bitcast(tf.cast(bits, tf.int16), values.dtype)

"""Which new ids of a `DynamicEmbedding` get a row."""

from __future__ import annotations

import dataclasses
from typing import Any

import keras
import tensorflow as tf

from tf_helen.core import checks, replicas
from tf_helen.core.capacities import SKETCH_DEPTH
from tf_helen.layers.fingerprints import mixed

_MOST = 255  # of a counter, uint8
_LEAST_WIDTH = 1024


@dataclasses.dataclass(frozen=True)
class Admission:
    """Which new ids of a `tf_helen.layers.DynamicEmbedding` get a row of their own.

    Args:
        min_count: int in [1, 255], number of occurrences, over all batches so far, at which an id
            is admitted. Occurrences of ids without a row are counted in a count-min sketch with
            conservative update: it never counts too few, and with its default width rarely too
            many. After as many occurrences as it is wide, all counts are halved, so that they mean
            recent occurrences and do not grow for ever. Defaults to 1: ids are admitted at once.
        probability: float in (0, 1], probability with which an occurrence of an id without a row
            admits it. It depends on the layer's seed and the number of steps only. Defaults to 1.
        width: int, number of counters in each of the four rows of the sketch, one byte each;
            rounded up to a power of 2. Defaults to `None`: at least 1024 and the rows of the table.

    Raises:
        ValueError: on a value out of range, or on both `min_count` and `probability`.

    Source: Cormode, Muthukrishnan, "An improved data stream summary: the count-min sketch and its
        applications", 2005; Estan, Varghese, "New directions in traffic measurement and
        accounting", 2002 (conservative update); Einziger, Friedman, Manes, "TinyLFU", 2017
        (halving).

    Example:
        >>> Admission(min_count=5).min_count
        5
    """

    min_count: int = 1
    probability: float = 1.0
    width: int | None = None

    def __post_init__(self):
        checks.whole_number("min_count", self.min_count)
        if self.min_count > _MOST:
            raise ValueError(
                f"`min_count` must be in [1, {_MOST}]. Received: min_count={self.min_count}"
            )
        probability = checks.number_in_range("probability", self.probability)
        if not 0 < probability <= 1:
            raise ValueError(
                f"`probability` must be in (0, 1]. Received: probability={self.probability}"
            )
        if self.min_count > 1 and probability < 1:
            raise ValueError(
                "Use either `min_count` or `probability`. Received: min_count="
                f"{self.min_count}, probability={self.probability}"
            )
        if self.width is not None:
            checks.whole_number("width", self.width)

    @property
    def counts(self) -> bool:
        """Whether occurrences are counted."""
        return self.min_count > 1

    def columns(self, rows: int) -> int:
        """Returns the width of the sketch for a table with some number of rows."""
        width = self.width if self.width is not None else max(_LEAST_WIDTH, rows)
        return 1 << (width - 1).bit_length()


def checked_admission(admission: Any) -> Admission:
    """Returns the argument `admission` of a layer: an `Admission`, its configuration, or `None`."""
    if admission is None:
        return Admission()
    if isinstance(admission, dict):
        return Admission(**admission)
    if not isinstance(admission, Admission):
        raise TypeError(
            "`admission` must be a `tf_helen.layers.Admission`, such as "
            f"`Admission(min_count=5)`, or None. Received: {admission!r}"
        )
    return admission


class Sketch:
    """A count-min sketch with conservative update, in variables of a layer.

    Args:
        counters: uint8 Keras variable `[4 * width]`, with a power of 2 as width.
        total: int64 scalar Keras variable, occurrences since the counters were halved.
    """

    def __init__(self, counters: keras.Variable, total: keras.Variable):
        self._counters, self._total = counters, total
        self._width = counters.shape[0] // SKETCH_DEPTH

    @staticmethod
    def size(admission: Admission, rows: int) -> int:
        """Returns the number of counters for a table with some number of rows."""
        return SKETCH_DEPTH * admission.columns(rows)

    def add(self, fingerprints: tf.Tensor, counts: tf.Tensor) -> tf.Tensor:
        """Adds occurrences of distinct ids.

        Args:
            fingerprints: uint64 `[n]`.
            counts: int32 `[n]`.

        Returns:
            int32 `[n]`, the estimated number of occurrences of each id, up to 255.
        """
        counters, total = replicas.local(self._counters), replicas.local(self._total)
        before = tf.reduce_min(
            tf.cast(counters.sparse_read(self._cells(fingerprints)), tf.int32), 0
        )
        after = tf.minimum(before + counts, _MOST)
        cells = tf.reshape(self._cells(fingerprints), [-1])
        tf.raw_ops.ResourceScatterMax(
            resource=counters.handle,
            indices=cells,
            updates=tf.tile(tf.cast(after, tf.uint8), [SKETCH_DEPTH]),
        )
        total.assign_add(tf.reduce_sum(tf.cast(counts, tf.int64)), read_value=False)
        tf.cond(total.read_value() >= self._width, self._halve, lambda: tf.constant(False))
        return after

    def _cells(self, fingerprints: tf.Tensor) -> tf.Tensor:
        """Returns the counters of each id, int64 `[4, n]`."""
        mask = tf.constant(self._width - 1, tf.uint64)
        return tf.stack(
            [
                tf.cast(
                    tf.bitwise.bitwise_and(mixed(fingerprints + tf.constant(i, tf.uint64)), mask),
                    tf.int64,
                )
                + i * self._width
                for i in range(SKETCH_DEPTH)
            ]
        )

    def _halve(self) -> tf.Tensor:
        # The sketch is read once per as many occurrences as it is wide.
        counters, total = replicas.local(self._counters), replicas.local(self._total)
        counters.assign(counters.read_value() // 2, read_value=False)
        total.assign(0, read_value=False)
        return tf.constant(True)


def admits(
    admission: Admission,
    sketch: Sketch | None,
    fingerprints: tf.Tensor,
    counts: tf.Tensor,
    seed: tf.Tensor,
) -> tf.Tensor:
    """Returns which ids without a row are admitted, and counts their occurrences.

    Args:
        admission: `Admission`.
        sketch: `Sketch`, or `None` without `min_count`.
        fingerprints: uint64 `[n]`, of distinct ids.
        counts: int32 `[n]`, occurrences in the batch.
        seed: int64 `[2]`.

    Returns:
        bool `[n]`.
    """
    if sketch is not None:
        return sketch.add(fingerprints, counts) >= admission.min_count
    if admission.probability == 1:
        return tf.ones_like(counts, tf.bool)
    drawn = tf.random.stateless_uniform(tf.shape(counts), seed, dtype=tf.float64)
    # The probability that one of the occurrences admits the id.
    refused = tf.pow(
        tf.constant(1 - admission.probability, tf.float64), tf.cast(counts, tf.float64)
    )
    return drawn < 1 - refused

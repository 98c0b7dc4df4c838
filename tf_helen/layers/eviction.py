"""Which ids of a full `DynamicEmbedding` lose their rows."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import tensorflow as tf

from tf_helen.core import checks

POLICIES = ("age", "count", "l2", "score")


@dataclasses.dataclass(frozen=True)
class Eviction:
    """Which ids of a `tf_helen.layers.DynamicEmbedding` lose their rows when its field is full.

    For each row that is needed, `sample` rows of the field are drawn, and those with the lowest
    priority are given to the new ids. The table is never read as a whole. Rows of the current step
    are never taken.

    Args:
        policy: string. "age": the rows that were absent longest. "count": those with the fewest
            occurrences. "l2": those with the smallest norm. "score": those with the smallest
            `count * decay^age`.
        decay: float in (0, 1), factor of a count per unit of age; needed by "score" only.
        unit: "steps" or "time": the unit of `age`. With "time", the layer must be called with the
            time of each example, see `DynamicEmbedding`. Defaults to "steps".
        sample: int, number of rows that are drawn per row that is needed. Defaults to 16.
        expire_after: int, age from which ids also lose rows that no other id needs: in each step,
            `sample` rows of each field are drawn, and those that are older are emptied. Defaults to
            `None`: only full fields evict.
        min_age: int, number of steps since its last occurrence before a row may be taken; at
            least 1. Rows of other workers' steps must be protected with parameter servers.
            Defaults to 1.

    Raises:
        ValueError: on a value out of range, "score" without `decay`, or `decay` with another
            policy.

    Example:
        >>> Eviction("score", decay=0.99).policy
        'score'
    """

    policy: str = "age"
    decay: float | None = None
    unit: str = "steps"
    sample: int = 16
    expire_after: int | None = None
    min_age: int = 1

    def __post_init__(self):
        checks.one_of("policy", self.policy, POLICIES)
        checks.one_of("unit", self.unit, ("steps", "time"))
        checks.whole_number("sample", self.sample)
        checks.whole_number("min_age", self.min_age)
        if self.expire_after is not None:
            checks.whole_number("expire_after", self.expire_after)
        if (self.policy == "score") != (self.decay is not None):
            raise ValueError(
                "`decay` is needed by the policy 'score', and by no other. Received: policy="
                f"{self.policy!r}, decay={self.decay}"
            )
        if self.decay is not None and not 0 < checks.number_in_range("decay", self.decay) < 1:
            raise ValueError(f"`decay` must be in (0, 1). Received: decay={self.decay}")

    @property
    def uses_time(self) -> bool:
        """Whether ages are differences of times."""
        is_used = self.policy in ("age", "score") or self.expire_after is not None
        return self.unit == "time" and is_used

    def priority(self, age: tf.Tensor, count: tf.Tensor, norms: tf.Tensor | None) -> tf.Tensor:
        """Returns the priority of rows, float64 `[n]`; the lowest are evicted.

        Args:
            age: int64 `[n]`, steps or time since the last occurrence.
            count: int64 `[n]`, occurrences so far.
            norms: `[n]`, norms of the rows; needed by "l2" only.
        """
        age, count = tf.cast(age, tf.float64), tf.cast(count, tf.float64)
        if self.policy == "age":
            return -age
        if self.policy == "count":
            return count
        if self.policy == "l2":
            assert norms is not None
            return tf.cast(norms, tf.float64)
        assert self.decay is not None
        return tf.math.log(count) + age * math.log(self.decay)


def checked_eviction(eviction: Any) -> Eviction | None:
    """Returns the argument `eviction` of a layer: an `Eviction`, its configuration, or a policy."""
    if eviction is None or isinstance(eviction, Eviction):
        return eviction
    if isinstance(eviction, str):
        return Eviction(eviction)
    if isinstance(eviction, dict):
        return Eviction(**eviction)
    raise TypeError(
        "`eviction` must be a `tf_helen.layers.Eviction`, one of the policies "
        f"{', '.join(POLICIES)}, or None. Received: {eviction!r}"
    )


def best_per_field(
    priority: tf.Tensor, fields: tf.Tensor, wanted: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the candidates with the lowest priorities of each field.

    Args:
        priority: float64 `[n]`.
        fields: int32 `[n]`, field of each candidate.
        wanted: int32 `[fields]`, number of rows to choose in each field.

    Returns:
        Their positions, int32 `[k]`, in the order of fields and priorities, and the number of those
        of each field, int32 `[fields]`, which is less than `wanted` if there are too few.

    Example:
        >>> priority, fields = tf.constant([3.0, 1.0, 2.0], tf.float64), tf.constant([0, 0, 1])
        >>> [x.numpy().tolist() for x in best_per_field(priority, fields, tf.constant([1, 5]))]
        [[1, 2], [1, 1]]
    """
    order = tf.argsort(priority, stable=True)
    order = tf.gather(order, tf.argsort(tf.gather(fields, order), stable=True))
    sizes = tf.math.unsorted_segment_sum(tf.ones_like(fields), fields, tf.size(wanted))
    chosen = tf.minimum(sizes, wanted)
    starts = tf.cumsum(sizes, exclusive=True)
    sorted_fields = tf.gather(fields, order)
    rank = tf.range(tf.size(order)) - tf.gather(starts, sorted_fields)
    return tf.boolean_mask(order, rank < tf.gather(chosen, sorted_fields)), chosen

"""Chooses the rows that ids of a `DynamicEmbedding` lose, among rows that are drawn."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import tensorflow as tf

from tf_helen.core import replicas
from tf_helen.layers.eviction import Eviction, best_per_field

if TYPE_CHECKING:
    from tf_helen.layers.id_rows import IdRows

FREE = -1  # `last_step` of a row without an id


def expired_rows(rows: IdRows, eviction: Eviction, seed: tf.Tensor) -> tf.Tensor:
    """Draws rows, and returns those whose ids were absent too long.

    Args:
        rows: `IdRows`.
        eviction: `Eviction` with `expire_after`.
        seed: int64 `[2]`.

    Returns:
        Distinct rows of the table, int64 `[n]`.
    """
    drawn = tf.unique(rows.sample(eviction.sample, seed)[0])[0]
    assert eviction.expire_after is not None
    is_old = rows.ages(drawn) > eviction.expire_after
    return tf.boolean_mask(drawn, is_old & _may_go(rows, eviction, drawn))


def victims_of(
    rows: IdRows,
    eviction: Eviction | None,
    wanted: tf.Tensor,
    used: tf.Tensor,
    seed: tf.Tensor,
    read: Callable[[tf.Tensor], tf.Tensor],
) -> tuple[tf.Tensor, tf.Tensor]:
    """Chooses rows to give to other ids, those without an id first.

    Args:
        rows: `IdRows`.
        eviction: `Eviction`.
        wanted: int32 `[fields]`, number of rows that each field needs.
        used: int64 `[fields]`, number of rows of each field that were given before this step.
        seed: int64 `[2]`.
        read: function from rows of the table to their values, `[k, dim]`.

    Returns:
        Rows of the table, int64 `[k]`, in the order of fields, and the number of those of each
        field, at most `wanted`.
    """
    assert eviction is not None
    # All rows of a field that has no more than would be drawn.
    draws = tf.minimum(tf.cast(wanted, tf.int64) * eviction.sample, used)
    fields = tf.repeat(tf.range(tf.size(wanted)), draws)
    in_order = tf.range(tf.reduce_sum(draws)) - tf.gather(tf.cumsum(draws, exclusive=True), fields)
    drawn = tf.random.stateless_uniform(tf.shape(fields), seed, 0, tf.int64.max, tf.int64)
    size = tf.gather(used, fields)
    places = tf.where(tf.gather(draws, fields) < size, drawn % size, in_order)
    drawn = tf.unique(rows.whole(1 + places, fields))[0]
    is_free = replicas.local(rows.last_step).sparse_read(drawn) == FREE
    may_be_taken = is_free | _may_go(rows, eviction, drawn)
    drawn, is_free = (tf.boolean_mask(each, may_be_taken) for each in (drawn, is_free))
    norms = tf.norm(read(drawn), axis=-1) if eviction.policy == "l2" else None
    count = replicas.local(rows.count).sparse_read(drawn)
    priority = eviction.priority(rows.ages(drawn), count, norms)
    priority = tf.where(is_free, tf.constant(-float("inf"), priority.dtype), priority)
    order, chosen = best_per_field(priority, rows.field_of(drawn), wanted)
    return tf.gather(drawn, order), chosen


def _may_go(rows: IdRows, eviction: Eviction, drawn: tf.Tensor) -> tf.Tensor:
    """Returns which rows have an id that is not protected; those of this step are."""
    last_step = replicas.local(rows.last_step).sparse_read(drawn)
    clock = replicas.local(rows.clock).read_value()
    return (last_step != FREE) & (last_step <= clock - eviction.min_age)

"""One place for everything `tf.distribute`: sums over replicas, and the copies of a variable.

Updates are written as code of one replica. Gradients are summed over the replicas first; every
replica then changes its own copy of each variable by the same rule, so the copies stay alike.
"""

from __future__ import annotations

from collections.abc import Sequence

import keras
import tensorflow as tf

Gradient = tf.Tensor | tf.IndexedSlices


def all_reduce_sum(gradients: Sequence[Gradient]) -> list[Gradient]:
    """Sums gradients over the replicas; slices are joined, with duplicates still in them."""
    context = tf.distribute.get_replica_context()
    if context is None or count() == 1 or not gradients:
        return list(gradients)
    return list(context.all_reduce(tf.distribute.ReduceOp.SUM, list(gradients)))


def count() -> int:
    """How many replicas train in step."""
    return tf.distribute.get_strategy().num_replicas_in_sync


def share_of(amount: tf.Tensor) -> tf.Tensor:
    """What this replica's mean must be multiplied by where Keras divides it by the replicas.

    Keras takes a batch's loss for the plain mean of the replicas' means. Where the replicas have
    different numbers of rows, as in the last batch of an epoch, that is not the mean of the batch.

    Args:
        amount: scalar, what this replica has of the batch: rows, or the sum of their weights.

    Returns:
        float32 scalar: `replicas * amount / total`; exactly 1 where all have the same number.
    """
    amount = tf.cast(amount, tf.float32)
    total = all_reduce_sum([amount])[0]
    return tf.math.divide_no_nan(count() * amount, total)


def all_replicas(condition: tf.Tensor) -> tf.Tensor:
    """Whether a boolean scalar is true on every replica."""
    failed = tf.cast(tf.logical_not(condition), tf.float32)
    return tf.equal(all_reduce_sum([failed])[0], 0.0)


def copies(variable: keras.Variable | tf.Variable) -> tuple[tf.Variable, ...]:
    """The plain variables behind a variable, one per local replica."""
    value = variable.value if isinstance(variable, keras.Variable) else variable
    if isinstance(value, tf.distribute.DistributedValues):
        return tuple(value.values)
    return (value,)


def local(variable: keras.Variable | tf.Variable) -> tf.Variable:
    """The plain variable behind a variable on the replica that runs this code.

    Plain, because a mirrored variable refuses scatters inside a replica. Outside any replica it
    is the first copy.
    """
    value = variable.value if isinstance(variable, keras.Variable) else variable
    if isinstance(value, tf.distribute.DistributedValues):
        if tf.distribute.in_cross_replica_context():
            return value.values[0]
        return value._get()
    return value

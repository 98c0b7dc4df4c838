"""Functions for `tf.distribute`: sums over replicas, and the copies of a variable.

Updates run in each replica. Gradients are summed over the replicas first, and every replica then
updates its copy of each variable by the same rule, so the copies remain equal.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import keras
import tensorflow as tf

from tf_helen import keras_access

Gradient: TypeAlias = tf.Tensor | tf.IndexedSlices


def all_reduce_sum(gradients: Sequence[Gradient]) -> list[Gradient]:
    """Sums gradients over the replicas; slices are concatenated, including duplicates."""
    context = tf.distribute.get_replica_context()
    if context is None or count() == 1 or not gradients:
        return list(gradients)
    return list(context.all_reduce(tf.distribute.ReduceOp.SUM, list(gradients)))


def count() -> int:
    """Returns the number of replicas in sync."""
    return tf.distribute.get_strategy().num_replicas_in_sync


def is_asynchronous() -> bool:
    """Returns whether several workers change the same variables at the same time."""
    strategy = tf.distribute.get_strategy()
    return isinstance(strategy, tf.distribute.experimental.ParameterServerStrategy)


def share_of(amount: tf.Tensor) -> tf.Tensor:
    """Returns the factor that weights this replica's mean loss by its share of the batch.

    Keras averages the mean losses of the replicas. If the replicas have different numbers of rows,
    as in the last batch of an epoch, this is not the mean over the batch.

    Args:
        amount: scalar, the number of rows of this replica, or the sum of their weights.

    Returns:
        float32 scalar, `replicas * amount / total`; exactly 1 if all replicas have the same amount.
    """
    amount = tf.cast(amount, tf.float32)
    total = all_reduce_sum([amount])[0]
    return tf.math.divide_no_nan(count() * amount, total)


def all_replicas(condition: tf.Tensor) -> tf.Tensor:
    """Returns whether a boolean scalar is true on every replica."""
    failed = tf.cast(tf.logical_not(condition), tf.float32)
    return tf.equal(all_reduce_sum([failed])[0], 0.0)


def _value_of(variable: keras.Variable | tf.Variable) -> tf.Variable:
    return keras_access.stored_value(variable) if isinstance(variable, keras.Variable) else variable


def copies(variable: keras.Variable | tf.Variable) -> tuple[tf.Variable, ...]:
    """Returns the plain variables of a variable, one per local replica."""
    value = _value_of(variable)
    if isinstance(value, tf.distribute.DistributedValues):
        return tuple(value.values)
    return (value,)


def local(variable: keras.Variable | tf.Variable) -> tf.Variable:
    """Returns the plain variable of a variable on the current replica.

    Mirrored variables do not support scatters within a replica. In cross-replica context, the first
    copy is returned.
    """
    value = _value_of(variable)
    if isinstance(value, tf.distribute.DistributedValues):
        if tf.distribute.in_cross_replica_context():
            return value.values[0]
        return value._get()
    return value

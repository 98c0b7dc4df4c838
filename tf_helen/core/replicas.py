"""Functions for `tf.distribute`: sums over replicas, and the copies of a variable.

Updates run in each replica. Gradients are summed over the replicas first, and every replica then
updates its copy of each variable by the same rule, so the copies remain equal.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from typing import TypeAlias

import keras
import tensorflow as tf

from tf_helen import keras_access
from tf_helen.core import rows

Gradient: TypeAlias = tf.Tensor | tf.IndexedSlices


def all_reduce_sum(gradients: Sequence[Gradient]) -> list[Gradient]:
    """Sums gradients over the replicas.

    The rows of each replica are summed before they are sent, so that a replica sends each row once,
    with its number of occurrences. The result has one slice per row and replica.

    Args:
        gradients: sequence of gradients of this replica.

    Returns:
        List of gradients, equal on every replica; sparse ones are `CountedSlices`.
    """
    context = tf.distribute.get_replica_context()
    if context is None or count() == 1 or not gradients:
        return list(gradients)
    sent = [rows_to_send(g) if isinstance(g, tf.IndexedSlices) else g for g in gradients]
    received = context.all_reduce(tf.distribute.ReduceOp.SUM, sent)
    return [
        _with_counts(total, gradient) if isinstance(gradient, tf.IndexedSlices) else total
        for total, gradient in zip(received, gradients, strict=True)
    ]


def rows_to_send(gradient: tf.IndexedSlices) -> tf.IndexedSlices:
    """Returns what a replica sends of a sparse gradient: each row once, with its occurrences.

    Args:
        gradient: `tf.IndexedSlices` of a table.

    Returns:
        Slices `[rows, width + 1]` with distinct indices; the last column is the number of
        occurrences.

    Example:
        >>> slices = tf.IndexedSlices(tf.constant([[1.0], [2.0], [3.0]]), tf.constant([4, 7, 4]))
        >>> rows_to_send(slices).values.numpy().tolist()
        [[4.0, 2.0], [2.0, 1.0]]
    """
    block = rows.sum_duplicates(rows.with_dtype(gradient, _sent_dtype(gradient.dtype)))
    values = tf.reshape(block.values, [-1, math.prod(gradient.values.shape[1:])])
    counts = tf.cast(block.counts, values.dtype)[:, None]
    shape = gradient.dense_shape
    if shape is not None:
        shape = tf.stack([shape[0], tf.cast(values.shape[1] + 1, shape.dtype)])
    return tf.IndexedSlices(tf.concat([values, counts], 1), block.ids, shape)


def _with_counts(total: tf.IndexedSlices, gradient: tf.IndexedSlices) -> rows.CountedSlices:
    """Returns the slices of `rows_to_send`, with their counts apart, in the dtype of `gradient`."""
    values = tf.cast(total.values[:, :-1], gradient.dtype)
    values = tf.reshape(values, [-1, *gradient.values.shape[1:]])
    slices = tf.IndexedSlices(values, total.indices, gradient.dense_shape)
    return rows.CountedSlices(slices, tf.cast(total.values[:, -1], tf.int32))


def _sent_dtype(dtype: tf.DType) -> tf.DType:
    # Counts have to be exact, which they are up to 2^24 in float32.
    return dtype if dtype in (tf.float32, tf.float64) else tf.float32


@contextlib.contextmanager
def same_on_every_worker(strategy: tf.distribute.Strategy) -> Iterator[None]:
    """A context for creating variables with the same constant on every worker.

    `MultiWorkerMirroredStrategy` sends initial values from the first worker to the others, which it
    cannot do for unsigned integers, and which constants do not need. The private name
    `_num_workers` is what decides about it; TensorFlow has no public option.

    Args:
        strategy: the strategy in whose scope the variables are created.
    """
    extended = strategy.extended
    workers = getattr(extended, "_num_workers", 1)
    if workers == 1:
        yield
        return
    extended._num_workers = 1
    try:
        yield
    finally:
        extended._num_workers = workers


def count() -> int:
    """Returns the number of replicas in sync."""
    return tf.distribute.get_strategy().num_replicas_in_sync


def is_asynchronous() -> bool:
    """Returns whether several workers change the same variables at the same time."""
    strategy = tf.distribute.get_strategy()
    return isinstance(strategy, tf.distribute.experimental.ParameterServerStrategy)


def at_owner(variable: tf.Variable) -> contextlib.AbstractContextManager:
    """A context whose operations run on the parameter server of a plain variable, if it has one.

    An update there receives the gradient; elsewhere, it would receive and return rows and slots.
    """
    return tf.device(variable.device) if is_asynchronous() else contextlib.nullcontext()


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


def all_reduce_max(value: tf.Tensor) -> tf.Tensor:
    """Returns the maximum of an int64 scalar over the replicas."""
    if tf.distribute.get_replica_context() is None or count() == 1:
        return value
    return tf.reduce_max(of_all(value))


def of_all(value: tf.Tensor) -> tf.Tensor:
    """Returns a tensor of every replica, `[replicas, ...]`; called within a replica."""
    context = tf.distribute.get_replica_context()
    # TensorFlow reduces by sums only: each replica adds a vector with its value at its own place.
    place = tf.reshape(tf.cast(context.replica_id_in_sync_group, tf.int32), [1, 1])
    shape = tf.concat([[context.num_replicas_in_sync], tf.shape(value)], 0)
    return context.all_reduce(tf.distribute.ReduceOp.SUM, tf.scatter_nd(place, value[None], shape))


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

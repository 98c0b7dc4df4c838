"""The order in which records are read: file after file, or shuffled, by one worker or several."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from zoo.data.staged_split import StagedSplit

SHUFFLE_ROWS = 100_000  # for shuffle=True
_OPEN_FILES = 16  # shards read in turn when shuffled
_BLOCK = 64  # records read from each shard in turn; reading 1 is half as fast
EPOCH_SEEDS = 1_000_003  # between the seeds of two epochs, so that nearby seeds do not overlap


@dataclass(frozen=True)
class Order:
    """The reading order of a split; for the arguments see `zoo.read_tfrecords`.

    Example:
        >>> Order(shuffle=True, seed=1).repeat
        False
    """

    shuffle: bool | int = False
    seed: int | None = None
    repeat: bool | int = False
    cache: bool = False
    shard: tuple[int, int] | None = None


def ordered_batches(
    files: Sequence[tuple[str, str]],
    order: Order,
    batch_size: int,
    drop_remainder: bool,
    staged: StagedSplit | None = None,
) -> tf.data.Dataset:
    """Reads batches of serialized records.

    Args:
        files: path and compression ("" or "GZIP") of each file.
        order: the order.
        batch_size: rows per batch.
        drop_remainder: drops a last, smaller batch of each epoch.
        staged: the files in a store, if they are not all on the local disk. Defaults to None.

    Returns:
        A dataset of strings [B].

    Example:
        >>> ordered_batches([("a.tfrecord", "")], Order(), 8, False).element_spec.dtype
        tf.string
    """
    return _ordered(files, tf.data.TFRecordDataset, order, batch_size, drop_remainder, staged)


def ordered_numbers(
    sizes: Sequence[int], order: Order, batch_size: int, drop_remainder: bool
) -> tf.data.Dataset:
    """Returns batches of row numbers, in the order in which `ordered_batches` reads the rows.

    Args:
        sizes: number of rows of each file; the rows are counted from 0, file after file.
        order: the order.
        batch_size: rows per batch.
        drop_remainder: drops a last, smaller batch of each epoch.

    Returns:
        A dataset of int64 [B].

    Example:
        >>> [n.tolist() for n in ordered_numbers([2, 1], Order(), 2, False).as_numpy_iterator()]
        [[0, 1], [2]]
    """
    ends = np.cumsum(sizes, dtype=np.int64)
    ranges = list(zip(ends - sizes, ends, strict=True))
    return _ordered(ranges, tf.data.Dataset.range, order, batch_size, drop_remainder)


def _ordered(
    files: Sequence[tuple],
    content: Callable[..., tf.data.Dataset],
    order: Order,
    batch_size: int,
    drop_remainder: bool,
    staged: StagedSplit | None = None,
) -> tf.data.Dataset:
    several = workers()
    # All workers must use the same order, or they repeat some rows and miss others.
    seed = 0 if several > 1 and order.seed is None else order.seed
    # Sharding by file, TensorFlow's default, fails with fewer files than workers.
    policies = tf.data.experimental.AutoShardPolicy
    policy = policies.AUTO if 1 < len(files) >= several else policies.DATA
    skip = None
    if order.shard is not None:
        policy, (index, count) = policies.OFF, order.shard
        if len(files) % count:
            skip = (count, index)
        else:
            files = files[index::count]
    if staged is not None:  # here: within the pipeline, TensorFlow would wrap the error
        staged.read_together(_together(files, order))
    read = functools.partial(_records, files, content, order, skip, staged)
    kept = read(seed).cache() if order.cache else None

    def epoch(seed: int | tf.Tensor | None) -> tf.data.Dataset:
        data = read(seed) if kept is None else kept
        if order.shuffle:
            buffer = SHUFFLE_ROWS if order.shuffle is True else order.shuffle
            data = data.shuffle(buffer, seed=seed)
        return data.batch(batch_size, drop_remainder=drop_remainder)

    def numbered(number: tf.Tensor) -> tf.data.Dataset:
        # TensorFlow pairs the seed of a shuffle with the global seed and compares both in Python,
        # which fails for a tensor if the global seed is 0. This graph belongs to the function.
        tf.compat.v1.get_default_graph().seed = None
        return epoch(seed + number * EPOCH_SEEDS)

    options = tf.data.Options()
    if order.repeat and order.shuffle and seed is not None:
        # Not `repeat`: a checkpoint between two of its epochs does not contain the state of the
        # shuffles. Here the number of the epoch is the only state.
        policy = policies.OFF if order.shard else policies.DATA  # by file, epochs would be sharded
        data = tf.data.Dataset.counter()
        if order.repeat is not True:
            data = data.take(order.repeat)
        data = data.flat_map(numbered)
        # TensorFlow counts any seed in a function as state; here the epoch number is all of it.
        options.experimental_external_state_policy = tf.data.experimental.ExternalStatePolicy.IGNORE
    else:
        data = epoch(seed)
        if order.repeat:
            data = data.repeat(None if order.repeat is True else order.repeat)
    options.deterministic = not order.shuffle or seed is not None
    options.experimental_distribute.auto_shard_policy = policy
    return data.with_options(options)


def _records(
    files: Sequence[tuple],
    content: Callable[..., tf.data.Dataset],
    order: Order,
    skip: tuple[int, int] | None,
    staged: StagedSplit | None,
    seed: int | tf.Tensor | None,
) -> tf.data.Dataset:
    """Returns the records of files, file after file or from several files in turn."""

    def records(*file: tf.Tensor) -> tf.data.Dataset:
        found = content(*file)
        return found.shard(*skip) if skip else found

    data = tf.data.Dataset.from_tensor_slices(tuple(map(np.array, zip(*files, strict=True))))
    if order.shuffle:
        data = data.shuffle(len(files), seed=seed)
    side_by_side = bool(order.shuffle) and len(files) > 1
    together = _together(files, order)
    if staged is not None:
        data = staged.staged(data)
        side_by_side = False  # would read further files ahead
    return data.interleave(
        records,
        cycle_length=together,
        block_length=_BLOCK,
        # With a single file, passing records between threads is up to five times slower.
        num_parallel_calls=tf.data.AUTOTUNE if side_by_side else None,
        deterministic=seed is not None if side_by_side else None,
    )


def _together(files: Sequence[tuple], order: Order) -> int:
    """Returns the number of files that are read in turn."""
    return min(len(files), _OPEN_FILES) if order.shuffle else 1


def workers() -> int:
    """Returns the number of workers in `TF_CONFIG`, 0 without it.

    Example:
        >>> workers()
        0
    """
    cluster = tf.distribute.cluster_resolver.TFConfigClusterResolver().cluster_spec().as_dict()
    return len(cluster.get("worker", [])) + len(cluster.get("chief", []))

"""The order in which records are read: file after file, or shuffled, by one worker or several."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

_SHUFFLE_BUFFER = 100_000  # records, for shuffle=True
_OPEN_FILES = 16  # shards read side by side when shuffled
_BLOCK = 64  # records from each in turn; reading one of each is half as fast


def record_order(
    files: Sequence[tuple[str, str]],
    shuffle: bool | int,
    seed: int | None,
    cache: bool,
    shard: tuple[int, int] | None,
) -> tf.data.Dataset:
    """Reads serialised records in the order of one epoch.

    Args:
        files: Path and compression ("" or "GZIP") of each file.
        shuffle: False, True or the number of records in the buffer.
        seed: Makes the order reproducible.
        cache: Whether to keep the records in memory.
        shard: `(index, count)`: the part of one worker; None for TensorFlow's own sharding.

    Returns:
        A dataset of strings [].

    Example:
        >>> record_order([("a.tfrecord", "")], False, None, False, None).element_spec.dtype
        tf.string
    """
    workers = _workers()
    if workers > 1 and seed is None:
        seed = 0  # all workers must deal the same order, or they share rows and miss others
    ordered = not shuffle or seed is not None
    options = tf.data.Options()
    policies = tf.data.experimental.AutoShardPolicy
    # Dealing by file, TensorFlow's default, fails with fewer files than workers.
    policy = policies.AUTO if 1 < len(files) >= workers else policies.DATA
    skip = None
    if shard is not None:
        policy, (index, count) = policies.OFF, shard
        if len(files) % count == 0:
            files = files[index::count]
        else:
            skip = (count, index)
    options.experimental_distribute.auto_shard_policy = policy

    def records(path: tf.Tensor, compression: tf.Tensor) -> tf.data.Dataset:
        content = tf.data.TFRecordDataset(path, compression)
        return content.shard(*skip) if skip else content

    data = tf.data.Dataset.from_tensor_slices(tuple(map(list, zip(*files, strict=True))))
    if shuffle:
        data = data.shuffle(len(files), seed=seed)
    side_by_side = bool(shuffle) and len(files) > 1
    data = data.interleave(
        records,
        cycle_length=min(len(files), _OPEN_FILES) if shuffle else 1,
        block_length=_BLOCK,
        # With a single file the hand-over between threads only costs (up to five times as slow).
        num_parallel_calls=tf.data.AUTOTUNE if side_by_side else None,
        deterministic=ordered if side_by_side else None,
    )
    if cache:
        data = data.cache()
    if shuffle:
        data = data.shuffle(_SHUFFLE_BUFFER if shuffle is True else shuffle, seed=seed)
    options.deterministic = ordered
    return data.with_options(options)


def batches_of(
    records: tf.data.Dataset,
    parse: Callable[[tf.Tensor], Any],
    batch_size: int,
    drop_remainder: bool,
    repeat: bool | int,
) -> tf.data.Dataset:
    """Makes parsed batches of serialised records.

    Args:
        records: Strings [].
        parse: Parses [B] strings.
        batch_size: Rows per batch.
        drop_remainder: Leaves out a last, smaller batch.
        repeat: False, True (for ever) or the number of epochs.

    Returns:
        A dataset of what `parse` gives.

    Example:
        >>> records = tf.data.Dataset.from_tensor_slices(["a", "b", "c"])
        >>> [len(batch) for batch in batches_of(records, tf.identity, 2, False, False)]
        [2, 1]
    """
    # Parsing whole batches is several times faster than single records.
    data = records.batch(batch_size, drop_remainder=drop_remainder)
    data = data.map(parse, num_parallel_calls=tf.data.AUTOTUNE)
    if repeat:
        data = data.repeat(None if repeat is True else repeat)
    return data.prefetch(tf.data.AUTOTUNE)


def _workers() -> int:
    """Number of workers that `TF_CONFIG` speaks of, 0 without it."""
    cluster = tf.distribute.cluster_resolver.TFConfigClusterResolver().cluster_spec().as_dict()
    return len(cluster.get("worker", [])) + len(cluster.get("chief", []))

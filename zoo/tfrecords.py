"""Writes and reads packed TFRecord files: `ids`, `numeric` and `label` of one row per record."""

import os
from collections.abc import Iterable, Mapping

import numpy as np
import tensorflow as tf
from absl import logging
from tqdm import tqdm

from zoo.files import DataError, join
from zoo.ledger import Ledger
from zoo.manifest import Split, find_split, load_manifest, save_split
from zoo.record_check import parser, usable_file
from zoo.schema import Schema
from zoo.shard_writer import shard_bounds, split_of, write_shards

_SHUFFLE_BUFFER = 100_000  # records, for shuffle=True
_OPEN_FILES = 16  # shards read side by side
_BLOCK = 64  # consecutive rows in a shard; reading one row of each file in turn is half as fast


def write_tfrecords(
    directory: str | os.PathLike[str],
    schema: Schema,
    split: str,
    batches: Iterable[Mapping[str, np.ndarray]],
    shards: int = 1,
    compression: str | None = None,
    layout: str = "packed",
    rows: int | None = None,
) -> Split:
    """Writes one split as TFRecord files and enters it in `schema.json` and `manifest.json`.

    Each file holds a contiguous range of the rows; their sizes differ by at most one row. Nothing
    appears under its final name before the whole split is written.

    Args:
        directory: Data folder; created if absent.
        schema: Columns of the rows; must equal the folder's schema if it has one.
        split: Split name, e.g. "train".
        batches: Dicts of arrays: "ids" [n, schema.ids_width] integers (if the schema has
            categorical fields), "numeric" [n, N] floats (if it has numeric columns), "label" [n],
            "weight" [n] floats and "group" [n] integers (if the schema has them).
        shards: Number of files, at least 1.
        compression: None or "GZIP".
        layout: "packed" (one list per kind of column; fast) or "columns" (one feature per column,
            as TFX has it), see `zoo.record_layout.record_layout`.
        rows: Number of rows over all batches; needed with several shards unless `batches` is a
            list.

    Returns:
        The files with their rows, sizes and checksums.

    Raises:
        DataError: If an array is missing or has a wrong shape or value, there is no row, or their
            number is unknown or another than `rows`.
        SchemaMismatchError: If the folder has another schema.

    Example:
        >>> import tempfile
        >>> from zoo.schema import Categorical
        >>> schema = Schema("tiny", [Categorical("user", 10)])
        >>> rows = {"ids": np.array([[3], [4]]), "label": np.array([1.0, 0.0])}
        >>> write_tfrecords(tempfile.mkdtemp(), schema, "train", [rows]).total_rows
        2
    """
    if rows is None and isinstance(batches, (list, tuple)):
        rows = sum(len(batch["label"]) for batch in batches if "label" in batch)
    if rows is None and shards != 1:
        raise DataError(
            f"shards={shards!r} of an unknown number of rows; give rows=NUMBER, or the batches as "
            "a list"
        )
    bounds = ((0, None),) if rows is None else shard_bounds(rows, shards)
    if tf.io.gfile.exists(join(directory, "schema.json")):
        schema.check_same(Schema.load(directory), where=join(directory, "schema.json"))
    else:
        schema.save(directory)
    before = load_manifest(directory).get(split)
    partial = join(directory, f".{split}.{os.getpid()}.partial")
    try:
        written = list(write_shards(partial, schema, split, batches, bounds, layout, compression))
        if not sum(shard.rows for shard in written):
            raise DataError(f"split {split!r} has no row; give at least one")
        names = [shard.file for shard in written]
        for name in names:
            tf.io.gfile.rename(join(partial, name), join(directory, name), overwrite=True)
    finally:
        if tf.io.gfile.exists(partial):
            tf.io.gfile.rmtree(partial)
    result = split_of(written, layout, compression)
    save_split(directory, split, result)
    for stale in set(before.files if before else ()) - set(names):
        if tf.io.gfile.exists(join(directory, stale)):
            tf.io.gfile.remove(join(directory, stale))
    return result


def read_tfrecords(
    directory: str | os.PathLike[str],
    split: str,
    schema: Schema | None = None,
    batch_size: int = 1024,
    shuffle: bool | int = False,
    seed: int | None = None,
    drop_remainder: bool = False,
    repeat: bool | int = False,
    ledger: Ledger | None = None,
    cache: bool = False,
    verify: bool = True,
) -> tf.data.Dataset:
    """Reads one split as batches, past damaged records, every loss counted.

    Damage is found before the first epoch: all records are checked once, natively. Of a damaged
    file the good records are copied to the temporary folder and read from there; each such file
    is logged with byte offsets, and entered in `ledger`. Each epoch has a new order if shuffled;
    with a seed all orders are reproducible.

    Args:
        directory: Data folder.
        split: Split name, e.g. "train".
        schema: Columns expected; None takes the folder's own schema.
        batch_size: Rows per batch.
        shuffle: False, True (buffer of 100,000 records) or the buffer's size in records; the
            order of the files is shuffled too.
        seed: Makes the order reproducible; several workers (`TF_CONFIG`) take 0 for None.
        drop_remainder: Leaves out a last, smaller batch.
        repeat: False, True (for ever) or the number of epochs.
        ledger: Receives the account of each file.
        cache: Keeps the (serialised) records in memory after the first epoch.
        verify: False skips the check; damage then raises `tf.errors.DataLossError` while reading.

    Returns:
        A dataset of `({"ids": int32 [B, W], "numeric": float32 [B, N]}, label float32 [B, 1])`,
        with "ids" and "numeric" only if the schema has such columns.

    Raises:
        DataError: If data is missing, an argument is out of range, or no record is readable.
        SchemaMismatchError: If the folder's schema or a record differs from `schema`.

    Example:
        >>> import tempfile
        >>> from zoo.schema import Categorical
        >>> folder, schema = tempfile.mkdtemp(), Schema("tiny", [Categorical("user", 10)])
        >>> rows = {"ids": np.array([[3], [4]]), "label": np.array([1.0, 0.0])}
        >>> _ = write_tfrecords(folder, schema, "train", [rows])
        >>> for features, label in read_tfrecords(folder, "train", batch_size=2):
        ...     print(features["ids"].shape, label.shape)
        (2, 1) (2, 1)
    """
    for name, value in (("batch_size", batch_size), ("shuffle", shuffle), ("repeat", repeat)):
        if value < (name == "batch_size"):
            raise DataError(f"{name}={value!r}; use a positive integer")
    found = find_split(directory, split)
    if schema is None:
        schema = Schema.load(directory)
    elif tf.io.gfile.exists(join(directory, "schema.json")):
        schema.check_same(Schema.load(directory), where=join(directory, "schema.json"))
    paths = [join(directory, name) for name in found.files]
    compressions = [found.compression] * len(paths)
    if verify:
        paths, compressions = _usable(paths, found, schema, Ledger() if ledger is None else ledger)
    return _pipeline(
        paths, compressions, schema, batch_size, shuffle, seed, drop_remainder, repeat, cache
    )


def _usable(
    paths: list[str], split: Split, schema: Schema, ledger: Ledger
) -> tuple[list[str], list[str]]:
    """Checks all files, enters them in the ledger, and gives what to read instead of each."""
    usable, readable = [], 0
    files = list(zip(paths, split.rows, strict=True))
    for path, rows in tqdm(files, desc="checking records", unit="file", delay=2.0, leave=False):
        good_path, compression, account = usable_file(path, split.compression, rows, schema)
        ledger.add(account)
        if account.damages:
            logging.warning("%s", account.line())
        readable += account.read
        usable.append((good_path, compression))
    if not readable:
        raise DataError(
            f"no readable record in {len(paths)} files ({paths[0]} ...); prepare the data again"
        )
    return [path for path, _ in usable], [compression for _, compression in usable]


def _pipeline(
    paths: list[str],
    compressions: list[str],
    schema: Schema,
    batch_size: int,
    shuffle: bool | int,
    seed: int | None,
    drop_remainder: bool,
    repeat: bool | int,
    cache: bool,
) -> tf.data.Dataset:
    workers = _workers()
    if workers > 1 and seed is None:
        seed = 0  # all workers must deal the same order, or they share rows and miss others
    ordered = not shuffle or seed is not None
    data = tf.data.Dataset.from_tensor_slices((paths, compressions))
    if shuffle:
        data = data.shuffle(len(paths), seed=seed)
    data = data.interleave(
        tf.data.TFRecordDataset,
        cycle_length=min(len(paths), _OPEN_FILES) if shuffle else 1,
        block_length=_BLOCK,
        # With a single file the hand-over between threads only costs (up to five times as slow).
        num_parallel_calls=tf.data.AUTOTUNE if len(paths) > 1 else None,
        deterministic=ordered if len(paths) > 1 else None,
    )
    if cache:
        data = data.cache()
    if shuffle:
        data = data.shuffle(_SHUFFLE_BUFFER if shuffle is True else shuffle, seed=seed)
    # Parsing whole batches is several times faster than single records.
    data = data.batch(batch_size, drop_remainder=drop_remainder)
    data = data.map(parser(schema), num_parallel_calls=tf.data.AUTOTUNE, deterministic=ordered)
    if repeat:
        data = data.repeat(None if repeat is True else repeat)
    options = tf.data.Options()
    # Dealing by file, TensorFlow's default, fails with fewer files than workers.
    by_file = 1 < len(paths) >= workers
    policies = tf.data.experimental.AutoShardPolicy
    options.experimental_distribute.auto_shard_policy = policies.AUTO if by_file else policies.DATA
    return data.prefetch(tf.data.AUTOTUNE).with_options(options)


def _workers() -> int:
    """Number of workers that `TF_CONFIG` speaks of, 0 without it."""
    cluster = tf.distribute.cluster_resolver.TFConfigClusterResolver().cluster_spec().as_dict()
    return len(cluster.get("worker", [])) + len(cluster.get("chief", []))

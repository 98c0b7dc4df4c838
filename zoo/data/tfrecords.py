"""Writes and reads the TFRecord files of a split."""

import os
from collections.abc import Iterable, Mapping

import numpy as np
import tensorflow as tf

from tf_helen.stores import gfile
from zoo.data.block_order import BlockRows, ordered_rows
from zoo.data.files import DataError, join
from zoo.data.ledger import MAX_LOST, Ledger
from zoo.data.manifest import Split
from zoo.data.opened_split import open_split
from zoo.data.record_layout import DEFAULT_LAYOUT
from zoo.data.record_order import Order, ordered_batches
from zoo.data.replacement import remove_abandoned, replacing
from zoo.data.safe_paths import check_plain
from zoo.data.schema import Schema
from zoo.data.shard_writer import shard_bounds, split_of, write_shards


def write_tfrecords(
    directory: str | os.PathLike[str],
    schema: Schema,
    split: str,
    batches: Iterable[Mapping[str, np.ndarray]],
    shards: int = 1,
    compression: str | None = None,
    layout: str = DEFAULT_LAYOUT,
    rows: int | None = None,
    block_rows: int | None = None,
) -> Split:
    """Writes one split as TFRecord files and enters it in `schema.json` and `manifest.json`.

    Each file holds a contiguous range of the rows; their sizes differ by at most one row. Files get
    their final names only when the whole split is written, and at every moment the manifest names
    either the files of the old split or those of the new one, all of them complete.

    Args:
        directory: data folder; created if absent.
        schema: `Schema` of the rows; must equal the folder's schema if it has one.
        split: split name, such as "train".
        batches: dicts of arrays: "ids" [n, schema.ids_width] integers (if the schema has
            categorical fields), "numeric" [n, N] floats (if it has numeric columns), "label" [n],
            "weight" [n] floats, "group" and "time" [n] integers (if the schema has them).
        shards: number of files, at least 1. Defaults to 1.
        compression: None or "GZIP". Defaults to None.
        layout: "blocks" (a record holds many rows, column by column; the fastest), or one
            `tf.train.Example` per row: "packed" (one list per kind of column) or "columns" (one
            feature per column, as in TFX). Defaults to "blocks".
        rows: number of rows over all batches; required with several shards unless `batches` is a
            list. Defaults to None.
        block_rows: rows of a record with the layout "blocks"; damage to a record loses all of
            them. Defaults to None: 1024, or fewer if they have more than 262,144 values.

    Returns:
        A `Split`: the files with their rows, sizes and checksums.

    Raises:
        DataError: if an array is missing or has a wrong shape or value, there are no rows, or their
            number is unknown or differs from `rows`.
        SchemaMismatchError: if the folder has another schema.

    Example:
        >>> import tempfile
        >>> from zoo.data.schema import Categorical
        >>> schema = Schema("tiny", [Categorical("user", 10)])
        >>> rows = {"ids": np.array([[3], [4]]), "label": np.array([1.0, 0.0])}
        >>> write_tfrecords(tempfile.mkdtemp(), schema, "train", [rows]).total_rows
        2
    """
    check_plain(split, "split")
    if rows is None and isinstance(batches, (list, tuple)):
        rows = sum(len(batch["label"]) for batch in batches if "label" in batch)
    if rows is None and shards != 1:
        raise DataError(
            f"shards={shards!r} needs the number of rows; pass rows=NUMBER, or the batches as "
            "a list"
        )
    bounds = ((0, None),) if rows is None else shard_bounds(rows, shards)
    if gfile.exists(join(directory, "schema.json")):
        schema.check_same(Schema.load(directory), where=join(directory, "schema.json"))
    else:
        schema.save(directory)
    remove_abandoned(directory, split)
    with replacing(directory, split) as replacement:
        written = list(
            write_shards(
                replacement.partial, schema, split, batches, bounds, layout, compression,
                version=replacement.version, block_rows=block_rows,
            )
        )  # fmt: skip
        if not sum(shard.rows for shard in written):
            raise DataError(f"split {split!r} has no rows; pass at least one")
        result = split_of(written, layout, compression)
        replacement.publish(result)
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
    max_lost: float = MAX_LOST,
    group: bool = False,
    shard: tuple[int, int] | None = None,
    layout: str | None = None,
    skip_batches: int = 0,
    time: bool = False,
) -> tf.data.Dataset:
    """Reads one split as batches; skips and counts damaged records.

    All records are checked once, before the first epoch. If a file has records with a wrong
    checksum, or with content that the schema does not allow, its good records are copied to the
    temporary folder and read from there. Each such file is logged with byte offsets and entered in
    `ledger`.

    Without shuffling, rows have the order in which they were written. With shuffling, each epoch
    has a new order; with a seed all orders are reproducible, and an iterator restored from a
    `tf.train.Checkpoint` continues with the same rows.

    Args:
        directory: data folder.
        split: split name, such as "train".
        schema: the expected `Schema`. Defaults to None: the folder's own schema.
        batch_size: rows per batch. Defaults to 1024.
        shuffle: False, True (100,000 rows) or the number of rows among which rows are shuffled.
            With the layout "blocks", the blocks of all files are shuffled, and then the rows of
            each so many consecutive rows, of at least 16 blocks. Otherwise the rows are those of a
            buffer; the order of the files is shuffled too, and up to 16 of them are read in turn.
            Defaults to False.
        seed: int, makes the order reproducible. Defaults to None; with several workers
            (`TF_CONFIG`) None means 0.
        drop_remainder: drops a last, smaller batch. Defaults to False.
        repeat: False, True (forever) or the number of epochs. Defaults to False.
        ledger: `Ledger` that receives the counts of each file. Defaults to None.
        cache: keeps the serialized records in memory after the first epoch. Defaults to False.
        verify: False skips the check; damage then raises `tf.errors.DataLossError` while reading.
            Defaults to True.
        max_lost: share of the records that may be lost, from 0 to 1. Defaults to 1e-4.
        group: whether to return the group ids as `features["group"]`, int64 [B, 1]. Defaults to
            False.
        shard: `(index, count)`: reads the part of worker `index` of `count`, instead of
            TensorFlow's automatic sharding. With the layout "blocks", the part is a contiguous
            range of the rows. Otherwise it is whole files if their number is a multiple of
            `count`, else every `count`-th row of each file. Defaults to None.
        layout: layout of the records in a folder without a manifest. Defaults to None: "blocks" if
            the first record is one, else "packed".
        skip_batches: number of batches to skip at the start, to continue an interrupted pass. With
            the layout "blocks" their records are not read, except some for the first batch that
            is; otherwise they are read and shuffled but not parsed. Defaults to 0.
        time: whether to return the times as `features["time"]`, int64 [B, 1]. Defaults to False.

    Returns:
        A dataset of `({"ids": int32 [B, W], "numeric": float32 [B, N]}, label float32 [B, 1])`,
        with "ids" and "numeric" only if the schema has such columns. If it has a weight, the third
        element is the weight, float32 [B, 1].

    Raises:
        DataError: if data are missing, an argument is out of range, more than `max_lost` of the
            records are lost, or none is readable.
        SchemaMismatchError: if the folder's schema differs from `schema`, or more than `max_lost`
            of the records do not match it.

    Example:
        >>> import tempfile
        >>> from zoo.data.schema import Categorical
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
    if skip_batches < 0:
        raise DataError(f"skip_batches={skip_batches!r}; use 0 or a positive integer")
    if not 0 <= max_lost <= 1:
        raise DataError(f"max_lost={max_lost!r}; use a share from 0 to 1")
    if shard is not None and not 0 <= shard[0] < shard[1]:
        raise DataError(f"shard={shard!r}; use (index, count) with index from 0 to count - 1")
    opened = open_split(directory, split, schema, ledger, max_lost, group, layout, verify, time)
    order = Order(shuffle, seed, repeat, cache, shard)
    if opened.blocks is not None:
        content = BlockRows(opened.blocks, opened.schema, keep=cache)
        data = ordered_rows(opened.blocks, content, order, batch_size, drop_remainder, skip_batches)
    else:
        data = ordered_batches(opened.files, order, batch_size, drop_remainder, opened.staged)
        if skip_batches:
            data = data.skip(skip_batches)
    # Parsing whole batches is several times faster than single records.
    data = data.map(opened.parse, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)
    return opened.kept_by(data)

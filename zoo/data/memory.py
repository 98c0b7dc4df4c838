"""The rows of a split in memory, for programs that read the same split many times."""

from __future__ import annotations

import os

import tensorflow as tf

from zoo.data.block_order import BlockRows, RowNumbers, ordered_rows
from zoo.data.ledger import MAX_LOST, Ledger
from zoo.data.opened_split import open_split
from zoo.data.record_order import Order, ordered_numbers
from zoo.data.schema import Schema

_READ = 8192  # rows parsed at once


class RowsInMemory:
    """The rows of one split, checked, read and parsed once.

    `batches` gives what `zoo.read_tfrecords` gives with the same arguments: the same rows in the
    same order. It takes memory of 4 bytes per id and number.

    Args:
        directory: data folder.
        split: split name, such as "train".
        schema: the expected `Schema`. Defaults to None: the folder's own schema.
        ledger: `Ledger` that receives the counts of each file. Defaults to None.
        max_lost: share of the records that may be lost, from 0 to 1. Defaults to 1e-4.
        group: whether to return the group ids as `features["group"]`. Defaults to False.
        time: whether to return the times as `features["time"]`. Defaults to False.

    Attributes:
        rows: number of rows.

    Raises:
        DataError: if data are missing, or more than `max_lost` of the records are lost.

    Example:
        >>> RowsInMemory("data/frappe", "train").rows  # doctest: +SKIP
        202027
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        split: str,
        schema: Schema | None = None,
        ledger: Ledger | None = None,
        max_lost: float = MAX_LOST,
        group: bool = False,
        time: bool = False,
    ):
        opened = open_split(directory, split, schema, ledger, max_lost, group, time=time)
        self._blocks, self._sizes = opened.blocks, []
        parts: list[tuple] = []
        with tf.device("CPU"):  # where the input pipeline runs
            if opened.blocks is not None:
                rows = BlockRows(opened.blocks, opened.schema)
                parts += ordered_rows(opened.blocks, rows, Order(), _READ, False).map(opened.parse)
            else:
                for path, compression in opened.files:
                    local = path if opened.staged is None else opened.staged.local(path)
                    records = tf.data.TFRecordDataset(local, compression).batch(_READ)
                    found = list(records.map(opened.parse, num_parallel_calls=tf.data.AUTOTUNE))
                    self._sizes.append(sum(len(part[1]) for part in found))
                    parts += found
            self._columns = tf.nest.map_structure(lambda *columns: tf.concat(columns, 0), *parts)
        self.rows = sum(len(part[1]) for part in parts)

    def batches(
        self,
        batch_size: int = 1024,
        shuffle: bool | int = False,
        seed: int | None = None,
        drop_remainder: bool = False,
        skip_batches: int = 0,
    ) -> tf.data.Dataset:
        """Returns the rows as batches; for the arguments and elements see `zoo.read_tfrecords`.

        Example:
            >>> rows = RowsInMemory("data/frappe", "train")  # doctest: +SKIP
            >>> rows.batches(512, shuffle=True, seed=1)  # doctest: +SKIP
        """
        order = Order(shuffle, seed)
        if self._blocks is not None:
            data = ordered_rows(
                self._blocks, RowNumbers(self._blocks), order, batch_size, drop_remainder,
                skip_batches,
            )  # fmt: skip
        else:
            data = ordered_numbers(self._sizes, order, batch_size, drop_remainder)
            if skip_batches:
                data = data.skip(skip_batches)

        def gather(numbers: tf.Tensor) -> tuple:
            return tf.nest.map_structure(lambda column: tf.gather(column, numbers), self._columns)

        return data.map(gather, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)

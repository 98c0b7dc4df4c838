"""The order in which the rows of blocks are read.

Without shuffling, rows have the order of writing. With shuffling, the blocks of the split are taken
in a new order in each epoch, and rows are shuffled within windows: the rows of consecutive blocks
of that order. Both orders are functions of a seed, so that an epoch can begin at any batch: blocks
of earlier windows are not read.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
import tensorflow as tf

from zoo.data.block_index import Blocks
from zoo.data.block_parse import block_decoder
from zoo.data.record_order import EPOCH_SEEDS, SHUFFLE_ROWS, Order, workers
from zoo.data.schema import Schema

_LEAST_BLOCKS = 16  # in a window, so that each batch has rows from many places
_READ_BYTES = 1 << 18  # of a file at once


class Parts(NamedTuple):
    """Consecutive blocks, and the rows that are read of each.

    Attributes:
        blocks: int64 [n], numbers of the blocks.
        starts: int64 [n], the first row.
        stops: int64 [n], the row after the last.
    """

    blocks: np.ndarray
    starts: np.ndarray
    stops: np.ndarray


class Content(Protocol):
    """What is read of blocks: tensors with one row per row of the block."""

    def in_order(self, parts: Parts) -> tf.data.Dataset:
        """Reads consecutive blocks.

        Returns:
            A dataset of rows [n, ...], of one block each.
        """

    def at_random(self, plan: tf.data.Dataset) -> tf.data.Dataset:
        """Reads blocks in any order.

        Args:
            plan: number of a block, first row, row after the last, and a seed.

        Returns:
            A dataset of rows [n, ...] and of the seed [n].
        """


def ordered_rows(
    blocks: Blocks,
    content: Content,
    order: Order,
    batch_size: int,
    drop_remainder: bool,
    skip_batches: int = 0,
) -> tf.data.Dataset:
    """Reads batches of rows.

    Args:
        blocks: the blocks of the split.
        content: what to read of them.
        order: the order.
        batch_size: rows per batch.
        drop_remainder: drops a last, smaller batch of each epoch.
        skip_batches: number of batches to skip at the start. Defaults to 0.

    Returns:
        A dataset of tensors [B, ...].

    Example:
        >>> ordered_rows(blocks, BlockRows(blocks, schema), Order(), 8, False)  # doctest: +SKIP
    """
    plan = _Plan(blocks, content, order, batch_size, drop_remainder)
    epochs, skipped = divmod(skip_batches, plan.batches) if plan.batches else (0, 0)
    skip = skipped * batch_size
    # All workers must use the same order, or they repeat some rows and miss others.
    seed = 0 if workers() > 1 and order.seed is None else order.seed
    options = tf.data.Options()
    if order.shuffle and order.repeat and seed is not None:
        # The number of the epoch is the only state, so that a checkpoint contains all of it.
        data = tf.data.Dataset.counter(epochs)
        if order.repeat is not True:
            data = data.take(max(0, order.repeat - epochs))
        options.experimental_external_state_policy = tf.data.experimental.ExternalStatePolicy.IGNORE

        def numbered(number: tf.Tensor) -> tf.data.Dataset:
            first = tf.where(number == epochs, tf.constant(skip, tf.int64), 0)
            seeds = tf.data.Dataset.from_tensors(seed + number * EPOCH_SEEDS)
            return plan.shuffled(seeds, first)

        data = data.flat_map(numbered)
    else:
        data = plan.epoch(seed, skip)
        if order.repeat is True:
            rest = plan.epoch(seed, 0).repeat()
            data = data.concatenate(rest) if skip else rest
        elif (count := int(order.repeat) or 1) > epochs:
            if skip or epochs:
                data = data.concatenate(plan.epoch(seed, 0).repeat(count - epochs - 1))
            else:
                data = data.repeat(count)
        else:
            data = data.take(0)
    options.deterministic = not order.shuffle or seed is not None
    policies = tf.data.experimental.AutoShardPolicy
    # By file is impossible, as every worker reads from all files.
    options.experimental_distribute.auto_shard_policy = (
        policies.OFF if order.shard else policies.DATA
    )
    return data.with_options(options)


class BlockRows:
    """The content of the files: int32 [rows, width], see `block_decoder`.

    Args:
        blocks: the blocks.
        schema: columns of the rows.
        keep: whether to keep the records in memory once they are read. Defaults to False.

    Example:
        >>> BlockRows(blocks, schema)  # doctest: +SKIP
    """

    def __init__(self, blocks: Blocks, schema: Schema, keep: bool = False):
        self._blocks = blocks
        self._to_rows = block_decoder(schema, blocks.compressed)
        self._kept = None
        if keep and len(blocks.rows):
            records = self._runs(np.arange(len(blocks.rows)))
            self._kept = records.batch(len(blocks.rows)).cache()

    def in_order(self, parts: Parts) -> tf.data.Dataset:
        plan = tf.data.Dataset.from_tensor_slices((*parts, np.zeros_like(parts.starts)))
        if self._kept is not None:
            data = self.at_random(plan)
        else:
            data = self._decoded(tf.data.Dataset.zip((self._runs(parts.blocks), plan)))
        return data.map(_rows_alone)

    def at_random(self, plan: tf.data.Dataset) -> tf.data.Dataset:
        paths, known = np.array(self._blocks.paths), self._blocks
        staged = known.staged
        if staged is not None and self._kept is None:

            def fetched(*part: tf.Tensor) -> tuple[tf.Tensor, tuple]:
                place = tf.gather(known.offsets, part[0]), tf.gather(known.sizes, part[0])
                path = tf.gather(paths, tf.gather(known.files, part[0]))
                return staged.record(path, *place), part

            return self._decoded(plan.map(fetched, num_parallel_calls=staged.parallel))

        def read(*part: tf.Tensor) -> tf.data.Dataset:
            path = tf.gather(paths, tf.gather(known.files, part[0]))
            found = _records(path, tf.gather(known.offsets, part[0]))
            return tf.data.Dataset.zip((found, tf.data.Dataset.from_tensors(part)))

        def kept(records: tf.Tensor) -> tf.data.Dataset:
            return plan.map(lambda *part: (records[part[0]], part))

        if self._kept is None:
            return self._decoded(plan.flat_map(read))
        return self._decoded(self._kept.flat_map(kept))

    def _runs(self, blocks: np.ndarray) -> tf.data.Dataset:
        """Records of consecutive blocks: one run per file."""
        files, firsts, counts = np.unique(
            self._blocks.files[blocks], return_index=True, return_counts=True
        )
        paths = np.array(self._blocks.paths)[files]
        runs = (paths, self._blocks.offsets[blocks][firsts], counts.astype(np.int64))
        data = tf.data.Dataset.from_tensor_slices(runs)
        if self._blocks.staged is not None:
            self._blocks.staged.read_together(1)
            data = self._blocks.staged.staged(data)
        return data.flat_map(lambda path, offset, count: _records(path, offset).take(count))

    def _decoded(self, data: tf.data.Dataset) -> tf.data.Dataset:
        def decode(record: tf.Tensor, part: tuple) -> tuple[tf.Tensor, tf.Tensor]:
            block, start, stop, seed = part
            rows = self._to_rows(record, tf.gather(self._blocks.rows, block))
            return rows[start:stop], tf.fill([stop - start], seed)

        return data.map(decode, num_parallel_calls=tf.data.AUTOTUNE)


class RowNumbers:
    """The numbers of the rows of blocks, counted over the split: int64 [rows].

    Args:
        blocks: the blocks.

    Example:
        >>> RowNumbers(blocks)  # doctest: +SKIP
    """

    def __init__(self, blocks: Blocks):
        self._firsts = np.cumsum(blocks.rows) - blocks.rows

    def in_order(self, parts: Parts) -> tf.data.Dataset:
        plan = tf.data.Dataset.from_tensor_slices((*parts, np.zeros_like(parts.starts)))
        return self.at_random(plan).map(_rows_alone)

    def at_random(self, plan: tf.data.Dataset) -> tf.data.Dataset:
        def numbers(
            block: tf.Tensor, start: tf.Tensor, stop: tf.Tensor, seed: tf.Tensor
        ) -> tuple[tf.Tensor, tf.Tensor]:
            first = tf.gather(self._firsts, block)
            return tf.range(first + start, first + stop), tf.fill([stop - start], seed)

        return plan.map(numbers)


class _Plan:
    """The blocks that a worker reads, and the order of their rows."""

    def __init__(
        self,
        blocks: Blocks,
        content: Content,
        order: Order,
        batch_size: int,
        drop_remainder: bool,
    ):
        self._content, self._shuffle = content, bool(order.shuffle)
        self._batch, self._drop = batch_size, drop_remainder
        ends = np.cumsum(blocks.rows)
        total = int(ends[-1]) if len(ends) else 0
        index, count = order.shard or (0, 1)
        # A block at the border of two workers is read by both, of which each uses its rows.
        first, last = total * index // count, total * (index + 1) // count
        begins = ends - blocks.rows
        starts = np.clip(first - begins, 0, blocks.rows)
        stops = np.clip(last - begins, 0, blocks.rows)
        self._blocks = np.flatnonzero(stops > starts)
        self._starts, self._stops = starts[self._blocks], stops[self._blocks]
        self.rows = last - first
        self.batches = self.rows // batch_size if drop_remainder else -(-self.rows // batch_size)
        buffer = SHUFFLE_ROWS if order.shuffle is True else int(order.shuffle)
        most = int(blocks.rows.max()) if len(blocks.rows) else 1
        self._window = max(buffer, _LEAST_BLOCKS * most)

    def epoch(self, seed: int | None, skip: int) -> tf.data.Dataset:
        """The batches of an epoch, without the first `skip` rows."""
        if not self._shuffle:
            return self._in_order(skip)
        # A new number in each iteration over the dataset.
        seeds = tf.data.Dataset.random(seed, rerandomize_each_iteration=True).take(1)
        return self.shuffled(seeds, tf.constant(skip, tf.int64))

    def _in_order(self, skip: int) -> tf.data.Dataset:
        ends = np.cumsum(self._stops - self._starts)
        first = int(np.searchsorted(ends, skip, side="right"))
        starts = self._starts[first:].copy()
        if len(starts):
            starts[0] = self._stops[first] - (ends[first] - skip)
        parts = Parts(self._blocks[first:], starts, self._stops[first:])
        return self._content.in_order(parts).rebatch(self._batch, self._drop)

    def shuffled(self, seeds: tf.data.Dataset, skip: tf.Tensor) -> tf.data.Dataset:
        """The batches of a shuffled epoch, without the first `skip` rows.

        Args:
            seeds: its seed, int64, of which all orders are functions.
            skip: int64, number of rows.
        """
        window = skip // self._window  # the first that is read
        row = window * self._window

        def plan(seed: tf.Tensor) -> tf.data.Dataset:
            order = _shuffled(tf.range(len(self._blocks), dtype=tf.int64), seed, 0)
            starts, stops = tf.gather(self._starts, order), tf.gather(self._stops, order)
            ends = tf.cumsum(stops - starts)
            first = tf.searchsorted(ends, [row], side="right", out_type=tf.int64)[0]
            blocks, stops, ends = (
                tf.gather(self._blocks, order)[first:],
                stops[first:],
                ends[first:],
            )
            starts = tf.maximum(starts[first:], stops - (ends - row))
            # Each row carries the seed to its window: a dataset within a function of the seed would
            # take a tenth of a second to begin.
            seeds = tf.fill(tf.shape(blocks), seed)
            return tf.data.Dataset.from_tensor_slices((blocks, starts, stops, seeds))

        def shuffle(number: tf.Tensor, window_rows: tuple) -> tf.Tensor:
            rows, seeds = window_rows
            places = _shuffled(tf.range(tf.shape(rows)[0]), seeds[0], 1 + number)
            return tf.gather(rows, places[tf.where(number == window, skip - row, 0) :])

        data = self._content.at_random(seeds.flat_map(plan)).rebatch(self._window)
        data = data.enumerate(window).map(shuffle)
        return data.rebatch(self._batch, self._drop)


def _rows_alone(rows: tf.Tensor, seeds: tf.Tensor) -> tf.Tensor:
    return rows


def _shuffled(values: tf.Tensor, seed: tf.Tensor, number: int | tf.Tensor) -> tf.Tensor:
    seeds = tf.stack([tf.cast(seed, tf.int64), tf.cast(number, tf.int64)])
    return tf.random.experimental.stateless_shuffle(values, seeds, alg="philox")


def _records(path: tf.Tensor, offset: tf.Tensor) -> tf.data.Dataset:
    """The records of a file from an offset on."""
    # The public `TFRecordDataset` begins at the first byte.
    variant = tf.raw_ops.TFRecordDatasetV2(
        filenames=tf.reshape(path, [1]),
        compression_type="",
        buffer_size=_READ_BYTES,
        byte_offsets=tf.reshape(offset, [1]),
    )
    return tf.data.experimental.from_variant(variant, tf.TensorSpec([], tf.string))

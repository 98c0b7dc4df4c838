"""Decodes records of the layout `blocks` with TensorFlow operations."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from zoo.data.block_layout import HEAD, BlockLayout
from zoo.data.schema import Schema

_HEAD_WORDS = HEAD.size // 4


def block_decoder(schema: Schema, compressed: bool) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    """Creates the function that decodes a record.

    Args:
        schema: columns of the rows.
        compressed: whether the content of the records is compressed.

    Returns:
        A function from a record (string, scalar) and its number of rows n to int32 [n, width], the
        words of each row: ids with padding, numbers, label, weight, group, time as bits. It raises
        `tf.errors.InvalidArgumentError` if the record has another size.

    Example:
        >>> from zoo.data.schema import Categorical
        >>> decode = block_decoder(Schema("s", [Categorical("user", 5)]), compressed=False)
        >>> record = BlockBytes(schema).of(rows)[12:-4]  # doctest: +SKIP
        >>> decode(record, 2)  # doctest: +SKIP
        <tf.Tensor: shape=(2, 2), dtype=int32, ...>
    """
    layout = BlockLayout(schema)

    def decode(record: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
        rows = tf.cast(rows, tf.int32)
        if compressed:
            body = tf.io.decode_compressed(tf.strings.substr(record, HEAD.size, -1), "GZIP")
            words = tf.io.decode_raw(body, tf.int32)
        else:
            words = tf.io.decode_raw(record, tf.int32)[_HEAD_WORDS:]
        if not layout.ragged:
            return tf.transpose(tf.reshape(words, [layout.columns, rows]))
        end = layout.columns * rows
        columns = tf.reshape(words[:end], [layout.columns, rows])
        return _padded(columns, words, end, layout)

    return decode


def block_parser(
    schema: Schema, group: bool = False, time: bool = False
) -> Callable[[tf.Tensor], tuple]:
    """Creates the function that makes features and labels of decoded rows.

    Args:
        schema: columns of the rows.
        group: whether to return the group ids too. Defaults to False.
        time: whether to return the times too. Defaults to False.

    Returns:
        A function from the words of B rows, int32 [B, width], to what `zoo.read_tfrecords` yields.

    Example:
        >>> from zoo.data.schema import Categorical
        >>> parse = block_parser(Schema("s", [Categorical("user", 5)]))
        >>> features, label = parse(tf.constant([[3, 0x3F800000]]))
        >>> features["ids"].numpy().tolist(), label.numpy().tolist()
        ([[3]], [[1.0]])
    """
    layout = BlockLayout(schema)
    ids, numbers = schema.ids_width, len(schema.numeric)

    def parse(words: tf.Tensor) -> tuple:
        words = tf.ensure_shape(words, [None, layout.width])
        features = {}
        if ids:
            features["ids"] = words[:, :ids]
        if numbers:
            features["numeric"] = tf.bitcast(words[:, ids : ids + numbers], tf.float32)
        place = ids + numbers
        rest = [tf.bitcast(words[:, place : place + 1], tf.float32)]
        if schema.weight is not None:
            place += 1
            rest.append(tf.bitcast(words[:, place : place + 1], tf.float32))
        stored = {"group": schema.group is not None, "time": schema.keep_time}
        wanted = {"group": group, "time": time}
        for name in filter(stored.get, stored):
            if wanted[name]:
                halves = words[:, place + 1 : place + 3]
                features[name] = tf.bitcast(halves[:, None, :], tf.int64)
            place += 2
        return (features, *rest)

    return parse


def _padded(columns: tf.Tensor, words: tf.Tensor, end: tf.Tensor, layout: BlockLayout) -> tf.Tensor:
    """Returns the words of the rows, with the values of each field in place of their number."""
    lengths, parts, last = dict(layout.ragged), [], 0
    words = tf.concat([words, [-1]], axis=0)  # the padding
    padding = tf.size(words) - 1
    for place, length in lengths.items():
        if place > last:
            parts.append(tf.transpose(columns[last:place]))
        used = columns[place]
        stops = end + tf.cumsum(used)
        position = tf.range(length)
        index = (stops - used)[:, None] + position
        there = position < used[:, None]
        parts.append(tf.gather(words, tf.where(there, index, padding)))
        end, last = end + tf.reduce_sum(used), place + 1
    parts.append(tf.transpose(columns[last:]))
    return tf.concat(parts, axis=1)

"""Checks records of the layout `blocks` against a schema."""

from __future__ import annotations

import zlib
from functools import cache

import numpy as np
import tensorflow as tf

from zoo.data.batch_check import explain_bad_id, id_limits
from zoo.data.block_layout import HEAD, BlockHead, BlockLayout
from zoo.data.schema import Schema

_BATCH_BYTES = 1 << 24  # of the records that are read at once


def count_rows(path: str, schema: Schema, longest: int) -> int | None:
    """Counts the rows of a file whose records are all intact and match the schema.

    Args:
        path: TFRecord file without compression.
        schema: columns of the rows.
        longest: size of the largest record in bytes.

    Returns:
        The number of rows; None if a record is damaged or does not match.

    Example:
        >>> count_rows("train-00000-of-00001.tfrecord", schema, 72)  # doctest: +SKIP
        2
    """
    size = max(1, _BATCH_BYTES // max(1, longest))
    rows = 0
    try:
        for batch in tf.data.TFRecordDataset(path).batch(size).prefetch(1).as_numpy_iterator():
            for record in batch:
                count, trouble = explain_block(record, schema)
                if trouble is not None:
                    return None
                rows += count
    except tf.errors.DataLossError:
        return None
    return rows


def explain_block(record: bytes, schema: Schema) -> tuple[int, str | None]:
    """Counts the rows of a record and describes why it does not match the schema.

    Args:
        record: content of a record, without its frame.
        schema: columns of the rows.

    Returns:
        The number of rows, or 1 if the size of the record does not confirm it; and a string with
        the first problem, or None.

    Example:
        >>> from zoo.data.schema import Categorical
        >>> explain_block(b"?", Schema("s", [Categorical("user", 5)]))
        (1, 'not a block of rows (1 byte)')
    """
    layout, head = _layout(schema), BlockHead.of(record)
    if head is None:
        size = f"{len(record):,} byte{'s' * (len(record) != 1)}"
        return 1, f"not a block of rows ({size})"
    if not 1 <= head.rows <= layout.most_rows:
        return 1, f"a block of {head.rows:,} rows, allowed are 1 to {layout.most_rows:,}"
    fixed = layout.columns * head.rows
    most = fixed + sum(length for _, length in layout.ragged) * head.rows
    if not fixed <= head.words <= most:
        expected = f"{fixed:,}" + (f" to {most:,}" if most > fixed else "")
        return 1, f"a block of {head.rows:,} rows with {head.words:,} words, expected {expected}"
    body = _body(record, head)
    if body is None:
        return 1, f"a block whose content does not have the {4 * head.words:,} bytes of its header"
    return head.rows, _trouble(np.frombuffer(body, "<i4"), head.rows, layout)


def _trouble(words: np.ndarray, rows: int, layout: BlockLayout) -> str | None:
    schema, fixed = layout.schema, layout.columns * rows
    columns = words[:fixed].reshape(layout.columns, rows)
    fields = len(schema.categorical)
    ids, numbers = columns[:fields], columns[fields:].view("<f4")
    low, high = _limits(schema)
    bad = (ids < low[:, None]) | (ids > high[:, None])
    if bad.any():
        place, row = np.argwhere(bad)[0]
        field = schema.categorical[place]
        if field.length > 1:
            return f"field {field.name!r} has {ids[place, row]} values, allowed are {field.length}"
        return _bad_id(schema, int(place), int(ids[place, row]))
    used = ids[[place for place, _ in layout.ragged]].sum(axis=1, dtype=np.int64)
    if used.sum() != len(words) - fixed:
        return f"a block with {len(words) - fixed:,} values of fields, expected {used.sum():,}"
    start = fixed
    for (place, _), count in zip(layout.ragged, used.tolist(), strict=True):
        values = words[start : start + count]
        start += count
        wrong = (values < -1) | (values >= schema.categorical[place].size)
        if wrong.any():
            return _bad_id(schema, place, int(values[wrong.argmax()]))
    return _bad_number(numbers, schema)


def _body(record: bytes, head: BlockHead) -> bytes | memoryview | None:
    """Returns the content, decompressed; None if its size differs from the header."""
    size, body = 4 * head.words, memoryview(record)[HEAD.size :]
    if not head.compressed:
        return body if len(body) == size else None
    unpacker = zlib.decompressobj(wbits=31)
    try:
        content = unpacker.decompress(body, size + 1)  # a bounded number of bytes
    except zlib.error:
        return None
    return content if unpacker.eof and not unpacker.unused_data and len(content) == size else None


def _bad_number(numbers: np.ndarray, schema: Schema) -> str | None:
    many = len(schema.numeric)
    numeric, label = numbers[:many], numbers[many]
    infinite = ~np.isfinite(numeric)
    if infinite.any():
        place, row = np.argwhere(infinite)[0]
        name = schema.numeric[place].name
        return f"column {name!r} is {numeric[place, row]}, allowed are finite numbers"
    good = (label >= 0) & (label <= 1)  # false for NaN
    if not good.all():
        return f"the label is {label[good.argmin()]}, allowed are 0 to 1"
    if schema.weight is not None:
        weight = numbers[many + 1]
        good = np.isfinite(weight) & (weight >= 0)
        if not good.all():
            return f"the weight is {weight[good.argmin()]}, allowed are finite numbers of 0 or more"
    return None


def _bad_id(schema: Schema, place: int, found: int) -> str:
    row = np.zeros(schema.ids_width, np.int64)
    row[sum(field.length for field in schema.categorical[:place])] = found
    trouble = explain_bad_id(row, schema)
    assert trouble is not None, found
    return trouble


@cache
def _layout(schema: Schema) -> BlockLayout:
    return BlockLayout(schema)


@cache
def _limits(schema: Schema) -> tuple[np.ndarray, np.ndarray]:
    """The smallest and largest word of each field: an id, or a number of values."""
    _, high = id_limits(schema)
    starts = np.cumsum([0, *(field.length for field in schema.categorical)])[:-1]
    lengths = [field.length for field in schema.categorical]
    longer = np.array(lengths, np.int64) > 1
    highest = np.where(longer, lengths, high[starts] if len(starts) else 0)
    return np.zeros(len(lengths), np.int64), highest

"""Serializes rows of numpy arrays as framed `tf.train.Example` records, a block at a time.

The wire format is written directly because building one protobuf object per row is many times
slower. A block of rows is a matrix of bytes, one row per record, in which every value has room for
its longest encoding. A boolean matrix marks the bytes in use, and one indexing operation removes
the others. Only the checksums need a call per record. Tests compare the result with what protobuf
and TensorFlow read.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import NamedTuple

import google_crc32c
import numpy as np

from zoo.data.batch_check import Rows
from zoo.data.record_frame import FOOTER, HEADER, header, masked
from zoo.data.record_layout import Feature, record_layout
from zoo.data.schema import Schema

_LONGEST = 10  # bytes of protobuf's varint of -1, the padding, and of any int64


class RecordBytes:
    """Encodes rows as the bytes of an uncompressed TFRecord file.

    Args:
        schema: columns of the rows.
        layout: "packed" or "columns", see `record_layout`. Defaults to "packed".

    Raises:
        DataError: if the layout is unknown.
        SchemaError: if a column has a name that the layout reserves for the group, or a field has
            no size.

    Example:
        >>> from zoo.data.batch_check import checked_batch
        >>> schema = Schema("tiny", [Categorical("user", 10)])
        >>> rows = checked_batch({"ids": [[3]], "label": [1]}, schema, first_row=0)
        >>> len(RecordBytes(schema).of(rows))
        51
    """

    def __init__(self, schema: Schema, layout: str = "packed"):
        widths = {"group": [_LONGEST], "time": [_LONGEST], "ids": []}
        sizes = schema.field_sizes if schema.categorical else {}
        for field in schema.categorical:
            padded = field.length > 1 and layout == "packed"
            room = _LONGEST if padded else len(_varint(sizes[field.name] - 1))
            widths["ids"] += [room] * field.length
        self._entries = [_Entry(f, widths.get(f.part)) for f in record_layout(schema, layout)]
        most = sum(entry.room for entry in self._entries)
        self._heads = _table(b"\x0a" + _varint(size) for size in range(most + 1))
        most += self._heads.width
        self._headers = _table(header(size) for size in range(most + 1)).content
        self._width = HEADER + self._heads.width + sum(e.room for e in self._entries) + FOOTER

    def of(self, rows: Rows) -> bytes:
        """Serializes rows.

        Args:
            rows: a few thousand rows are best, so that everything stays in the processor's cache.

        Returns:
            The framed records, concatenated.
        """
        count = len(rows.label)
        block = np.empty((count, self._width), np.uint8)
        used = np.ones((count, self._width), bool)
        position = HEADER + self._heads.width
        lengths = np.zeros(count, np.int64)
        for entry in self._entries:
            part = np.s_[:, position : position + entry.room]
            lengths += entry.fill(getattr(rows, entry.part), block[part], used[part])
            position += entry.room
        part = np.s_[:, HEADER : HEADER + self._heads.width]
        lengths += self._heads.fill(lengths, block[part], used[part])
        block[:, :HEADER] = self._headers[lengths]
        return _with_checksums(block[used], lengths)


def _with_checksums(records: np.ndarray, lengths: np.ndarray) -> bytes:
    """Fills in the last bytes of each frame."""
    stops = np.cumsum(lengths + (HEADER + FOOTER)) - FOOTER
    content, crc32c = records.tobytes(), google_crc32c.value
    places = zip((stops - lengths).tolist(), stops.tolist(), strict=True)
    crcs = masked(np.array([crc32c(content[start:stop]) for start, stop in places], np.int64))
    footers = crcs.astype("<u4").view(np.uint8).reshape(-1, FOOTER)
    records[stops[:, None] + np.arange(FOOTER)] = footers
    return records.tobytes()


class _Entry:
    """One entry of the Example's map of features, and its position in a block."""

    def __init__(self, feature: Feature, widths: list[int] | None):
        self.part = feature.part
        self._columns = slice(feature.start, feature.stop)
        self._ragged = feature.ragged
        self._widths = None if widths is None else widths[self._columns]
        payload = 4 * feature.width if self._widths is None else sum(self._widths)
        key, kind = feature.key.encode(), 3 if widths else 2
        sizes = range(payload + 1) if widths else range(payload, payload + 1)
        self._heads = _table(_entry_head(key, kind, size) for size in sizes)
        self.room = self._heads.width + payload  # bytes, at most

    def fill(self, values: np.ndarray, block: np.ndarray, used: np.ndarray) -> np.ndarray:
        """Writes the entry of each row; returns its lengths."""
        head, values = self._heads.width, values.reshape(len(values), -1)[:, self._columns]
        if self._widths is None:
            values = np.ascontiguousarray(values, "<f4").view(np.uint8)
            block[:, head:] = values
            index, payload = None, values.shape[1]
        else:
            column, place = 0, head
            for width, run in itertools.groupby(self._widths):
                many = len(list(run))
                part = np.s_[:, place : place + many * width]
                some = values[:, column : column + many]
                _fill_varints(some, width, block[part], used[part], self._ragged)
                column, place = column + many, place + many * width
            index = payload = np.count_nonzero(used[:, head:], axis=1)
        return payload + self._heads.fill(index, block[:, :head], used[:, :head])


def _fill_varints(
    values: np.ndarray, width: int, block: np.ndarray, used: np.ndarray, ragged: bool
) -> None:
    """Writes [n, k] integers as varints of up to `width` bytes; skips negative ones if ragged."""
    if ragged:
        used[:, ::width] = values >= 0
        values = np.maximum(values, 0)
    # Protobuf writes all 64 bits of a negative number.
    values = values.astype(np.int64).view(np.uint64) if width > 4 else values.astype(np.uint32)
    for place in range(width):
        digit = values.astype(np.uint8) & 0x7F
        if place + 1 < width:
            values = values >> 7
            more = values > 0
            used[:, place + 1 :: width] = more
            digit |= more.view(np.uint8) << 7
        block[:, place::width] = digit


class _Table(NamedTuple):
    """A table of byte strings of different lengths."""

    content: np.ndarray  # [strings, width]
    used: np.ndarray
    lengths: np.ndarray
    ragged: bool  # whether the lengths differ

    @property
    def width(self) -> int:
        return self.content.shape[1]

    def fill(self, index: np.ndarray | None, block: np.ndarray, used: np.ndarray) -> np.ndarray:
        """Writes the string of each index into a row of the block; returns the lengths."""
        if len(self.lengths) == 1:
            block[:] = self.content
            return self.lengths
        assert index is not None  # strings of one length need none
        # `take` is several times faster than indexing.
        block[:] = self.content.take(index, axis=0)
        if self.ragged:
            used[:] = self.used.take(index, axis=0)
        return self.lengths.take(index)


def _table(found: Iterable[bytes]) -> _Table:
    strings = list(found)
    lengths = np.array([len(string) for string in strings])
    used = np.arange(lengths.max()) < lengths[:, None]
    content = np.zeros(used.shape, np.uint8)
    content[used] = np.frombuffer(b"".join(strings), np.uint8)
    return _Table(content, used, lengths, ragged=not used.all())


def _entry_head(key: bytes, kind: int, payload: int) -> bytes:
    """Heads of a map entry {key, Feature{list of `kind`{packed payload}}}; kind 2 float, 3 int64.

    Every level is field 1 of its parent (tag 0x0a) except a map's value, field 2 (tag 0x12).
    """
    packed = b"\x0a" + _varint(payload)
    values = bytes([kind << 3 | 2]) + _varint(len(packed) + payload) + packed
    feature = b"\x12" + _varint(len(values) + payload) + values
    named = b"\x0a" + _varint(len(key)) + key + feature
    return b"\x0a" + _varint(len(named) + payload) + named


def _varint(value: int) -> bytes:
    digits = []
    while value > 0x7F:
        digits.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*digits, value])

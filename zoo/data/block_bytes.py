"""Serializes rows as records of the layout `blocks`."""

from __future__ import annotations

import zlib

import numpy as np

from zoo.data.batch_check import Rows
from zoo.data.block_layout import BlockHead, BlockLayout
from zoo.data.record_frame import header, masked_crc32c
from zoo.data.schema import Schema

_GZIP_LEVEL = 6  # zlib's default


class BlockBytes:
    """Encodes rows as one framed record of a TFRecord file.

    Args:
        schema: columns of the rows.
        compressed: whether the content of each record is compressed with gzip. Defaults to False.

    Raises:
        SchemaError: if a field has no size.

    Example:
        >>> from zoo.data.batch_check import checked_batch
        >>> from zoo.data.schema import Categorical
        >>> schema = Schema("tiny", [Categorical("user", 10)])
        >>> rows = checked_batch({"ids": [[3]], "label": [1]}, schema, first_row=0)
        >>> len(BlockBytes(schema).of(rows))
        88
    """

    def __init__(self, schema: Schema, compressed: bool = False):
        _ = schema.field_sizes  # raises if a field has none
        self._schema, self._compressed = schema, compressed
        self._ragged = dict(BlockLayout(schema).ragged)

    def of(self, rows: Rows) -> bytes:
        """Serializes the rows of a block.

        Args:
            rows: at most `BlockLayout.most_rows`.

        Returns:
            The framed record.
        """
        columns, values, start = [], [], 0
        for place, field in enumerate(self._schema.categorical):
            ids = rows.ids[:, start : start + field.length]
            start += field.length
            if place in self._ragged:
                used = _used(ids)
                columns.append(used)
                values.append(ids[np.arange(field.length) < used[:, None]])
            else:
                columns.append(ids[:, 0])
        parts = [np.asarray(column, "<i4").tobytes() for column in columns]
        parts += [np.ascontiguousarray(rows.numeric.T, "<f4").tobytes()]
        parts += [np.asarray(rows.label, "<f4").tobytes()]
        if rows.weight is not None:
            parts.append(np.asarray(rows.weight, "<f4").tobytes())
        for whole in (rows.group, rows.time):
            if whole is not None:
                halves = np.ascontiguousarray(whole, "<i8").view("<i4").reshape(-1, 2)
                parts.append(np.ascontiguousarray(halves.T).tobytes())
        parts += [np.asarray(value, "<i4").tobytes() for value in values]
        body = b"".join(parts)
        head = BlockHead(len(rows.label), len(body) // 4, self._compressed)
        if self._compressed:
            # No name and time in the header, so that the same content gives the same bytes.
            packer = zlib.compressobj(_GZIP_LEVEL, wbits=31)
            body = packer.compress(body) + packer.flush()
        record = head.to_bytes() + body
        return header(len(record)) + record + masked_crc32c(record).to_bytes(4, "little")


def _used(ids: np.ndarray) -> np.ndarray:
    """Returns how many values precede the padding at the end of each row."""
    present = ids[:, ::-1] >= 0
    return np.where(present.any(axis=1), ids.shape[1] - present.argmax(axis=1), 0)

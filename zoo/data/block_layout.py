"""The layout `blocks`: a record holds a block of rows, column by column, in words of 4 bytes.

A record is a header of 64 bytes (`MAGIC`, a version and flags, the number of rows n, the number of
words of the body, and zeros) and the body, which is compressed with gzip if a flag says so. The
body contains little-endian words of 4 bytes:

1. per categorical field, in the order of the schema, n words: the id of each row, or, for a field
   longer than 1, the number of its values;
2. per numeric column n float32, then n labels, and, if the schema has them, n weights and the low
   and high words of n groups and of n times;
3. per field longer than 1 the values of all rows, one after another.

Padding at the end of a field is not stored; the reader adds it.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import cached_property

from zoo.data.files import DataError
from zoo.data.schema import Schema

MAGIC = 0x42484654  # the bytes "TFHB"; a tf.train.Example begins with another byte
VERSION = 1
COMPRESSED = 1 << 16  # flag in the second word of the header
HEAD = struct.Struct("<IIII48x")  # 64 bytes: TensorFlow copies what is not aligned so
_ROWS, _WORDS = 1024, 1 << 18  # rows of a block, or fewer if they take more than this many words
_MOST_WORDS = 1 << 22  # of a block that is read, padding included; 16 MiB
_GZIP_SPARE = 1 << 12  # bytes that gzip adds to incompressible content, at most, and 1/1000


@dataclass(frozen=True)
class BlockLayout:
    """Sizes and places of the columns of a block.

    Args:
        schema: columns of the rows.

    Example:
        >>> from zoo.data.schema import Categorical
        >>> layout = BlockLayout(Schema("s", [Categorical("user", 5), Categorical("tags", 9, 3)]))
        >>> layout.columns, layout.width
        (3, 5)
    """

    schema: Schema

    @cached_property
    def ragged(self) -> tuple[tuple[int, int], ...]:
        """Place among the fields, and length, of each field longer than 1."""
        fields = enumerate(self.schema.categorical)
        return tuple((place, field.length) for place, field in fields if field.length > 1)

    @cached_property
    def others(self) -> int:
        """Words of a row that are not ids: numbers, label, weight, group and time."""
        schema = self.schema
        roles = 1 + (schema.weight is not None)
        roles += 2 * (schema.group is not None) + 2 * schema.keep_time
        return len(schema.numeric) + roles

    @property
    def columns(self) -> int:
        """Columns of fixed width in a block."""
        return len(self.schema.categorical) + self.others

    @property
    def width(self) -> int:
        """Words of a row after reading, padding included."""
        return self.schema.ids_width + self.others

    @property
    def most_rows(self) -> int:
        """Maximum number of rows of a block."""
        return max(1, _MOST_WORDS // self.width)

    @property
    def default_rows(self) -> int:
        """Rows of a block unless the caller asks for another number."""
        return max(1, min(_ROWS, _WORDS // self.width))

    @property
    def most_bytes(self) -> int:
        """Maximum size of a record."""
        size = 4 * self.most_rows * (self.width + len(self.ragged))
        return HEAD.size + size + size // 1000 + _GZIP_SPARE

    def checked_rows(self, rows: int | None) -> int:
        """Returns the number of rows of a block.

        Args:
            rows: what the caller asks for; None means `default_rows`.

        Raises:
            DataError: if it is out of range.
        """
        if rows is None:
            return self.default_rows
        if isinstance(rows, bool) or not isinstance(rows, int) or not 1 <= rows <= self.most_rows:
            raise DataError(
                f"block_rows={rows!r}; use an integer from 1 to {self.most_rows:,}, the most for "
                f"{self.width:,} values per row"
            )
        return rows


@dataclass(frozen=True)
class BlockHead:
    """The header of a block.

    Args:
        rows: number of rows.
        words: words of the body, after decompression.
        compressed: whether the body is compressed.

    Example:
        >>> BlockHead.of(BlockHead(7, 14, False).to_bytes()).rows
        7
    """

    rows: int
    words: int
    compressed: bool

    def to_bytes(self) -> bytes:
        """Returns the header as bytes."""
        flags = VERSION | (COMPRESSED if self.compressed else 0)
        return HEAD.pack(MAGIC, flags, self.rows, self.words)

    @classmethod
    def of(cls, record: bytes) -> BlockHead | None:
        """Reads the header of a record; returns None if it is not a block of this version."""
        if len(record) < HEAD.size:
            return None
        magic, flags, rows, words = HEAD.unpack_from(record)
        if magic != MAGIC or flags & ~COMPRESSED != VERSION:
            return None
        return cls(rows, words, bool(flags & COMPRESSED))

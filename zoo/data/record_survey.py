"""Reads the checksum of a record file and the lengths of its records.

TensorFlow's reader allocates as many bytes as the length of a record says before it reads them; for
an uncompressed file, a wrong length can crash the process. So all lengths are checked to stay
within the file before TensorFlow reads it. This costs a tenth of checking the records.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from dataclasses import dataclass
from typing import Any

from tf_helen.stores import gfile
from zoo.data.block_layout import BlockLayout
from zoo.data.record_frame import FOOTER, HEADER, header
from zoo.data.record_layout import BLOCKS, record_layout
from zoo.data.schema import Schema

_CHUNK = 1 << 20  # bytes per read
_SPARE = 1 << 18  # bytes that any record may have, for features that other programs add
_SMALL = 1 << 30  # bytes of content that are always allowed
_TIMES = 8  # times the largest size of a record's values
_OVERHEAD = 48  # bytes of an entry of an Example in addition to name and values
_LENGTH = struct.Struct("<Q")


@dataclass(frozen=True)
class Survey:
    """Size, checksum and record lengths of a record file.

    Args:
        size: size of the file in bytes.
        sha256: its checksum, in hexadecimal.
        longest: the largest record length in bytes; 0 for an empty file, None if not computed.
        whole: whether the lengths lead exactly to the end of the file; None if not computed.

    Example:
        >>> Survey(0, "e3b0...", 0, True).fits(100)
        True
    """

    size: int
    sha256: str
    longest: int | None = None
    whole: bool | None = None

    def fits(self, most: int) -> bool:
        """Returns whether TensorFlow may read the file.

        Args:
            most: maximum size of a record in bytes.
        """
        return bool(self.whole) and self.longest is not None and self.longest <= most


def survey(path: str, compression: str, lengths: bool = True) -> Survey:
    """Reads a file once, in chunks.

    Args:
        path: TFRecord file, local or remote.
        compression: "" or "GZIP".
        lengths: whether to compute the lengths; otherwise a compressed file is not decompressed.
            Defaults to True.

    Returns:
        A `Survey`; for a damaged compressed file, `whole` is false.

    Raises:
        tf.errors.OpError: if the file cannot be read.

    Example:
        >>> import tempfile
        >>> path = tempfile.mkdtemp() + "/a"
        >>> with tf.io.TFRecordWriter(path) as writer:
        ...     writer.write(b"one")
        >>> found = survey(path, "")
        >>> found.size, found.longest, found.whole
        (19, 3, True)
    """
    digest, size = hashlib.sha256(), 0
    walker = _Unpacked() if compression else _Lengths()
    with gfile.GFile(path, "rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            size += len(chunk)
            if lengths:
                walker.add(chunk)
    looked = (walker.longest, walker.whole) if lengths else ()
    return Survey(size, digest.hexdigest(), *looked)


def largest_record(schema: Schema, layout: str) -> int:
    """Returns the maximum size of a record in bytes.

    Args:
        schema: columns of the records.
        layout: "blocks", "packed" or "columns".

    Returns:
        Eight times the largest size of the values, and at least 256 KiB, because other programs may
        add features that are not read here. For "blocks": the size of the largest block.

    Example:
        >>> from zoo.data.schema import Categorical
        >>> largest_record(Schema("s", [Categorical("user", 5)]), "packed")
        262144
    """
    if layout == BLOCKS:
        return BlockLayout(schema).most_bytes
    return max(_SPARE, _TIMES * _needed(schema, layout))


def largest_content(schema: Schema, layout: str, rows: int | None) -> int | None:
    """Returns the maximum size of a decompressed file in bytes.

    Args:
        schema: columns of the records.
        layout: "blocks", "packed" or "columns".
        rows: number of rows in the manifest, or None.

    Returns:
        Eight times the largest size of the rows, and at least 1 GiB; None if `rows` is None, and
        for "blocks", whose files are not compressed as a whole.

    Example:
        >>> from zoo.data.schema import Categorical
        >>> largest_content(Schema("s", [Categorical("user", 5)]), "packed", 3)
        1073741824
    """
    if rows is None or layout == BLOCKS:
        return None
    return max(_SMALL, _TIMES * rows * _needed(schema, layout))


def _needed(schema: Schema, layout: str) -> int:
    """Returns the maximum size of a framed record in bytes."""
    return (
        HEADER
        + FOOTER
        + sum(
            len(feature.key)
            + _OVERHEAD
            + feature.width * (10 if feature.kind == "int64_list" else 4)
            for feature in record_layout(schema, layout)
        )
    )


def followed_length(path: str, most: int) -> int | None:
    """Finds a record length that would make TensorFlow's reader fail.

    Args:
        path: TFRecord file, local or remote.
        most: maximum size of a record in bytes.

    Returns:
        The first length above `most` with a valid checksum (the reader stops at an invalid one), or
        None.

    Example:
        >>> import tempfile
        >>> path = tempfile.mkdtemp() + "/a"
        >>> with tf.io.TFRecordWriter(path) as writer:
        ...     writer.write(b"one")
        >>> followed_length(path, 3) is None, followed_length(path, 2)
        (True, 3)
    """
    longest = survey(path, "").longest
    if longest is not None and longest <= most:
        return None
    place = 0
    with gfile.GFile(path, "rb") as file:
        end = file.size()
        while place + HEADER <= end:
            file.seek(place)
            found = file.read(HEADER)
            (length,) = _LENGTH.unpack_from(found)
            if found != header(length):
                return None
            if length > most:
                return length
            place += length + (HEADER + FOOTER)
    return None


class _Lengths:
    """Follows the lengths from record to record without checking the data."""

    def __init__(self) -> None:
        self.longest, self._skip, self._rest = 0, 0, b""

    @property
    def whole(self) -> bool:
        return not self._skip and not self._rest

    def add(self, chunk: bytes) -> None:
        if self._skip >= len(chunk):
            self._skip -= len(chunk)
            return
        chunk, at = self._rest + chunk, self._skip
        end, longest, unpack = len(chunk) - _LENGTH.size, self.longest, _LENGTH.unpack_from
        while at <= end:
            (length,) = unpack(chunk, at)
            if length > longest:
                longest = length
            at += length + (HEADER + FOOTER)
        self.longest, self._skip, self._rest = longest, max(0, at - len(chunk)), chunk[at:]


class _Unpacked(_Lengths):
    """Follows the lengths in the content of concatenated gzip streams."""

    def __init__(self) -> None:
        super().__init__()
        self._decoder, self._broken = _decoder(), False

    @property
    def whole(self) -> bool:
        return not self._broken and self._decoder.eof and super().whole

    def add(self, chunk: bytes) -> None:
        while not self._broken:
            if self._decoder.eof:
                self._decoder = _decoder()
            try:
                content = self._decoder.decompress(chunk, _CHUNK)  # a bounded number of bytes
            except zlib.error:
                self._broken = True
                return
            super().add(content)
            chunk = (
                self._decoder.unused_data if self._decoder.eof else self._decoder.unconsumed_tail
            )
            if not chunk and (self._decoder.eof or len(content) < _CHUNK):
                return


def _decoder() -> Any:
    return zlib.decompressobj(wbits=31)

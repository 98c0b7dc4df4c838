"""A first look at a record file: its checksum, and the lengths that it speaks of.

TensorFlow's reader makes room for as many bytes as a record's length says before it reads them: of
an uncompressed file it takes the process down if they are too many. So no file comes to it before
all lengths are known to stay within the file, which costs a tenth of checking the records.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from zoo.data.record_frame import FOOTER, HEADER, header
from zoo.data.record_layout import record_layout
from zoo.data.schema import Schema

_CHUNK = 1 << 20  # bytes per read
_SPARE = 1 << 18  # bytes that any record may have: others' programs add features of their own
_SMALL = 1 << 30  # bytes of content that any disk holds
_TIMES = 8  # as many bytes as the values of a record need at most
_OVERHEAD = 48  # bytes of an entry of an Example beside its name and its values
_LENGTH = struct.Struct("<Q")


@dataclass(frozen=True)
class Survey:
    """What a record file looks like from afar.

    Args:
        size: Bytes of the file.
        sha256: Its checksum, in hexadecimal.
        longest: The largest length of a record that it speaks of, in bytes; 0 of an empty file,
            None if nobody looked.
        whole: Whether the lengths lead exactly to its end; None if nobody looked.

    Example:
        >>> Survey(0, "e3b0...", 0, True).fits(100)
        True
    """

    size: int
    sha256: str
    longest: int | None = None
    whole: bool | None = None

    def fits(self, most: int) -> bool:
        """Tells whether TensorFlow may read the file.

        Args:
            most: Bytes that a record may have.
        """
        return bool(self.whole) and self.longest <= most


def survey(path: str, compression: str, lengths: bool = True) -> Survey:
    """Reads a file once, front to back, in pieces.

    Args:
        path: TFRecord file, local or remote.
        compression: "" or "GZIP".
        lengths: Whether to look at the lengths; without, a compressed file is not decompressed.

    Returns:
        What it looks like. Of a compressed file that is damaged, `whole` is false.

    Raises:
        tf.errors.OpError: If the file cannot be read.

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
    with tf.io.gfile.GFile(path, "rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            size += len(chunk)
            if lengths:
                walker.add(chunk)
    looked = (walker.longest, walker.whole) if lengths else ()
    return Survey(size, digest.hexdigest(), *looked)


def largest_record(schema: Schema, layout: str) -> int:
    """Says how many bytes a record may have.

    Args:
        schema: Columns of the records.
        layout: "packed" or "columns".

    Returns:
        Eight times what the values need at most, and at least 256 KiB, since other programs may
        add features that this one does not read.

    Example:
        >>> from zoo.data.schema import Categorical
        >>> largest_record(Schema("s", [Categorical("user", 5)]), "packed")
        262144
    """
    return max(_SPARE, _TIMES * _needed(schema, layout))


def largest_content(schema: Schema, layout: str, rows: int | None) -> int | None:
    """Says how many bytes the content of a compressed file may have.

    Args:
        schema: Columns of the records.
        layout: "packed" or "columns".
        rows: Rows that the manifest promises, or None.

    Returns:
        Eight times what so many rows need at most, and at least 1 GiB; None without a promise.

    Example:
        >>> from zoo.data.schema import Categorical
        >>> largest_content(Schema("s", [Categorical("user", 5)]), "packed", 3)
        1073741824
    """
    return None if rows is None else max(_SMALL, _TIMES * rows * _needed(schema, layout))


def _needed(schema: Schema, layout: str) -> int:
    """Bytes of a record with its frame, at most."""
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
    """Finds the length over which TensorFlow's reader of an uncompressed file would stumble.

    Args:
        path: TFRecord file, local or remote.
        most: Bytes that a record may have.

    Returns:
        The first length above `most` whose checksum is right, since at a wrong one the reader
        stops; None if there is no such length.

    Example:
        >>> import tempfile
        >>> path = tempfile.mkdtemp() + "/a"
        >>> with tf.io.TFRecordWriter(path) as writer:
        ...     writer.write(b"one")
        >>> followed_length(path, 3) is None, followed_length(path, 2)
        (True, 3)
    """
    if survey(path, "").longest <= most:
        return None
    place = 0
    with tf.io.gfile.GFile(path, "rb") as file:
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
    """Follows the lengths from record to record; it trusts each of them, as nothing is read."""

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
    """The same of the content of gzip streams, one after another."""

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
                content = self._decoder.decompress(chunk, _CHUNK)  # never more than that at once
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

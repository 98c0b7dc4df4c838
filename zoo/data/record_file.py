"""Finds the good records of a damaged TFRecord file and copies them.

A record is `length` (8 bytes, little endian), a masked CRC-32C of those 8 bytes, the data, and a
masked CRC-32C of the data. `tf.data` stops at the first damage and loses the rest of the file; this
module continues at the next offset where a whole record matches its checksums.
"""

import contextlib
import mmap
import os
import posixpath
import re
import shutil
import struct
import tempfile
import zlib
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

import google_crc32c

from tf_helen.stores import gfile
from zoo.data.files import DataError, complete_or_absent
from zoo.data.ledger import Damage
from zoo.data.record_frame import FOOTER, HEADER, masked, masked_crc32c

_PIECE = 1 << 20  # bytes per checksum call
_CHUNK = 1 << 16  # bytes per read when a file is decompressed
_LEFT_FREE = 1 << 26  # bytes of the disk that stay free
_BATCH, _BATCH_BYTES = 1024, 1 << 24  # records per call of `screen`, and their bytes
_LENGTH = struct.Struct("<QI")
_NON_ZERO = re.compile(rb"[^\0]")
_CRC = struct.Struct("<I")


def walk(content: bytes | mmap.mmap, most: int | None = None) -> Iterator[tuple[int, int] | Damage]:
    """Iterates over the frames of an uncompressed TFRecord file and skips damage.

    Args:
        content: the bytes of the whole file.
        most: maximum size of a record in bytes; a larger intact record is a misfit. Defaults to
            None: no limit.

    Yields:
        `(offset, length)` of the frame (header and checksums included) of each good record, and
        a `Damage` for each damaged place, in file order.

    Example:
        >>> list(walk(b""))
        []
    """
    position, end = 0, len(content)
    while position < end:
        length = _frame_length(content, position, end)
        if length is not None:
            after = position + length
            if _data_is_good(content, position, length):
                size = length - HEADER - FOOTER
                if most is not None and size > most:
                    reason = f"a record of {size:,} bytes, allowed are {most:,}"
                    yield Damage(position, reason, misfit=True)
                else:
                    yield position, length
                position = after
                continue
            if after == end or _frame_length(content, after, end) is not None:
                yield Damage(position, "data checksum")
                position = after
                continue
        # The length is wrong, or bytes were lost or added within the data.
        following = _next_frame(content, position + 1, end)
        cut_short = end - position < HEADER or _header_is_good(content, position)
        if following == end and length is None and cut_short:
            reason = "truncated record"
        else:
            reason = "data checksum" if cut_short else "length checksum"
        yield Damage(position, reason, exact=False)
        position = following


def copy_good_records(
    path: str,
    compression: str,
    target: str,
    screen: Callable[[list[int], list[bytes]], list[Damage]] = lambda offsets, records: [],
    most: int | None = None,
    most_content: int | None = None,
) -> tuple[int, list[Damage]]:
    """Copies the good records of a file, frame by frame, to an uncompressed TFRecord file.

    Args:
        path: TFRecord file, local or remote.
        compression: "" or "GZIP".
        target: local file to write, completely or not at all.
        screen: callable that takes the offsets and contents of several intact records and returns a
            `Damage` for each that is not to be copied.
        most: maximum size of a record in bytes, see `walk`.
        most_content: maximum size of the decompressed file in bytes; None: no limit.

    Returns:
        The number of good records and the damaged places.

    Raises:
        OSError: if the disk is too full for the copy.
        DataError: if the decompressed file is larger than `most_content` or the free disk space.

    Example:
        >>> import tempfile
        >>> folder = tempfile.mkdtemp()
        >>> with tf.io.TFRecordWriter(folder + "/a") as writer:
        ...     writer.write(b"one")
        >>> copy_good_records(folder + "/a", "", folder + "/b")
        (1, [])
    """
    with tempfile.TemporaryDirectory() as scratch:
        plain, damages = _plain_local_file(path, compression, scratch, most_content)
        good = 0
        with complete_or_absent(target) as temporary, open(temporary, "wb") as output:
            for batch in _batches(plain, damages, most):
                misfits = screen(
                    [offset for offset, _ in batch],
                    [frame[HEADER:-FOOTER] for _, frame in batch],
                )
                damages += misfits
                left_out = {damage.offset for damage in misfits}
                kept = [frame for offset, frame in batch if offset not in left_out]
                good += len(kept)
                output.write(b"".join(kept))
    return good, sorted(damages, key=lambda damage: damage.offset)


def _batches(
    plain: str, damages: list[Damage], most: int | None
) -> Iterator[list[tuple[int, bytes]]]:
    """Yields offset and bytes of the intact frames of a file; appends damage to `damages`."""
    if not os.path.getsize(plain):  # an empty file cannot be mapped
        return
    batch, size = [], 0
    with (
        open(plain, "rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content,
    ):
        for found in walk(content, most):
            if isinstance(found, Damage):
                damages.append(found)
                continue
            batch.append((found[0], content[found[0] : found[0] + found[1]]))
            size += found[1]
            if len(batch) == _BATCH or size > _BATCH_BYTES:
                yield batch
                batch, size = [], 0
    yield batch


def _header_is_good(content: bytes | mmap.mmap, position: int) -> bool:
    header = content[position : position + HEADER]
    return len(header) == HEADER and masked_crc32c(header[:8]) == _LENGTH.unpack(header)[1]


def _data_is_good(content: bytes | mmap.mmap, position: int, frame: int) -> bool:
    after = position + frame
    (expected,) = _CRC.unpack(content[after - FOOTER : after])
    crc, start = 0, position + HEADER
    for piece in range(start, after - FOOTER, _PIECE):  # a record may be as long as the file
        crc = google_crc32c.extend(crc, content[piece : min(piece + _PIECE, after - FOOTER)])
    return masked(crc) == expected


def _frame_length(content: bytes | mmap.mmap, position: int, end: int) -> int | None:
    """Returns the length of the frame at `position`, or None if it is incomplete or damaged."""
    header = content[position : position + HEADER]
    if len(header) < HEADER:
        return None
    length, crc = _LENGTH.unpack(header)
    frame = length + HEADER + FOOTER
    # Comparing the length first avoids nearly every checksum while resynchronizing.
    if position + frame > end or masked_crc32c(header[:8]) != crc:
        return None
    return frame


def _next_frame(content: bytes | mmap.mmap, position: int, end: int) -> int:
    """Returns the first offset from `position` on with a good record, or `end`.

    A valid header is not enough: the data of an 8-byte record and their checksum look like one.
    """
    # Records are smaller than 4 GiB, so bytes 4 to 7 of a length are zero, which is fast to find.
    zeros = content.find(b"\0\0\0\0", position + 4)
    while zeros != -1:
        length = _frame_length(content, zeros - 4, end)
        if length is not None and _data_is_good(content, zeros - 4, length):
            return zeros - 4
        following = zeros + 1
        if content[zeros - 4 : zeros + 8] == b"\0" * HEADER:
            # A hole filled with zeros, as file systems leave. No header is all zeros, so
            # continue at the first other byte.
            after = _NON_ZERO.search(content, zeros)
            following = max(following, after.start() - 7) if after else end
        zeros = content.find(b"\0\0\0\0", following)
    return end


def _plain_local_file(
    path: str, compression: str, scratch: str, most: int | None
) -> tuple[str, list[Damage]]:
    """Copies a file to the local disk, decompressed as far as possible."""
    if compression == "" and os.path.exists(path):
        return path, []
    local = posixpath.join(scratch, "content")
    with gfile.GFile(path, "rb") as source, open(local, "wb") as output:
        if compression == "":
            shutil.copyfileobj(source, output, _CHUNK)
            return local, []
        decoder = zlib.decompressobj(wbits=31)
        # A gzip stream may decompress to a thousand times its size.
        room = max(0, shutil.disk_usage(scratch).free - _LEFT_FREE)
        while chunk := source.read(_CHUNK):
            spare = decoder.copy()
            try:
                decoder = _inflate(decoder, chunk, output)
            except zlib.error as error:
                with contextlib.suppress(zlib.error):  # keeps the content before the damaged byte
                    for place in range(len(chunk)):
                        spare = _inflate(spare, chunk[place : place + 1], output)
                return local, [Damage(output.tell(), f"broken gzip stream: {error}", False)]
            if output.tell() > (room if most is None else min(most, room)):
                raise DataError(
                    f"{path} holds more than {output.tell():,} bytes after decompression, its "
                    f"rows need {'an unknown number' if most is None else f'at most {most:,}'} and "
                    f"{tempfile.gettempdir()} has room for {room:,}; set TMPDIR to a folder on a "
                    "larger disk if the file is intact, else prepare the data again"
                )
        if not decoder.eof:
            return local, [Damage(output.tell(), "truncated gzip stream", False)]
    return local, []


def _inflate(decoder: Any, chunk: bytes, output: BinaryIO) -> Any:
    """Decompresses a chunk to `output` if it is intact; returns the decoder for the next chunk."""
    content = []
    while chunk:
        if decoder.eof:  # a file may be a concatenation of gzip streams
            decoder = zlib.decompressobj(wbits=31)
        content.append(decoder.decompress(chunk))
        chunk = decoder.unused_data
    output.write(b"".join(content))
    return decoder

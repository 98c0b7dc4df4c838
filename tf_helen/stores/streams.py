"""Open files of stores: read range by range, written locally and uploaded when they are closed."""

from __future__ import annotations

import contextlib
import io
import os
import tempfile
from typing import Any

from tf_helen.stores.fsspec_store import Place

_BUFFER = 1 << 22  # bytes per read


class _Ranges(io.RawIOBase):
    """The content of a file of a store, read by requests of ranges."""

    def __init__(self, place: Place):
        self._place, self._size, self._at = place, place.stat().length, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(0, start + offset)
        return self._at

    def readinto(self, buffer: Any) -> int:
        content = self._place.read(self._at, min(self._size, self._at + len(buffer)))
        buffer[: len(content)] = content
        self._at += len(content)
        return len(content)

    def readall(self) -> bytes:
        # Python's own reads 8 KB at a time.
        content = b"".join(self._place.pieces(self._size, self._at))
        self._at = max(self._at, self._size)
        return content

    def size(self) -> int:
        return self._size


class StoreReader(io.BufferedReader):
    """A file of a store, opened for reading bytes.

    Args:
        place: `Place` of the file.

    Raises:
        tf.errors.OpError: if the file cannot be read.
    """

    def __init__(self, place: Place):
        self._ranges = _Ranges(place)
        self._path = place.path
        super().__init__(self._ranges, _BUFFER)

    @property
    def name(self) -> str:
        """The path."""
        return self._path

    def size(self) -> int:
        """Returns the number of bytes."""
        return self._ranges.size()


class StoreWriter:
    """A file of a store, opened for writing bytes or text.

    The content is written to a local temporary file and uploaded by `close`. If the `with` block
    raises, nothing is uploaded.

    Args:
        place: `Place` of the file.
    """

    def __init__(self, place: Place):
        self._place = place
        self._file: Any = tempfile.NamedTemporaryFile(prefix="tf-helen-", delete=False)  # noqa: SIM115
        self.name = place.path

    def write(self, content: str | bytes) -> int:
        """Writes bytes, or text in UTF-8."""
        return self._file.write(content.encode() if isinstance(content, str) else content)

    def flush(self) -> None:
        """Has no effect: the content is uploaded when the file is closed."""

    def tell(self) -> int:
        """Returns the number of bytes written so far."""
        return self._file.tell()

    def size(self) -> int:
        """Returns the number of bytes written so far."""
        return self._file.tell()

    def close(self) -> None:
        """Uploads the content.

        Raises:
            tf.errors.OpError: if the store refuses it.
        """
        if self._file is None:
            return
        try:
            self._file.close()
            self._place.upload(self._file.name)
        finally:
            self._discard()

    def _discard(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            with contextlib.suppress(OSError):
                file.close()
            with contextlib.suppress(FileNotFoundError):
                os.remove(file.name)

    def __enter__(self) -> StoreWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        if kind is None:
            self.close()
        else:
            self._discard()

    def __del__(self) -> None:
        if os is not None:  # modules are gone while Python ends
            self._discard()

"""Record files of a split in a store such as `s3://`, which are read through a local cache.

If the cache has room for all files of a split, they are staged before the first epoch, in parallel,
while the records of the first ones are checked, and then read as local files. Else each file is
staged once to be checked, and again when it is read: files in order, one ahead of the reader; of
the shuffled blocks, which come from all files, only their bytes are read.
"""

from __future__ import annotations

import collections
import contextlib
import io
import os
import threading
import weakref
import zipfile
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import tensorflow as tf

from tf_helen.stores.cache import Cache, CacheFullError, Staged, StoredFile
from tf_helen.stores.fsspec_store import place_of
from tf_helen.stores.retries import BrokenReadError, attempted
from tf_helen.stores.schemes import is_native
from zoo.data.files import DataError, write_bytes
from zoo.data.manifest import Split
from zoo.data.record_frame import FOOTER, HEADER, masked_crc32c

_AHEAD = 1  # files staged ahead of the one that is read


class _Held:
    """The local copies that stay: all files of a split if they fit, else the last ones."""

    def __init__(self) -> None:
        self.files: dict[str, Staged] = {}
        self.lock = threading.Lock()


_held: weakref.WeakValueDictionary[tuple[str, ...], _Held] = weakref.WeakValueDictionary()


class StagedSplit:
    """The record files of a split in a store.

    Args:
        paths: the files, in order.
        split: their sizes and checksums, as far as known.

    Attributes:
        fits: whether the cache has room for all files.

    Example:
        >>> StagedSplit(["s3://bucket/a.tfrecord"], split).fits  # doctest: +SKIP
        True
    """

    def __init__(self, paths: Sequence[str], split: Split):
        self._cache = Cache()
        with ThreadPoolExecutor(self._cache.options.parallel) as pool:
            sizes = list(pool.map(_size, paths))
        checksums = split.sha256 or [None] * len(paths)
        self._files = {
            path: StoredFile(path, size, sha256, version)
            for path, (size, version), sha256 in zip(paths, sizes, checksums, strict=True)
        }
        files = tuple(self._files.values())
        largest = max(file.size for file in files)
        limit = self._cache.options.cache_bytes
        if largest > limit:
            raise DataError(
                f"{paths[0]} and the other files of its split have up to {largest:,} bytes, and "
                f"the cache {self._cache.folder} may have {limit:,}; raise --cache_limit "
                "(`cache_bytes`), or prepare the data with more --shards"
            )
        self.fits = sum(file.size for file in files) <= self._cache.room(files)
        # Shared by all datasets of the split, because a run opens it again in each epoch.
        self._held = _held.setdefault((self._cache.folder, *paths), _Held())
        self._kept = self._held.files
        self._window = 1 + _AHEAD
        self._lock = self._held.lock

    def in_order(self, paths: Sequence[str]) -> Iterator[tuple[str, str]]:
        """Stages files one after another, some ahead, and yields each path and its local copy.

        If all files of the split fit, they stay; else each is there until the next one is
        requested.
        """
        options = self._cache.options
        sizes = [file.size for file in self._files.values()] or [0]
        ahead = options.parallel
        if not self.fits:
            room = self._cache.room(tuple(self._files.values()))
            ahead = max(1, min(ahead, room // max(1, *sizes)))
        waiting: collections.deque[tuple[str, Future[Staged]]] = collections.deque()
        left = iter(paths)
        with ThreadPoolExecutor(ahead) as pool:
            try:
                while True:
                    while len(waiting) < ahead and (path := next(left, None)) is not None:
                        waiting.append((path, pool.submit(self._cache.take, self._files[path])))
                    if not waiting:
                        return
                    path, future = waiting.popleft()
                    staged = self._result(path, future)
                    if self.fits:
                        self._kept[path] = staged
                    yield path, staged.path
                    del staged, future
            finally:
                for _, future in waiting:
                    future.cancel()

    def _result(self, path: str, future: Future[Staged]) -> Staged:
        try:
            return future.result()
        except CacheFullError:
            if not self.fits:
                raise
        # Another process has taken the room since.
        self.fits = False
        self._kept.clear()
        return self._cache.take(self._files[path])

    def facts(self, path: str, key: str) -> dict[str, np.ndarray] | None:
        """Returns what was saved about the content of a file, also by another process."""
        try:
            with np.load(self._facts(path, key), allow_pickle=False) as found:
                return dict(found)
        except (OSError, ValueError, zipfile.BadZipFile):
            return None

    def save_facts(self, path: str, key: str, facts: dict[str, np.ndarray]) -> None:
        """Saves what is known about the content of a file, so that it is not staged again."""
        content = io.BytesIO()
        np.savez(content, **facts)  # type: ignore[arg-type]
        write_bytes(self._facts(path, key), content.getvalue())

    def _facts(self, path: str, key: str) -> str:
        folder = os.path.join(os.path.dirname(self._cache.folder), "facts")
        return os.path.join(folder, f"{self._files[path].key}-{key}.npz")

    def read_together(self, count: int) -> None:
        """Says how many files are read at a time.

        Raises:
            DataError: if the cache has no room for that many files.
        """
        self._window = count + _AHEAD
        sizes = sorted((file.size for file in self._files.values()), reverse=True)
        needed = sum(sizes[: self._window])
        room = self._cache.room(tuple(self._files.values()))
        if not self.fits and needed > room:
            fix = ", read without shuffling, or prepare the data with --layout=blocks"
            raise DataError(
                f"{self._window} files of {next(iter(self._files))} and others are needed at a "
                f"time, which takes {needed:,} bytes of the cache {self._cache.folder}, and it has "
                f"room for {room:,}; raise --cache_limit (`cache_bytes`){fix if count > 1 else ''}"
            )

    def staged(self, paths: tf.data.Dataset) -> tf.data.Dataset:
        """Returns the elements of a dataset with local paths, some ahead of the reader.

        Args:
            paths: dataset of tuples whose first element is the path of a file.
        """

        def local(path: tf.Tensor, *rest: tf.Tensor) -> tuple:
            found = tf.numpy_function(self._local, [path], tf.string)
            return (tf.ensure_shape(found, []), *rest)

        return paths.map(local).prefetch(_AHEAD)

    def local(self, path: str) -> str:
        """Returns the local copy of a file, which stays while the next ones are read.

        A path that is not a file of the split, such as a repaired copy, is returned as it is.
        """
        file = self._files.get(path)
        if file is None:
            return path
        with self._lock:
            staged = self._kept.pop(path, None)
        while staged is None:
            try:
                staged = self._cache.take(file)
            except CacheFullError:
                # The reader has opened all but the last files, which it can read to the end.
                with self._lock:
                    if len(self._kept) < self._window:
                        raise
                    oldest = next(iter(self._kept))
                    self._kept.pop(oldest).release()
        with self._lock:
            self._kept[path] = staged  # the newest
        return staged.path

    def record(self, path: tf.Tensor, offset: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
        """Returns the content of a record, from the local copy or from the store.

        Args:
            path: string tensor, the file.
            offset: int64 tensor, where the record begins.
            size: int64 tensor, its bytes with header and checksums.
        """
        found = tf.numpy_function(self._record, [path, offset, size], tf.string)
        return tf.ensure_shape(found, [])

    @property
    def parallel(self) -> int:
        """Number of simultaneous requests."""
        return self._cache.options.parallel

    def _local(self, path: bytes) -> bytes:
        return self.local(path.decode()).encode()

    def _record(self, path: bytes, offset: int, size: int) -> bytes:
        file = self._files.get(path.decode())
        here = path.decode() if file is None else self._cache.find(file)
        if here is not None:
            with contextlib.suppress(FileNotFoundError), open(here, "rb") as content:
                return _content(os.pread(content.fileno(), size, offset), here, int(offset))
        place = place_of(path.decode())
        assert place is not None, path

        def read() -> bytes:
            content = place.read(int(offset), int(offset) + int(size))
            return _content(content, place.path, int(offset))

        return attempted(place.path, read)


def _content(frame: bytes, path: str, offset: int) -> bytes:
    """Returns the data of a record after comparing its checksum."""
    content = frame[HEADER:-FOOTER]
    if masked_crc32c(content) != int.from_bytes(frame[-FOOTER:], "little"):
        raise BrokenReadError(f"{path} has a record with a wrong checksum at byte {offset:,}")
    return content


def _size(path: str) -> tuple[int, str]:
    place = place_of(path)
    assert place is not None, path
    stat = place.stat()
    return stat.length, stat.version or str(stat.mtime_nsec)


def staged_split(paths: Sequence[str], split: Split) -> StagedSplit | None:
    """Returns the files of a split in a store; `None` if TensorFlow reads them itself.

    Args:
        paths: the files, in order.
        split: their sizes and checksums, as far as known.

    Raises:
        DataError: if the cache has no room for one of the files.

    Example:
        >>> staged_split(["a.tfrecord"], split) is None  # doctest: +SKIP
        True
    """
    return None if is_native(paths[0]) else StagedSplit(paths, split)

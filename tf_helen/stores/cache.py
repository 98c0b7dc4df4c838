"""A bounded folder of staged files, which processes share.

A file gets its name when it is complete and its checksum is compared. Files that a process uses are
locked; of the others, the least recently used are removed when room is needed. The operating system
holds the locks, so what a killed process leaves does not stay in use.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import posixpath
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

from absl import logging

from tf_helen.stores.fsspec_store import place_of
from tf_helen.stores.options import StoreOptions, store_options

_MODIFIED = 1_000_000_000  # seconds; a constant, so that a file that is staged again is unchanged
_TRIES = 2  # downloads of a file whose checksum differs
_LONGEST = 80  # characters of the name of a file that are kept


class CacheFullError(ValueError):
    """The cache has no room for a file."""


@dataclass(frozen=True)
class StoredFile:
    """A file of a store.

    Attributes:
        path: string, `scheme://...`.
        size: int, bytes.
        sha256: string, its checksum in hexadecimal, or `None`.
        version: string that changes with the content, as far as known.
    """

    path: str
    size: int
    sha256: str | None = None
    version: str = ""

    @property
    def key(self) -> str:
        """A name for the content; the same for equal files if the checksum is known."""
        return self.sha256[:32] if self.sha256 else self.other_key

    @property
    def other_key(self) -> str:
        """A name for the content if the checksum is not that of `sha256`."""
        return hashlib.sha256(repr((self.path, self.size, self.version)).encode()).hexdigest()[:32]


class Staged:
    """A staged file, which stays until it is released.

    Attributes:
        path: string, the local file.
        as_written: boolean, whether its checksum is the expected one; `True` if none is known.
    """

    def __init__(self, path: str, descriptor: int, as_written: bool):
        self.path, self.as_written, self._descriptor = path, as_written, descriptor

    def release(self) -> None:
        """Allows other files to replace this one."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def __del__(self) -> None:
        if os is not None:  # while Python ends, the operating system closes the file
            self.release()


class Cache:
    """The staged files in a folder.

    Args:
        options: `StoreOptions` with the folder and the maximum size. Defaults to `None`: those of
            this process.

    Example:
        >>> import tempfile
        >>> Cache(StoreOptions(cache_dir=tempfile.mkdtemp(), cache_bytes=9)).room()
        9
    """

    def __init__(self, options: StoreOptions | None = None):
        self.options = store_options() if options is None else options
        self.folder = os.path.join(self.options.cache_folder(), "files")
        os.makedirs(self.folder, mode=0o700, exist_ok=True)

    def find(self, file: StoredFile) -> str | None:
        """Returns the path of a staged file, which may be removed at any time, or `None`."""
        path = self._path(file, file.key)
        return path if os.path.exists(path) else None

    def take(self, file: StoredFile) -> Staged:
        """Returns a staged file; downloads it if needed.

        If the checksum differs from the expected one, the file is downloaded once more; if it still
        differs, it is staged as it is, and `as_written` is false.

        Args:
            file: `StoredFile`.

        Raises:
            CacheFullError: if there is no room for it, in the cache or on the disk.
            tf.errors.OpError: if the store gives an error.
        """
        while True:
            for key in dict.fromkeys((file.key, file.other_key)):
                found = self._held(self._path(file, key), as_written=key == file.key)
                if found is not None:
                    return found
            with self._one_writer(file):
                if all(
                    not os.path.exists(self._path(file, key)) for key in (file.key, file.other_key)
                ):
                    self._download(file)

    def room(self, without: tuple[StoredFile, ...] = ()) -> int:
        """Returns the bytes that are not taken by files in use.

        Args:
            without: files that do not count as in use. Defaults to none.
        """
        names = {os.path.basename(self._path(file, key))
                 for file in without for key in (file.key, file.other_key)}  # fmt: skip
        used = 0
        for path, size, _ in self._entries():
            if os.path.basename(path) not in names and _is_locked(path):
                used += size
        return max(0, self.options.cache_bytes - used)

    def _path(self, file: StoredFile, key: str) -> str:
        return os.path.join(self.folder, f"{key}-{posixpath.basename(file.path)[-_LONGEST:]}")

    def _held(self, path: str, as_written: bool) -> Staged | None:
        """Locks a staged file against removal; `None` if it is not there."""
        try:
            descriptor = os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH)
            if os.path.samestat(os.fstat(descriptor), os.stat(path)):
                os.utime(path, (time.time(), _MODIFIED))
                return Staged(path, descriptor, as_written)
        except FileNotFoundError:
            pass  # another process removed it before it was locked
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
        return None

    def _download(self, file: StoredFile) -> None:
        place = place_of(file.path)
        assert place is not None, file.path
        partial = f"{self._path(file, '.partial')}.{os.getpid()}.{threading.get_ident()}"
        for number in range(_TRIES):
            descriptor = self._reserve(partial, file)
            digest = hashlib.sha256()
            try:
                with os.fdopen(os.dup(descriptor), "r+b") as target:
                    for piece in place.pieces(file.size):
                        digest.update(piece)
                        target.write(piece)
                as_written = file.sha256 in (None, digest.hexdigest())
                if as_written or number == _TRIES - 1:
                    os.utime(partial, (time.time(), _MODIFIED))
                    key = file.key if as_written else file.other_key
                    os.rename(partial, self._path(file, key))
                    return
                logging.warning("%s has another checksum than expected; read again", file.path)
            finally:
                with contextlib.suppress(FileNotFoundError):
                    os.remove(partial)
                os.close(descriptor)

    def _reserve(self, partial: str, file: StoredFile) -> int:
        """Creates a locked file of the size that is needed, after making room for it."""
        with self._locked("lock"):
            self._make_room(file)
            descriptor = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                if file.size:
                    os.posix_fallocate(descriptor, 0, file.size)
            except OSError as error:
                os.close(descriptor)
                os.remove(partial)
                raise CacheFullError(
                    f"{self.folder} has no room on its disk for {file.path}, which has "
                    f"{file.size:,} bytes ({error.strerror}); name a folder on a larger disk by "
                    "--cache_dir"
                ) from None
        return descriptor

    def _make_room(self, file: StoredFile) -> None:
        """Removes files that are not in use, the least recently used first."""
        entries = sorted(self._entries(), key=lambda entry: entry[2])
        total = sum(size for _, size, _ in entries)
        for path, size, _ in entries:
            is_partial = os.path.basename(path).startswith(".")
            if total + file.size <= self.options.cache_bytes and not is_partial:
                continue
            if _remove_unlocked(path):
                total -= size
        if total + file.size > self.options.cache_bytes:
            in_use = f", of which {total:,} are in use" if total else ""
            raise CacheFullError(
                f"{file.path} has {file.size:,} bytes, and the cache {self.folder} may have "
                f"{self.options.cache_bytes:,}{in_use}; raise --cache_limit (`cache_bytes`)"
            )

    def _entries(self) -> list[tuple[str, int, float]]:
        """Returns path, size and last use of each file, including unfinished ones."""
        found = []
        with os.scandir(self.folder) as entries:
            for entry in entries:
                with contextlib.suppress(FileNotFoundError):
                    if entry.is_file(follow_symlinks=False) and not entry.name.endswith(".lock"):
                        stat = entry.stat(follow_symlinks=False)
                        found.append((entry.path, stat.st_size, stat.st_atime))
        return found

    def _one_writer(self, file: StoredFile) -> contextlib.AbstractContextManager[None]:
        return self._locked(file.key, remove=True)

    @contextlib.contextmanager
    def _locked(self, name: str, remove: bool = False) -> Iterator[None]:
        """Lets one thread of all processes run a block."""
        path = os.path.join(self.folder, f"{name}.lock")
        while True:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(descriptor), os.stat(path)):
                    break
            os.close(descriptor)  # another process removed it
        try:
            yield
        finally:
            if remove:
                with contextlib.suppress(FileNotFoundError):
                    os.remove(path)
            os.close(descriptor)


def _is_locked(path: str) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _remove_unlocked(path: str) -> bool:
    """Removes a file unless a process uses it."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.remove(path)
    except BlockingIOError:
        return False
    except FileNotFoundError:
        pass
    finally:
        os.close(descriptor)
    return True

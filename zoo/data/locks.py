"""Prevents two processes from writing to the same folder."""

from __future__ import annotations

import contextlib
import os
import threading
from typing import IO

from absl import logging

from tf_helen.core.folders import is_remote
from tf_helen.stores.schemes import check_reachable
from zoo.data.files import DataError

_held: dict[str, tuple[int, int]] = {}  # lock path: (thread that holds it, count)
_guard = threading.Lock()


class FolderInUseError(DataError):
    """Another process or thread holds a folder."""


class FolderLock:
    """Holds a folder for this process while a block runs.

    The lock is a file `.NAME.lock` next to the folder. The operating system holds it while the
    process runs, so the file of a killed process does not block others. A thread can acquire a lock
    that it already holds. Remote folders are not locked; a log line says so.

    Args:
        folder: string, folder to lock; it need not exist.
        doing: string, what the other process does, for the error message. Defaults to "writes to".

    Raises:
        FolderInUseError: a `DataError`, on entering, if another process or thread holds the folder.

    Example:
        >>> import tempfile
        >>> with FolderLock(tempfile.mkdtemp() + "/run"):
        ...     pass
    """

    def __init__(self, folder: str | os.PathLike[str], doing: str = "writes to"):
        self._folder, self._doing = os.fspath(folder), doing
        check_reachable(self._folder)
        self._path: str | None = None
        self._file: IO[str] | None = None
        if is_remote(self._folder):
            return
        parent, name = os.path.split(os.path.realpath(self._folder.removeprefix("file://")))
        self._path = os.path.join(parent, f".{name}.lock")

    def __enter__(self) -> FolderLock:
        if self._path is None:
            logging.info("%s is not a local folder and is not locked", self._folder)
            return self
        with _guard:
            thread, times = _held.get(self._path, (threading.get_ident(), 0))
            if thread != threading.get_ident():
                raise self._in_use("")
            if not times:
                self._file = self._taken(self._path)
            _held[self._path] = thread, times + 1
        return self

    def __exit__(self, *error: object) -> None:
        if self._path is None:
            return
        with _guard:
            thread, times = _held.pop(self._path)
            if times > 1:
                _held[self._path] = thread, times - 1
        if self._file is not None:
            try:
                with contextlib.suppress(OSError):
                    os.remove(self._path)
            finally:
                self._file.close()
                self._file = None

    def _taken(self, path: str) -> IO[str] | None:
        try:
            import fcntl
        except ImportError:  # not on Windows
            logging.info("%s is not locked: this system has no flock", self._folder)
            return None
        given = self._folder.removeprefix("file://").rstrip("/")
        os.makedirs(os.path.dirname(given) or ".", exist_ok=True)  # errors name the path as given
        os.makedirs(os.path.dirname(path), exist_ok=True)  # the target of a link
        while True:
            file = open(path, "a+")  # noqa: SIM115 - held until the block ends
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.path.samestat(os.fstat(file.fileno()), os.stat(path)):
                    file.truncate(0)
                    file.write(f"{os.getpid()}\n")
                    file.flush()
                    return file
            except FileNotFoundError:
                pass  # another process removed it between the two calls: create a new one
            except BlockingIOError:
                file.seek(0)
                holder = file.read().strip()
                file.close()
                raise self._in_use(f" (process {holder})" if holder.isdigit() else "") from None
            except OSError as error:  # some network file systems do not support locks
                logging.info("%s is not locked: %s", self._folder, error)
                return file
            file.close()

    def _in_use(self, holder: str) -> FolderInUseError:
        return FolderInUseError(
            f"another process {self._doing} {self._folder}{holder}; wait for it or name another "
            "folder"
        )

"""A file system of fsspec, with retries, time-outs and TensorFlow's errors."""

from __future__ import annotations

import datetime
import inspect
import os
import posixpath
from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple

import tensorflow as tf

from tf_helen.stores.options import store_options
from tf_helen.stores.retries import BrokenReadError, attempted
from tf_helen.stores.schemes import SCHEME, is_native

# Stores of keys without folders, in which a file is there only when its upload is complete.
_FLAT = ("s3", "s3a", "gcs", "abfs", "abfss", "az", "oss", "obs", "cos", "tos")
_S3 = ("s3", "s3a")
_PIECE = 1 << 23  # bytes per request
_BYTES_PER_SECOND = 1e6  # of the slowest upload


class Stat(NamedTuple):
    """What a store says about a file, with the names of `tf.io.gfile.stat`.

    Attributes:
        length: int, bytes.
        mtime_nsec: int, time of the last change; 0 if the store does not say it.
        is_directory: boolean.
        version: string that changes with the content; "" if the store does not say it.
    """

    length: int
    mtime_nsec: int
    is_directory: bool
    version: str


class Place(NamedTuple):
    """A path and the store that it is in."""

    store: Store
    path: str
    inner: str

    def stat(self) -> Stat:
        """Returns the size and the time of the last change."""
        info = self.store.info(self.path, self.inner)
        is_directory = info["type"] == "directory"
        version = info.get("ETag") or info.get("etag") or info.get("md5Hash") or ""
        return Stat(int(info.get("size") or 0), _nanoseconds(info), is_directory, str(version))

    def names(self) -> dict[str, bool]:
        """Returns the names in a folder, and whether each is a folder."""
        found = self.store.call(self.path, "ls", self.inner, detail=True, fresh=True)
        own = self.inner.strip("/")
        entries = {
            posixpath.basename(entry["name"].rstrip("/")): entry["type"] == "directory"
            for entry in found
            if entry["name"].strip("/") != own
        }
        if not entries and any(entry["type"] == "file" for entry in found):
            marker = all(entry["name"].endswith("/") for entry in found)
            if not marker:
                raise tf.errors.FailedPreconditionError(None, None, f"{self.path} is a file")
        return entries

    def read(self, start: int, stop: int) -> bytes:
        """Returns the bytes of a range, which must exist."""

        def once() -> bytes:
            content = self.store.request("cat_file", self.inner, start=start, end=stop)
            if len(content) != stop - start:
                raise BrokenReadError(
                    f"{len(content):,} bytes instead of {stop - start:,} from byte {start:,} on"
                )
            return content

        return attempted(self.path, once) if stop > start else b""

    def pieces(self, size: int, first: int = 0) -> Iterator[bytes]:
        """Yields the content piece by piece; only the piece of a failed request is repeated.

        Args:
            size: int, size of the file in bytes.
            first: int, the first byte. Defaults to 0.
        """
        for start in range(first, size, _PIECE):
            yield self.read(start, min(start + _PIECE, size))

    def download(self, target: BinaryIO) -> None:
        """Writes the content to a local file."""
        for piece in self.pieces(self.stat().length):
            target.write(piece)

    def upload(self, source: str) -> None:
        """Writes a local file to the store."""
        seconds = store_options().timeout + os.path.getsize(source) / _BYTES_PER_SECOND
        if not self.store.flat:
            self.make_folders(posixpath.dirname(self.inner))
        self.store.call(self.path, "put_file", source, self.inner, seconds=seconds)

    def make_folders(self, inner: str | None = None) -> None:
        """Creates the folder, and those that it is in, where the store has folders."""
        inner = self.inner if inner is None else inner
        if not self.store.flat and inner.strip("/"):
            self.store.call(self.path, "makedirs", inner, exist_ok=True)

    def copy_within(self, other: Place) -> None:
        """Copies the file to another place in the same store."""
        seconds = store_options().timeout + self.stat().length / _BYTES_PER_SECOND
        self.store.call(self.path, "cp_file", self.inner, other.inner, seconds=seconds)

    def move_within(self, other: Place) -> None:
        """Renames the file to another place in the same store, and replaces a file there."""
        if self.store.flat:
            self.copy_within(other)
            self.remove()
            return
        try:
            self.store.call(self.path, "mv", self.inner, other.inner)
        except tf.errors.AlreadyExistsError:
            other.remove()
            self.store.call(self.path, "mv", self.inner, other.inner)

    def remove(self) -> None:
        """Removes the file."""
        self.store.call(self.path, "rm_file", self.inner)

    def remove_all(self) -> None:
        """Removes the folder and its content; in a store without folders, it need not exist."""
        try:
            self.store.call(self.path, "rm", self.inner, recursive=True, fresh=True)
        except tf.errors.NotFoundError:
            if not self.store.flat:
                raise


class Store:
    """A file system of fsspec.

    Args:
        system: `fsspec.AbstractFileSystem`.
        flat: boolean, whether it has keys and no folders.
    """

    def __init__(self, system: Any, flat: bool):
        self.system, self.flat = system, flat

    def info(self, path: str, inner: str) -> dict[str, Any]:
        """Returns what fsspec says about a file or folder."""
        return self.call(path, "info", inner, fresh=True)

    def call(
        self,
        path: str,
        name: str,
        *arguments: Any,
        seconds: float | None = None,
        fresh: bool = False,
        **options: Any,
    ) -> Any:
        """Calls a method of the file system, repeatedly if it fails.

        Args:
            path: string, the file, for messages.
            name: string, name of the method.
            *arguments: its arguments.
            seconds: float, time-out. Defaults to `None`: that of `StoreOptions`.
            fresh: boolean, whether to forget the listings that fsspec keeps. Defaults to `False`.
            **options: its named arguments.

        Returns:
            Its result.

        Raises:
            tf.errors.OpError: as of `attempted`.
        """

        def once() -> Any:
            if fresh:
                self.system.invalidate_cache()
            return self.request(name, *arguments, seconds=seconds, **options)

        return attempted(path, once)

    def request(
        self, name: str, *arguments: Any, seconds: float | None = None, **options: Any
    ) -> Any:
        """Calls a method of the file system once; asynchronous file systems have a time-out."""
        coroutine = getattr(self.system, f"_{name}", None)
        if not self.system.async_impl or not inspect.iscoroutinefunction(coroutine):
            return getattr(self.system, name)(*arguments, **options)
        from fsspec import asyn

        timeout = store_options().timeout if seconds is None else seconds
        return asyn.sync(self.system.loop, coroutine, *arguments, timeout=timeout, **options)


def place_of(path: str | os.PathLike[str]) -> Place | None:
    """Returns the store of a path, or `None` if TensorFlow reads the path itself.

    Args:
        path: local, or `scheme://...`.

    Raises:
        ValueError: if there is no file system for the scheme.
        tf.errors.OpError: if the settings of the file system are wrong.

    Example:
        >>> place_of("data/frappe") is None
        True
    """
    path = os.fspath(path)
    if is_native(path):
        return None
    import fsspec

    found = SCHEME.match(path)
    assert found is not None
    scheme = found[1]

    def connected() -> tuple[Any, str]:
        return fsspec.core.url_to_fs(path, **_defaults(scheme, store_options().timeout))

    system, inner = attempted(path, connected)
    if scheme in _S3:
        system.retries = 1  # this package repeats requests
    return Place(Store(system, scheme in _FLAT), path, inner.rstrip("/"))


def _defaults(scheme: str, timeout: float) -> dict[str, Any]:
    """Returns the arguments of a file system that its user has not set."""
    if scheme not in _S3:
        return {}
    from fsspec.config import conf

    given = conf.get("s3", {}).get("config_kwargs", {})
    defaults = {
        "connect_timeout": timeout,
        "read_timeout": timeout,
        "retries": {"total_max_attempts": 1},  # this package repeats requests
    }
    return {"config_kwargs": {**defaults, **given}}


def _nanoseconds(info: dict[str, Any]) -> int:
    for key in ("LastModified", "last_modified", "mtime", "updated", "modified", "created"):
        found = info.get(key)
        if isinstance(found, datetime.datetime):
            return int(found.timestamp() * 1e9)
        if isinstance(found, int | float) and not isinstance(found, bool):
            return int(found * 1e9)
    return 0

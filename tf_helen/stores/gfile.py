"""The functions of `tf.io.gfile`, also for the stores of fsspec.

A path whose scheme TensorFlow knows, or without a scheme, is passed to `tf.io.gfile`. For others,
such as `s3://` with TensorFlow 2.18 and later, fsspec is used. Errors are those of TensorFlow.
"""

from __future__ import annotations

import fnmatch
import os
import posixpath
import tempfile
from collections.abc import Iterator, Sequence
from typing import Any

import tensorflow as tf

from tf_helen.stores.fsspec_store import Place, place_of
from tf_helen.stores.streams import StoreReader, StoreWriter


def GFile(name: str, mode: str = "r") -> Any:
    """Opens a file.

    Args:
        name: string, local or remote.
        mode: "r" or "w" for text (of stores, "r" is not supported), "rb" or "wb" for bytes.

    Returns:
        A file object with `size()`. Files of stores are uploaded when they are closed, and not if
        their `with` block raises.

    Raises:
        tf.errors.OpError: if the file cannot be opened.

    Example:
        >>> import tempfile
        >>> with GFile(tempfile.mkdtemp() + "/a", "w") as file:
        ...     _ = file.write("one")
    """
    place = place_of(name)
    if place is None:
        return tf.io.gfile.GFile(name, mode)
    if mode not in ("rb", "w", "wb"):
        raise ValueError(f"`mode` must be 'rb', 'w' or 'wb' for {name}. Received: {mode!r}")
    return StoreReader(place) if mode == "rb" else StoreWriter(place)


def exists(path: str) -> bool:
    """Returns whether a file or folder exists; stores have folders only as parts of names.

    Example:
        >>> exists("absent")
        False
    """
    place = place_of(path)
    if place is None:
        return tf.io.gfile.exists(path)
    try:
        place.stat()
    except tf.errors.NotFoundError:
        return False
    return True


def isdir(path: str) -> bool:
    """Returns whether a path is a folder.

    Example:
        >>> isdir("absent")
        False
    """
    place = place_of(path)
    if place is None:
        return tf.io.gfile.isdir(path)
    try:
        return place.stat().is_directory
    except tf.errors.NotFoundError:
        return False


def stat(path: str) -> Any:
    """Returns an object with `length` (bytes), `mtime_nsec` and `is_directory`.

    Raises:
        tf.errors.NotFoundError: if there is no such file.
    """
    place = place_of(path)
    return tf.io.gfile.stat(path) if place is None else place.stat()


def listdir(path: str) -> list[str]:
    """Returns the names of the files and folders in a folder, sorted in stores.

    Raises:
        tf.errors.NotFoundError: if there is no such folder.
    """
    place = place_of(path)
    return tf.io.gfile.listdir(path) if place is None else sorted(place.names())


def walk(top: str) -> Iterator[tuple[str, list[str], list[str]]]:
    """Yields each folder below a folder, with the names of its folders and of its files."""
    place = place_of(top)
    if place is None:
        yield from tf.io.gfile.walk(top)
        return
    try:
        names = place.names()
    except tf.errors.NotFoundError:
        return
    folders = sorted(name for name, is_folder in names.items() if is_folder)
    yield top, folders, sorted(name for name, is_folder in names.items() if not is_folder)
    for name in folders:
        yield from walk(posixpath.join(top, name))


def glob(pattern: str | Sequence[str]) -> list[str]:
    """Returns the files that match one or several patterns; in stores, of the last part only."""
    if not isinstance(pattern, str):
        return [path for each in pattern for path in glob(each)]
    folder, last = posixpath.split(pattern)
    if place_of(pattern) is None:
        return tf.io.gfile.glob(pattern)
    try:
        names = listdir(folder)
    except tf.errors.NotFoundError:
        return []
    return [posixpath.join(folder, name) for name in names if fnmatch.fnmatchcase(name, last)]


def makedirs(path: str) -> None:
    """Creates a folder and those that it is in; has no effect in stores without folders."""
    place = place_of(path)
    if place is None:
        tf.io.gfile.makedirs(path)
    else:
        place.make_folders()


def remove(path: str) -> None:
    """Removes a file.

    Raises:
        tf.errors.NotFoundError: if there is no such file, in stores that say so.
    """
    place = place_of(path)
    if place is None:
        tf.io.gfile.remove(path)
    else:
        place.remove()


def rmtree(path: str) -> None:
    """Removes a folder and its content; follows symbolic links, see `remove_folder`.

    Raises:
        tf.errors.NotFoundError: if there is no such folder.
    """
    place = place_of(path)
    if place is None:
        tf.io.gfile.rmtree(path)
    else:
        place.remove_all()


def rename(src: str, dst: str, overwrite: bool = False) -> None:
    """Renames a file; local folders too.

    In stores without folders, this is a copy within the store, which appears as a whole, and a
    removal.

    Args:
        src: string, the file.
        dst: string, its new name, on the same file system.
        overwrite: boolean, whether an existing file is replaced. Defaults to `False`.

    Raises:
        tf.errors.OpError: if the file system refuses.
    """
    source, target = place_of(src), place_of(dst)
    if source is None and target is None:
        tf.io.gfile.rename(src, dst, overwrite)
        return
    if pair := _in_one_store(source, target):
        _check_free(dst, overwrite)
        pair[0].move_within(pair[1])
    else:
        copy(src, dst, overwrite)
        remove(src)


def copy(src: str, dst: str, overwrite: bool = False) -> None:
    """Copies a file, also between two file systems.

    Args:
        src: string, the file.
        dst: string, name of the copy.
        overwrite: boolean, whether an existing file is replaced. Defaults to `False`.

    Raises:
        tf.errors.OpError: if a file system refuses.
    """
    source, target = place_of(src), place_of(dst)
    if source is None and target is None:
        tf.io.gfile.copy(src, dst, overwrite)
        return
    _check_free(dst, overwrite)
    if pair := _in_one_store(source, target):
        pair[0].copy_within(pair[1])
        return
    with tempfile.TemporaryDirectory(prefix="tf-helen-") as folder:
        local = _downloaded(src, source, folder)
        if target is not None:
            target.upload(local)
        else:
            tf.io.gfile.copy(local, dst, overwrite)


def _in_one_store(source: Place | None, target: Place | None) -> tuple[Place, Place] | None:
    if source is None or target is None or source.store.system is not target.store.system:
        return None
    return source, target


def _downloaded(path: str, place: Place | None, folder: str) -> str:
    """Returns a local file with the content."""
    if place is None and "://" not in path.removeprefix("file://"):
        return path.removeprefix("file://")
    local = os.path.join(folder, "content")
    if place is None:
        tf.io.gfile.copy(path, local)
    else:
        with open(local, "wb") as file:
            place.download(file)
    return local


def _check_free(path: str, overwrite: bool) -> None:
    if not overwrite and exists(path):
        raise tf.errors.AlreadyExistsError(None, None, f"{path} exists")

"""Local copies of files that TensorFlow and Keras read only from file systems of their own."""

from __future__ import annotations

import atexit
import functools
import os
import posixpath
import shutil
import tempfile

from tf_helen.stores import gfile
from tf_helen.stores.fsspec_store import place_of
from tf_helen.stores.options import store_options
from tf_helen.stores.schemes import is_native

_copies: dict[tuple, str] = {}


def local_file(path: str) -> str:
    """Returns a path that TensorFlow reads.

    Args:
        path: string, a file.

    Returns:
        `path`, or for a file of a store a copy, which is kept until the process ends.

    Raises:
        tf.errors.OpError: if the file cannot be read.

    Example:
        >>> local_file("a.tsv")
        'a.tsv'
    """
    place = place_of(path)
    if place is None:
        return path
    key = (path, place.stat())
    if key not in _copies:
        local = os.path.join(new_folder(), posixpath.basename(path))
        with open(local, "wb") as file:
            place.download(file)
        _copies[key] = local
    return _copies[key]


def local_folder(path: str) -> str:
    """Returns a folder that TensorFlow reads.

    Args:
        path: string, a folder such as a SavedModel.

    Returns:
        `path`, or for a folder of a store a copy, which is kept until the process ends.

    Raises:
        tf.errors.OpError: if a file cannot be read.

    Example:
        >>> local_folder("served")
        'served'
    """
    if is_native(path):
        return path
    folder = new_folder()
    for parent, _, names in gfile.walk(path):
        inner = os.path.join(folder, parent[len(path) :].strip("/"))
        os.makedirs(inner, exist_ok=True)
        for name in names:
            gfile.copy(posixpath.join(parent, name), os.path.join(inner, name))
    return folder


def upload_folder(local: str, path: str, last: str = "") -> None:
    """Copies the files of a local folder to a folder of any file system.

    Args:
        local: string, the local folder.
        path: string, the other folder.
        last: string, the file that is copied last. Defaults to "": in the order of the names.

    Raises:
        tf.errors.OpError: if the file system refuses.
    """
    names = [
        os.path.relpath(os.path.join(parent, name), local)
        for parent, _, files in os.walk(local)
        for name in files
    ]
    for name in sorted(names, key=lambda name: (name == last, name)):
        target = posixpath.join(path, name.replace(os.sep, "/"))
        gfile.makedirs(posixpath.dirname(target))
        gfile.copy(os.path.join(local, name), target, overwrite=True)


def new_folder() -> str:
    """Returns a new, empty folder that is removed when the process ends."""
    return tempfile.mkdtemp(dir=_scratch())


@functools.cache
def _scratch() -> str:
    parent = store_options().cache_folder() if store_options().cache_dir else None
    folder = tempfile.mkdtemp(prefix="tf-helen-", dir=parent)
    owner = os.getpid()

    def remove() -> None:
        if os.getpid() == owner:  # not in a fork
            shutil.rmtree(folder, ignore_errors=True)

    atexit.register(remove)
    return folder

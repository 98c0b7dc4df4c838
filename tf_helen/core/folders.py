"""Folders on local and remote file systems."""

from __future__ import annotations

import os
import re
import shutil

import tensorflow as tf

SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*)://")


def is_remote(path: str | os.PathLike[str]) -> bool:
    """Tells paths of other file systems from local ones.

    Args:
        path: any path.

    Returns:
        Whether it begins with `scheme://`, and another scheme than `file`.

    Example:
        >>> is_remote("gs://bucket/data"), is_remote("data"), is_remote("file:///data")
        (True, False, False)
    """
    found = SCHEME.match(os.fspath(path))
    return found is not None and found[1] != "file"


def remove_folder(folder: str) -> None:
    """Removes a folder and all that is in it; of a symbolic link in it only the link.

    TensorFlow's `rmtree` follows links to folders and removes what is there.

    Args:
        folder: Local or remote; of a link to a folder, the content is removed.

    Raises:
        OSError: If the file system refuses.
        tf.errors.OpError: If a remote file system refuses.

    Example:
        >>> import tempfile
        >>> remove_folder(tempfile.mkdtemp())
    """
    if is_remote(folder):
        tf.io.gfile.rmtree(folder)
        return
    folder = folder.removeprefix("file://")
    if not os.path.islink(folder):
        shutil.rmtree(folder)
        return
    for name in os.listdir(folder):
        path = os.path.join(folder, name)
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
        else:
            os.remove(path)

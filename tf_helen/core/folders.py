"""Folders on local and remote file systems."""

from __future__ import annotations

import os
import shutil

from tf_helen.stores import gfile
from tf_helen.stores.schemes import SCHEME


def is_remote(path: str | os.PathLike[str]) -> bool:
    """Returns whether a path is on a remote file system.

    Args:
        path: string or path.

    Returns:
        Boolean, `True` if the path begins with a scheme such as `gs://`, except `file://`.

    Example:
        >>> is_remote("gs://bucket/data"), is_remote("data"), is_remote("file:///data")
        (True, False, False)
    """
    found = SCHEME.match(os.fspath(path))
    return found is not None and found[1] != "file"


def remove_folder(folder: str) -> None:
    """Removes a folder and its content without following symbolic links in it.

    TensorFlow's `rmtree` follows links to folders and removes their content.

    Args:
        folder: string, local or remote. If it is a link to a folder, the content of that folder is
            removed.

    Raises:
        OSError: on an error of the local file system.
        tf.errors.OpError: on an error of a remote file system.

    Example:
        >>> import tempfile
        >>> remove_folder(tempfile.mkdtemp())
    """
    if is_remote(folder):
        gfile.rmtree(folder)
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

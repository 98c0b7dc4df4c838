"""Folders that an export or a delta replaces, completely or not at all."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from tf_helen.core.folders import remove_folder
from tf_helen.stores import gfile
from tf_helen.stores.local_copies import new_folder, upload_folder
from tf_helen.stores.schemes import is_native
from zoo.data.files import DataError, join
from zoo.data.folders import (
    final_folder,
    partial_folder,
    publish_folder,
    restore_folder,
    was_interrupted,
)
from zoo.data.locks import FolderLock

EXPORT = "saved_model.pb"  # the file that marks a SavedModel


def check_replaceable(out: str, marker: str, what: str) -> None:
    """Raises unless a folder is absent, empty, or holds what it is replaced by.

    Args:
        out: string, folder, resolved by `zoo.data.folders.final_folder`.
        marker: string, the file whose presence marks the content.
        what: string, the content, for the message, such as "a SavedModel".

    Raises:
        DataError: names the folder.

    Example:
        >>> check_replaceable("absent", "saved_model.pb", "a SavedModel")
    """
    if not gfile.exists(out):
        return
    if not gfile.isdir(out):
        raise DataError(f"{out} is a file; name a folder")
    is_same = gfile.exists(f"{out}/{marker}") or was_interrupted(out, marker)
    if gfile.listdir(out) and not is_same:
        raise DataError(f"{out} holds files other than {what}; name another folder")


def check_export_folder(folder: str) -> None:
    """Raises `DataError` unless a folder is a SavedModel.

    Args:
        folder: string.

    Raises:
        DataError: names the folder.

    Example:
        >>> check_export_folder("served")  # doctest: +SKIP
    """
    if not gfile.exists(join(folder, EXPORT)):
        raise DataError(f"no SavedModel in {folder}; name a folder that launch.export wrote")


@contextlib.contextmanager
def replacing(out: str, marker: str, what: str) -> Iterator[str]:
    """Gives a folder to write, which replaces another at the end of the block.

    If the block raises, the other folder stays as it is. No other process writes it meanwhile.

    Args:
        out: string, folder that is replaced.
        marker, what: as of `check_replaceable`.

    Yields:
        String, an absent folder on a file system of TensorFlow; if `out` is in another store, it
        is local and uploaded at the end of the block.

    Raises:
        DataError: if `out` holds anything else, or another process writes it.

    Example:
        >>> with replacing("served", "saved_model.pb", "a SavedModel") as partial:
        ...     tf.saved_model.save(tf.Module(), partial)  # doctest: +SKIP
    """
    out = final_folder(out)
    with FolderLock(out):
        restore_folder(out, marker)
        check_replaceable(out, marker, what)
        partial = partial_folder(out)
        if gfile.exists(partial):  # left by a killed process
            remove_folder(partial)
        scratch = partial if is_native(partial) else os.path.join(new_folder(), "written")
        try:
            yield scratch
            if scratch != partial:
                upload_folder(scratch, partial)
            publish_folder(partial, out, last=marker)
        finally:
            for folder in {partial, scratch}:
                if gfile.exists(folder):
                    remove_folder(folder)

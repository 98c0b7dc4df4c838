"""Which folders an export or a delta may replace."""

from __future__ import annotations

import tensorflow as tf

from zoo.data.files import DataError
from zoo.data.folders import was_interrupted

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
    if not tf.io.gfile.exists(out):
        return
    if not tf.io.gfile.isdir(out):
        raise DataError(f"{out} is a file; name a folder")
    is_same = tf.io.gfile.exists(f"{out}/{marker}") or was_interrupted(out, marker)
    if tf.io.gfile.listdir(out) and not is_same:
        raise DataError(f"{out} holds files other than {what}; name another folder")

"""Names that come out of a file: only those that stay inside the file's folder are followed."""

from __future__ import annotations

import os
import posixpath
from typing import Any

from tf_helen.core.folders import is_remote
from zoo.data.files import DataError, join

_LONGEST = 255  # bytes of one part of a path, on nearly every file system
_LOCAL = "file://"


def inside(directory: str | os.PathLike[str], name: Any, source: str) -> str:
    """Joins a folder and a name that was read from a file, and checks that the path stays inside.

    Whoever writes the file decides what the name is: an absolute name, one with `..`, or a
    symbolic link would make this code read, replace or delete files anywhere.

    Args:
        directory: Folder, local or remote.
        name: What the file says; a name, or names joined by "/".
        source: The file that says it, for the message.

    Returns:
        The joined path.

    Raises:
        DataError: Naming the file, the name, and what is wrong with it.

    Example:
        >>> inside("data", "train.tfrecord", "manifest.json")
        'data/train.tfrecord'
        >>> inside("data", "../mine.txt", "manifest.json")
        Traceback (most recent call last):
        zoo.data.files.DataError: manifest.json names the file '../mine.txt', which has the part ...
    """
    trouble = _trouble(name)
    path = "" if trouble else join(directory, name)
    if not trouble and not is_remote(path) and not _stays(os.fspath(directory), path):
        trouble = "is a symbolic link that leads out of its folder"
    if trouble:
        shown = repr(name) if len(repr(name)) <= 200 else f"{repr(name)[:200]}..."
        raise DataError(
            f"{source} names the file {shown}, which {trouble}: a name must stay inside the folder "
            f"{os.fspath(directory)}. The file is damaged or not to be trusted; restore it, or "
            "make the folder again"
        )
    return path


def check_plain(name: Any, what: str) -> None:
    """Raises unless a text can be a part of a file name, without any folder.

    Args:
        name: What was given.
        what: What it is, for the message.

    Raises:
        DataError: Naming it.

    Example:
        >>> check_plain("train", "split")
    """
    trouble = _trouble(name)
    if not trouble and ("/" in name or any(mark in name for mark in "*?[]")):
        trouble = "has one of the characters / * ? [ ]"
    if trouble:
        raise DataError(f"{what}={name!r} {trouble}; use a name such as 'train'")


def _trouble(name: Any) -> str:
    """What is wrong with a name, or an empty text."""
    if not isinstance(name, str) or not name:
        return "is not a text with at least one character"
    if any(
        ord(mark) < 32 or 127 <= ord(mark) < 160 or 0xD800 <= ord(mark) < 0xE000 for mark in name
    ):
        return "has a character that no file name has"
    for mark in "\\:":  # folders and drives of Windows, schemes of remote paths
        if mark in name:
            return f"has the character {mark!r}"
    for part in name.split("/"):
        if part in ("", ".", ".."):
            return (
                "is an absolute path or has an empty part" if not part else f"has the part {part!r}"
            )
        if len(part.encode()) > _LONGEST:
            return f"has a part of {len(part.encode()):,} bytes, where {_LONGEST} are allowed"
    return ""


def _stays(directory: str, path: str) -> bool:
    folder, target = (os.path.realpath(p.removeprefix(_LOCAL)) for p in (directory or ".", path))
    return target.startswith(folder.rstrip(posixpath.sep) + posixpath.sep)

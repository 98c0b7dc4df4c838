"""Checks that names read from a file stay inside the file's folder."""

from __future__ import annotations

import os
import posixpath
from typing import Any

from tf_helen.core.folders import is_remote
from zoo.data.files import DataError, join

_LONGEST = 255  # bytes of a path component, on nearly every file system
_LOCAL = "file://"


def inside(directory: str | os.PathLike[str], name: Any, source: str) -> str:
    """Joins a folder and a name read from a file, and checks that the path stays inside the folder.

    The file may be untrusted: with an absolute name, a name with `..` or a symbolic link, this code
    could read, replace or delete files anywhere.

    Args:
        directory: folder, local or remote.
        name: the name in the file; may contain "/".
        source: the file that contains the name, for the message.

    Returns:
        The joined path.

    Raises:
        DataError: names the file, the name and the problem.

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
            f"{os.fspath(directory)}. The file is damaged or not trustworthy; restore it, or "
            "create the folder again"
        )
    return path


def check_plain(name: Any, what: str) -> None:
    """Raises `DataError` unless a string is usable as part of a file name, without a folder.

    Args:
        name: the value received.
        what: what the name is for, for the message.

    Raises:
        DataError: names it.

    Example:
        >>> check_plain("train", "split")
    """
    trouble = _trouble(name)
    if not trouble and ("/" in name or any(mark in name for mark in "*?[]")):
        trouble = "has one of the characters / * ? [ ]"
    if trouble:
        raise DataError(f"{what}={name!r} {trouble}; use a name such as 'train'")


def _trouble(name: Any) -> str:
    """Returns the problem with a name, or an empty string."""
    if not isinstance(name, str) or not name:
        return "is not a non-empty string"
    if any(
        ord(mark) < 32 or 127 <= ord(mark) < 160 or 0xD800 <= ord(mark) < 0xE000 for mark in name
    ):
        return "has a character that is not allowed in file names"
    for mark in "\\:":  # folders and drives of Windows, schemes of remote paths
        if mark in name:
            return f"has the character {mark!r}"
    for part in name.split("/"):
        if part in ("", ".", ".."):
            return (
                "is an absolute path or has an empty part" if not part else f"has the part {part!r}"
            )
        if len(part.encode()) > _LONGEST:
            return f"has a part of {len(part.encode()):,} bytes, allowed are {_LONGEST}"
    return ""


def _stays(directory: str, path: str) -> bool:
    folder, target = (os.path.realpath(p.removeprefix(_LOCAL)) for p in (directory or ".", path))
    return target.startswith(folder.rstrip(posixpath.sep) + posixpath.sep)

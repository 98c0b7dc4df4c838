"""The folder in which a preparation works until all is done, and what it has done so far."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import threading
from collections.abc import Iterable
from typing import Any

import tensorflow as tf

from launch.raw.files import RawFile
from tf_helen.core.folders import is_remote, remove_folder
from zoo.data.files import DataError, join, read_json, write_json
from zoo.data.folders import (
    final_folder,
    partial_folder,
    publish_folder,
    restore_folder,
    was_interrupted,
)
from zoo.data.locks import FolderLock
from zoo.data.manifest import FILE_NAME as MANIFEST
from zoo.data.remote import check_reachable
from zoo.data.safe_paths import check_plain, inside
from zoo.data.shard_writer import Shard

STATE = "progress.json"


class Workspace:
    """The hidden folder beside the final one: survives an interruption, is renamed at the end.

    Args:
        out: Final folder.
        overwrite: Whether an already prepared folder may be replaced.
        fingerprint: What decides the result; work done under another one is thrown away.

    Attributes:
        path: The hidden folder.

    Raises:
        DataError: If the final folder is in use, or another process prepares it.

    Example:
        >>> import tempfile
        >>> with Workspace(tempfile.mkdtemp() + "/data", False, "any") as work:
        ...     work.finish()
    """

    def __init__(self, out: str, overwrite: bool, fingerprint: str):
        out = final_folder(out)
        check_free(out, overwrite)
        self._out = out
        self.path = partial_folder(out)
        self._lock = FolderLock(out, doing="prepares")
        self._overwrite = overwrite
        self._fingerprint = fingerprint
        self._state: dict[str, Any] = {}
        self._guard = threading.Lock()  # splits are written by threads of their own

    def __enter__(self) -> Workspace:
        self._lock.__enter__()
        try:
            restore_folder(self._out, MANIFEST)  # who held the lock may have been killed
            check_free(self._out, self._overwrite)  # or may just have finished
            state = self._found()
            if not self._usable(state):
                self._remove()
                state = {"fingerprint": self._fingerprint, "counted": None, "shards": {}}
            self._remove_unfinished()
        except BaseException:
            self._lock.__exit__()
            raise
        self._state = state
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: object) -> None:
        # What is wrong with the data or the arguments will be so again; an interruption, a full
        # disk or a lost connection leave work to go on with.
        try:
            if isinstance(error, ValueError) or not self._state.get("counted"):
                self._remove()
        finally:
            self._lock.__exit__()

    @property
    def counted(self) -> dict[str, Any] | None:
        """What the first pass found, or None before it is done."""
        return self._state["counted"]

    @counted.setter
    def counted(self, content: dict[str, Any]) -> None:
        self._state["counted"] = content
        self._save()

    def shards(self, split: str) -> list[Shard]:
        """The record files of a split that are done."""
        return [Shard(**entry) for entry in self._state["shards"].get(split, [])]

    def add_shard(self, split: str, shard: Shard) -> None:
        """Notes that a record file is done."""
        with self._guard:
            self._state["shards"].setdefault(split, []).append(dataclasses.asdict(shard))
            self._save()

    def finish(self) -> None:
        """Gives the folder its final name."""
        if tf.io.gfile.exists(join(self.path, STATE)):
            tf.io.gfile.remove(join(self.path, STATE))
        tf.io.gfile.makedirs(self.path)
        publish_folder(self.path, self._out, last=MANIFEST)

    def _found(self) -> dict[str, Any]:
        try:
            found = read_json(join(self.path, STATE))
        except (tf.errors.NotFoundError, ValueError):
            return {}
        whole = isinstance(found, dict) and {"fingerprint", "counted", "shards"} <= set(found)
        return found if whole else {}

    def _usable(self, state: Any) -> bool:
        """Whether the state is of this preparation, and the files that it names are there."""
        try:
            if state["fingerprint"] != self._fingerprint:
                return False
            rows = state["counted"]["rows"] if state["counted"] else {}
            if not all(isinstance(count, int) and count > 0 for count in rows.values()):
                return False
            for split, entries in state["shards"].items():
                check_plain(split, "split")
                for number, shard in enumerate(Shard(**entry) for entry in entries):
                    path = inside(self.path, shard.file, STATE)
                    named = shard.file.startswith(f"{split}-{number:05d}-of-")
                    if not named or tf.io.gfile.stat(path).length != shard.bytes:
                        return False
        except (AttributeError, KeyError, TypeError, DataError, tf.errors.OpError):
            return False
        return True

    def _save(self) -> None:
        write_json(join(self.path, STATE), self._state)

    def _remove_unfinished(self) -> None:
        """Removes the temporary files of a process that was killed."""
        if is_remote(self.path):
            folders = list(tf.io.gfile.walk(self.path))
        else:  # TensorFlow's follows links
            folders = list(os.walk(self.path.removeprefix("file://")))
        for folder, _, names in folders:
            for name in names:
                if name.startswith(".") and name.endswith(".tmp"):
                    tf.io.gfile.remove(join(folder, name))

    def _remove(self) -> None:
        if tf.io.gfile.exists(self.path):
            remove_folder(self.path)


def check_free(out: str, overwrite: bool) -> None:
    """Raises unless a folder can be written.

    Args:
        out: The folder.
        overwrite: Whether an already prepared folder may be replaced.

    Raises:
        DataError: Saying what is in the way.

    Example:
        >>> import tempfile
        >>> check_free(tempfile.mkdtemp(), overwrite=False)
    """
    if not out:
        raise DataError("--out is empty; name the folder to write")
    check_reachable(out)
    if not tf.io.gfile.exists(out):
        return
    if not tf.io.gfile.isdir(out):
        raise DataError(f"--out={out} is a file; name a folder")
    if tf.io.gfile.listdir(out):
        if not overwrite:
            raise DataError(f"--out={out} is not empty; name another folder or add --overwrite")
        if not (tf.io.gfile.exists(join(out, MANIFEST)) or was_interrupted(out, MANIFEST)):
            raise DataError(
                f"--out={out} holds files but no {MANIFEST}, so --overwrite will not delete it; "
                "name another folder"
            )


def fingerprint(files: Iterable[str], *decisive: object) -> str:
    """Sums up what decides the result of a preparation.

    Args:
        files: The raw files; their sizes, and local ones' times of change, count.
        *decisive: Whatever else decides; its `repr` counts.

    Returns:
        A SHA-256 in hexadecimal.

    Example:
        >>> fingerprint([], "a") == fingerprint([], "b")
        False
    """
    parts = []
    for path in files:
        changed = os.stat(path).st_mtime_ns if os.path.exists(path) else None
        parts.append((path, RawFile(path).size, changed))
    return hashlib.sha256(repr((parts, decisive)).encode()).hexdigest()

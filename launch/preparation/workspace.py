"""The hidden folder of an unfinished preparation, and its progress."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import shutil
import tempfile
import threading
from collections.abc import Iterable, Iterator
from typing import Any

import tensorflow as tf

from launch.raw.files import RawFile
from tf_helen.core.folders import is_remote, remove_folder
from tf_helen.stores import gfile
from tf_helen.stores.schemes import check_reachable
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
from zoo.data.safe_paths import check_plain, inside
from zoo.data.shard_writer import Shard

STATE = "progress.json"
_SCRATCH = ".scratch"
FINISHED = ".finished"  # what is known about record files of an unfinished pipeline


class Workspace:
    """A hidden folder next to the final one: kept on interruption, renamed at the end.

    Args:
        out: string, final folder.
        overwrite: boolean, whether a prepared folder may be replaced.
        fingerprint: string, identifies the inputs; progress with another fingerprint is removed.

    Attributes:
        path: string, the hidden folder.

    Raises:
        DataError: if the final folder is in use, or another process prepares it.

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
        self._guard = threading.Lock()  # each split is written by its own thread

    def __enter__(self) -> Workspace:
        self._lock.__enter__()
        try:
            restore_folder(self._out, MANIFEST)  # another process may have been killed before
            check_free(self._out, self._overwrite)  # or may have finished
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
        # An error in the data or the arguments would occur again. After an interruption, a full
        # disk or a lost connection, the progress is kept.
        try:
            if isinstance(error, ValueError) or not self._state.get("counted"):
                self._remove()
        finally:
            self._lock.__exit__()

    @property
    def counted(self) -> dict[str, Any] | None:
        """The result of the first pass, or `None` before it is done."""
        return self._state["counted"]

    @counted.setter
    def counted(self, content: dict[str, Any]) -> None:
        self._state["counted"] = content
        self._save()

    def shards(self, split: str) -> list[Shard]:
        """Returns the finished record files of a split."""
        return [Shard(**entry) for entry in self._state["shards"].get(split, [])]

    def add_shard(self, split: str, shard: Shard) -> None:
        """Adds a finished record file."""
        with self._guard:
            self._state["shards"].setdefault(split, []).append(dataclasses.asdict(shard))
            self._save()

    @contextlib.contextmanager
    def scratch(self) -> Iterator[str]:
        """Yields a local folder for files that are removed afterwards."""
        if is_remote(self.path):
            with tempfile.TemporaryDirectory(prefix="tf-helen-") as folder:
                yield folder
            return
        folder = join(self.path.removeprefix("file://"), _SCRATCH)
        shutil.rmtree(folder, ignore_errors=True)  # of a process that was killed
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    @contextlib.contextmanager
    def shared_scratch(self) -> Iterator[str]:
        """Yields a folder within the hidden one, for files that are removed afterwards."""
        folder = join(self.path, _SCRATCH)
        if gfile.exists(folder):
            remove_folder(folder)
        gfile.makedirs(folder)
        try:
            yield folder
        finally:
            remove_folder(folder)

    def finish(self) -> None:
        """Renames the folder to its final name."""
        if gfile.exists(join(self.path, STATE)):
            gfile.remove(join(self.path, STATE))
        for name in (_SCRATCH, FINISHED):
            if gfile.exists(join(self.path, name)):
                remove_folder(join(self.path, name))
        gfile.makedirs(self.path)
        publish_folder(self.path, self._out, last=MANIFEST)

    def _found(self) -> dict[str, Any]:
        try:
            found = read_json(join(self.path, STATE))
        except (tf.errors.NotFoundError, ValueError):
            return {}
        whole = isinstance(found, dict) and {"fingerprint", "counted", "shards"} <= set(found)
        return found if whole else {}

    def _usable(self, state: Any) -> bool:
        """Returns whether the state is of this preparation and its files exist."""
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
                    if not named or gfile.stat(path).length != shard.bytes:
                        return False
        except (AttributeError, KeyError, TypeError, DataError, tf.errors.OpError):
            return False
        return True

    def _save(self) -> None:
        write_json(join(self.path, STATE), self._state)

    def _remove_unfinished(self) -> None:
        """Removes the temporary files of a process that was killed."""
        if is_remote(self.path):
            folders = list(gfile.walk(self.path))
        else:  # gfile.walk follows links
            folders = list(os.walk(self.path.removeprefix("file://")))
        for folder, _, names in folders:
            for name in names:
                if name.startswith(".") and name.endswith(".tmp"):
                    gfile.remove(join(folder, name))

    def _remove(self) -> None:
        if gfile.exists(self.path):
            remove_folder(self.path)


def check_free(out: str, overwrite: bool) -> None:
    """Raises unless a folder can be written.

    Args:
        out: string, the folder.
        overwrite: boolean, whether a prepared folder may be replaced.

    Raises:
        DataError: names the obstacle.

    Example:
        >>> import tempfile
        >>> check_free(tempfile.mkdtemp(), overwrite=False)
    """
    if not out:
        raise DataError("--out is empty; name the folder to write")
    check_reachable(out)
    if not gfile.exists(out):
        return
    if not gfile.isdir(out):
        raise DataError(f"--out={out} is a file; name a folder")
    if gfile.listdir(out):
        if not overwrite:
            raise DataError(f"--out={out} is not empty; name another folder or add --overwrite")
        if not (gfile.exists(join(out, MANIFEST)) or was_interrupted(out, MANIFEST)):
            raise DataError(
                f"--out={out} holds files but no {MANIFEST}, so --overwrite will not delete it; "
                "name another folder"
            )


def fingerprint(files: Iterable[str], *decisive: object) -> str:
    """Returns a hash of the inputs of a preparation.

    Args:
        files: paths of the raw files; their sizes and, for local files, modification times are
            included.
        *decisive: other values that determine the result; their `repr` is included.

    Returns:
        String, SHA-256 in hexadecimal.

    Example:
        >>> fingerprint([], "a") == fingerprint([], "b")
        False
    """
    parts = []
    for path in files:
        changed = os.stat(path).st_mtime_ns if os.path.exists(path) else None
        parts.append((path, RawFile(path).size, changed))
    return hashlib.sha256(repr((parts, decisive)).encode()).hexdigest()

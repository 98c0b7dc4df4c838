"""Files that hold the states of a training: complete under their names, verified, found by name."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import posixpath
import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from tf_helen.core.folders import remove_folder

_NAME = re.compile(r"ckpt-(\d+)(?:-(\d+))?")
_PART = re.compile(_NAME.pattern + r"\.(data-.*|json)")
_PARTIAL = re.compile(r"\.(?:partial-(\d+)|checkpoint\.(\d+)\.tmp)")
_UNREADABLE = (tf.errors.OpError, ValueError, OSError, RuntimeError, KeyError)
_REMOTE = re.compile(r"(?!file://)[A-Za-z][A-Za-z0-9+.\-]*://")


@dataclasses.dataclass(frozen=True)
class SavedState:
    """A state on disk.

    Attributes:
        path: prefix of its files.
        epoch: how many epochs it has behind it.
        step: steps of the epoch after those; 0: it was taken between two epochs.
        facts: what was saved beside the variables; empty in files that hold none.
    """

    path: str
    epoch: int
    step: int
    facts: Mapping[str, Any]

    def read(self, key: str) -> np.ndarray:
        """The value of a variable; `key` is its name in the file."""
        return tf.compat.v1.train.NewCheckpointReader(self.path).get_tensor(key)

    def shapes(self) -> dict[str, list[int]]:
        """The shape of every variable in the file, by key."""
        return tf.compat.v1.train.NewCheckpointReader(self.path).get_variable_to_shape_map()


class StateFiles:
    """The newest states of a training, each written beside the others and renamed when complete.

    A state is three or more files: `ckpt-EPOCH` or `ckpt-EPOCH-STEP` with the endings of a
    `tf.train.Checkpoint` (TensorFlow keeps a checksum of every variable) and `.json` (what is no
    variable, the sizes of the other files and the checksum of the index). The index is renamed
    last: without it there is no state. States are found by listing the folder.

    Args:
        directory: folder, local or remote.
        keep: how many of the newest states to keep.

    Example:
        >>> import tempfile
        >>> files = StateFiles(tempfile.mkdtemp())
        >>> _ = files.write(tf.train.Checkpoint(w=tf.Variable(3.0)), epoch=1)
        >>> files.newest()[0].epoch
        1
    """

    def __init__(self, directory: str, keep: int = 2):
        self.directory, self._keep = os.fspath(directory), keep
        self._damaged: set[str] = set()

    def write(
        self,
        checkpoint: tf.train.Checkpoint,
        epoch: int,
        step: int = 0,
        facts: Mapping[str, Any] | None = None,
        protect: Iterable[int] = (),
    ) -> str:
        """Writes a state, reads it back, publishes it, and removes older ones.

        Args:
            checkpoint: the variables.
            epoch: how many epochs the state has behind it.
            step: steps of the next epoch.
            facts: anything that JSON holds.
            protect: numbers of epochs whose states at the end of the epoch stay too.

        Returns:
            The prefix of the files.

        Raises:
            OSError: if the file system does not give back what was written.
        """
        name = f"ckpt-{epoch}-{step}" if step else f"ckpt-{epoch}"
        final = posixpath.join(self.directory, name)
        folder = posixpath.join(self.directory, f".partial-{os.getpid()}")
        try:
            tf.io.gfile.makedirs(folder)
            prefix = posixpath.join(folder, name)
            checkpoint.write(prefix)
            parts = sorted(tf.io.gfile.glob(f"{prefix}.data-*"))
            content = {
                "facts": dict(facts or {}),
                "sizes": {os.path.basename(p): tf.io.gfile.stat(p).length for p in parts},
                "index": _sha256(f"{prefix}.index"),
            }
            _write_facts(f"{prefix}.json", content)
            if problem := _problem(prefix):
                raise OSError(
                    f"{final} was written but cannot be read back ({problem}); the states before "
                    "it are kept; check the disk"
                )
            _remove(final)  # a damaged one of the same name
            for path in (f"{prefix}.json", *parts, f"{prefix}.index"):
                _sync(path)
                target = posixpath.join(self.directory, os.path.basename(path))
                tf.io.gfile.rename(path, target, overwrite=True)
            _sync(self.directory)
        finally:
            with contextlib.suppress(FileNotFoundError, tf.errors.NotFoundError):
                remove_folder(folder)
        self._damaged.discard(name)
        self._prune(name, set(protect))
        return final

    def newest(self) -> list[SavedState]:
        """All states whose files are there, newest first; their content is not looked at."""
        found = []
        for name in self._names():
            epoch, step = _position(name)
            path = posixpath.join(self.directory, name)
            with contextlib.suppress(*_UNREADABLE):
                found.append(SavedState(path, epoch, step, _facts(path)))
                continue
            found.append(SavedState(path, epoch, step, {}))
        return found

    def newest_whole(self) -> tuple[SavedState | None, list[str]]:
        """The newest state that is whole, and a sentence for each newer one that is damaged."""
        notes: list[str] = []
        for state in self.newest():
            problem = _problem(state.path)
            if problem is None:
                return state, notes
            self._damaged.add(os.path.basename(state.path))
            notes.append(f"{state.path} is damaged ({problem})")
        return None, notes

    def whole(self, epoch: int) -> SavedState | None:
        """The state at the end of an epoch, if it is there and whole."""
        for state in self.newest():
            if (state.epoch, state.step) == (epoch, 0) and _problem(state.path) is None:
                return state
        return None

    def remove_leftovers(self, alone: bool = False) -> None:
        """Removes what killed processes left: unfinished states and files without an index.

        Args:
            alone: whether the caller knows that no other process writes to the folder.
        """
        if not tf.io.gfile.isdir(self.directory):
            return
        names = [name.rstrip("/") for name in tf.io.gfile.listdir(self.directory)]
        whole = set(self._names())
        for name in names:
            path = posixpath.join(self.directory, name)
            partial = _PARTIAL.fullmatch(name)
            if partial and (alone or not is_running(int(partial[1] or partial[2]))):
                (remove_folder if partial[1] else tf.io.gfile.remove)(path)
            elif alone and re.fullmatch(r"ckpt-\d+_temp", name) and tf.io.gfile.isdir(path):
                remove_folder(path)
            elif alone and _PART.fullmatch(name) and name.split(".")[0] not in whole:
                tf.io.gfile.remove(path)

    def _names(self) -> list[str]:
        """Names of the states that have an index, newest first."""
        if not tf.io.gfile.isdir(self.directory):
            return []
        names = [name[:-6] for name in tf.io.gfile.listdir(self.directory) if name[-6:] == ".index"]
        return sorted(filter(_NAME.fullmatch, names), key=_position, reverse=True)

    def _prune(self, newest: str, protect: set[int]) -> None:
        names = self._names()
        sound = [name for name in names if name not in self._damaged]
        kept = sound[: self._keep]
        stay = {newest, *kept, *(f"ckpt-{epoch}" for epoch in protect)}
        for name in names:
            if name not in stay:
                _remove(posixpath.join(self.directory, name))
        # For tools that ask TensorFlow for the newest; nothing here reads it.
        lines = [f'model_checkpoint_path: "{newest}"']
        lines += [f'all_model_checkpoint_paths: "{name}"' for name in reversed(kept)]
        path = posixpath.join(self.directory, "checkpoint")
        temporary = posixpath.join(self.directory, f".checkpoint.{os.getpid()}.tmp")
        with tf.io.gfile.GFile(temporary, "w") as file:
            file.write("\n".join(lines) + "\n")
        tf.io.gfile.rename(temporary, path, overwrite=True)


def is_running(process: int) -> bool:
    """Whether another process of this machine has a number; this one does not count.

    Args:
        process: number of a process.

    Returns:
        False if no such process runs, or it is this one.

    Example:
        >>> is_running(os.getpid())
        False
    """
    if process == os.getpid():
        return False  # an earlier process had the number
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    return True


def _position(name: str) -> tuple[int, int]:
    found = _NAME.fullmatch(name)
    assert found is not None, name
    return int(found[1]), int(found[2] or 0)


def _problem(path: str) -> str | None:
    """Why a state cannot be used, or None; reads all of it."""
    try:
        content = _content(path)
        for name, size in content.get("sizes", {}).items():
            part = posixpath.join(posixpath.dirname(path), posixpath.basename(name))
            found = tf.io.gfile.stat(part).length
            if found != size:
                return f"{posixpath.basename(name)} has {found:,} bytes instead of {size:,}"
        if content and content["index"] != _sha256(f"{path}.index"):
            return "its index is not the one that was written"
        reader = tf.compat.v1.train.NewCheckpointReader(path)
        for key in reader.get_variable_to_shape_map():
            reader.get_tensor(key)  # TensorFlow compares the checksum
    except _UNREADABLE as error:
        message = error.message if isinstance(error, tf.errors.OpError) else str(error)
        return (message.splitlines() or [type(error).__name__])[0]
    return None


def _facts(path: str) -> dict[str, Any]:
    return _content(path).get("facts", {})


def _content(path: str) -> dict[str, Any]:
    """What stands beside the variables; empty where older versions wrote none."""
    if not tf.io.gfile.exists(f"{path}.json"):
        if _position(posixpath.basename(path))[1]:
            raise ValueError("its .json file is missing")
        return {}
    with tf.io.gfile.GFile(f"{path}.json", "rb") as file:
        written = json.loads(file.read().decode("utf-8"))
    if written["sha256"] != hashlib.sha256(_canonical(written["content"])).hexdigest():
        raise ValueError("its .json file does not fit its own checksum")
    return written["content"]


def _write_facts(path: str, content: dict[str, Any]) -> None:
    written = {"sha256": hashlib.sha256(_canonical(content)).hexdigest(), "content": content}
    with tf.io.gfile.GFile(path, "wb") as file:
        file.write((json.dumps(written, indent=1, sort_keys=True) + "\n").encode("utf-8"))


def _canonical(content: Any) -> bytes:
    return json.dumps(content, sort_keys=True).encode("utf-8")


def _sha256(path: str) -> str:
    with tf.io.gfile.GFile(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def _remove(prefix: str) -> None:
    """Removes a state, its index first."""
    paths = tf.io.gfile.glob([f"{prefix}.index", f"{prefix}.data-*", f"{prefix}.json"])
    for path in sorted(paths, key=lambda path: not path.endswith(".index")):
        tf.io.gfile.remove(path)


def _sync(path: str) -> None:
    """Has a local file written to the disk, so that a loss of power spares what was published."""
    if _REMOTE.match(path):
        return
    with contextlib.suppress(OSError):  # folders of some systems cannot be opened
        descriptor = os.open(path.removeprefix("file://"), os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

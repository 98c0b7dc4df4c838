"""Files of the states of a training: published by rename, verified, found by name."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import json
import os
import posixpath
import re
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from tf_helen.core.folders import is_remote, remove_folder
from tf_helen.stores import gfile
from tf_helen.stores.local_copies import new_folder, upload_folder
from tf_helen.stores.schemes import is_native

_NAME = re.compile(r"ckpt-(\d+)(?:-(\d+))?")
_PART = re.compile(_NAME.pattern + r"\.(data-.*|json)")
_PARTIAL = re.compile(r"\.(?:partial-(\d+)|checkpoint\.(\d+)\.tmp)")
_UNREADABLE = (tf.errors.OpError, ValueError, OSError, RuntimeError, KeyError)


@dataclasses.dataclass(frozen=True)
class SavedState:
    """A state on disk.

    Attributes:
        path: string, prefix of its files.
        epoch: int, number of finished epochs.
        step: int, number of finished steps of the next epoch; 0: between two epochs.
        facts: dict, the part of the state that is saved as JSON; empty in files without it.
    """

    path: str
    epoch: int
    step: int
    facts: Mapping[str, Any]

    def read(self, key: str) -> np.ndarray:
        """Returns the value of a variable by its name in the file."""
        return self.reader.get_tensor(key)

    def shapes(self) -> dict[str, list[int]]:
        """Returns the shape of every variable in the file, by name."""
        return self.reader.get_variable_to_shape_map()

    @functools.cached_property
    def reader(self) -> Any:
        """The reader of the file; of a file in a store, a local copy is read."""
        path = self.path
        if self._copy is not None:
            path = os.path.join(self._copy.name, posixpath.basename(path))
        return tf.compat.v1.train.NewCheckpointReader(path)

    @functools.cached_property
    def _copy(self) -> tempfile.TemporaryDirectory | None:
        """The copies of files in a store, which are removed with this object."""
        if is_native(self.path):
            return None
        folder = tempfile.TemporaryDirectory(prefix="tf-helen-")
        for path in gfile.glob([f"{self.path}.index", f"{self.path}.data-*"]):
            gfile.copy(path, os.path.join(folder.name, posixpath.basename(path)))
        return folder


class StateFiles:
    """The newest states of a training, each written to a hidden folder and renamed when complete.

    A state has at least three files: `ckpt-EPOCH` or `ckpt-EPOCH-STEP` with the extensions of a
    `tf.train.Checkpoint` (which has a checksum of every variable) and `.json` (other values, the
    sizes of the other files and the checksum of the index). The index is renamed last, so a state
    without it is incomplete. States are found by listing the folder.

    Args:
        directory: string, folder, local or remote.
        keep: int, number of states to keep. Defaults to 2.

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
            checkpoint: `tf.train.Checkpoint` with the variables.
            epoch: int, number of finished epochs.
            step: int, number of finished steps of the next epoch. Defaults to 0.
            facts: dict that JSON can represent. Defaults to `None`: `{}`.
            protect: numbers of epochs whose states at the end of the epoch are kept. Defaults to
                none.

        Returns:
            String, prefix of the files.

        Raises:
            OSError: if the written files cannot be read back.
        """
        name = f"ckpt-{epoch}-{step}" if step else f"ckpt-{epoch}"
        final = posixpath.join(self.directory, name)
        folder = posixpath.join(self.directory, f".partial-{os.getpid()}")
        # TensorFlow writes checkpoints to file systems of its own only.
        scratch = folder if is_native(folder) else new_folder()
        try:
            gfile.makedirs(scratch)
            prefix = posixpath.join(scratch, name)
            checkpoint.write(prefix)
            parts = sorted(gfile.glob(f"{prefix}.data-*"))
            content = {
                "facts": dict(facts or {}),
                "sizes": {os.path.basename(p): gfile.stat(p).length for p in parts},
                "index": _sha256(f"{prefix}.index"),
            }
            _write_facts(f"{prefix}.json", content)
            if problem := _problem(SavedState(prefix, epoch, step, {})):
                raise OSError(
                    f"{final} was written but cannot be read back ({problem}); earlier states are "
                    "kept. Check the disk"
                )
            if scratch != folder:
                upload_folder(scratch, folder)
            _remove(final)  # a damaged state of the same name
            for path in (f"{prefix}.json", *parts, f"{prefix}.index"):
                _sync(path)
                source, target = (
                    posixpath.join(parent, os.path.basename(path))
                    for parent in (folder, self.directory)
                )
                gfile.rename(source, target, overwrite=True)
            _sync(self.directory)
        finally:
            if scratch != folder:
                shutil.rmtree(scratch, ignore_errors=True)
            with contextlib.suppress(FileNotFoundError, tf.errors.NotFoundError):
                remove_folder(folder)
        self._damaged.discard(name)
        self._prune(name, set(protect))
        return final

    def newest(self) -> list[SavedState]:
        """Returns all states, newest first, without checking their content."""
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
        """Returns the newest intact state, and a message for each newer, damaged one."""
        notes: list[str] = []
        for state in self.newest():
            problem = _problem(state)
            if problem is None:
                return state, notes
            self._damaged.add(os.path.basename(state.path))
            notes.append(f"{state.path} is damaged ({problem})")
        return None, notes

    def whole(self, epoch: int) -> SavedState | None:
        """Returns the state at the end of an epoch if it is intact, else `None`."""
        for state in self.newest():
            if (state.epoch, state.step) == (epoch, 0) and _problem(state) is None:
                return state
        return None

    def remove_leftovers(self, alone: bool = False) -> None:
        """Removes files of killed processes: unfinished states and files without an index.

        Args:
            alone: boolean, whether no other process writes to the folder. Defaults to `False`.
        """
        if not gfile.isdir(self.directory):
            return
        names = [name.rstrip("/") for name in gfile.listdir(self.directory)]
        whole = set(self._names())
        for name in names:
            path = posixpath.join(self.directory, name)
            partial = _PARTIAL.fullmatch(name)
            if partial and (alone or not is_running(int(partial[1] or partial[2]))):
                (remove_folder if partial[1] else gfile.remove)(path)
            elif alone and re.fullmatch(r"ckpt-\d+_temp", name) and gfile.isdir(path):
                remove_folder(path)
            elif alone and _PART.fullmatch(name) and name.split(".")[0] not in whole:
                gfile.remove(path)

    def _names(self) -> list[str]:
        """Returns the names of the states that have an index, newest first."""
        if not gfile.isdir(self.directory):
            return []
        names = [name[:-6] for name in gfile.listdir(self.directory) if name[-6:] == ".index"]
        return sorted(filter(_NAME.fullmatch, names), key=_position, reverse=True)

    def _prune(self, newest: str, protect: set[int]) -> None:
        names = self._names()
        sound = [name for name in names if name not in self._damaged]
        kept = sound[: self._keep]
        stay = {newest, *kept, *(f"ckpt-{epoch}" for epoch in protect)}
        for name in names:
            if name not in stay:
                _remove(posixpath.join(self.directory, name))
        # For `tf.train.latest_checkpoint`; this package does not read it.
        lines = [f'model_checkpoint_path: "{newest}"']
        lines += [f'all_model_checkpoint_paths: "{name}"' for name in reversed(kept)]
        path = posixpath.join(self.directory, "checkpoint")
        temporary = posixpath.join(self.directory, f".checkpoint.{os.getpid()}.tmp")
        with gfile.GFile(temporary, "w") as file:
            file.write("\n".join(lines) + "\n")
        gfile.rename(temporary, path, overwrite=True)


def is_running(process: int) -> bool:
    """Returns whether another process on this machine has an id.

    Args:
        process: int, id of a process.

    Returns:
        Boolean, `False` for the id of this process.

    Example:
        >>> is_running(os.getpid())
        False
    """
    if process == os.getpid():
        return False  # the id belonged to an earlier process
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


def _problem(state: SavedState) -> str | None:
    """Reads a state and returns why it cannot be used, or `None`."""
    path = state.path
    try:
        content = _content(path)
        for name, size in content.get("sizes", {}).items():
            part = posixpath.join(posixpath.dirname(path), posixpath.basename(name))
            found = gfile.stat(part).length
            if found != size:
                return f"{posixpath.basename(name)} has {found:,} bytes instead of {size:,}"
        if content and content["index"] != _sha256(f"{path}.index"):
            return "the checksum of its index differs"
        reader = state.reader
        for key in reader.get_variable_to_shape_map():
            reader.get_tensor(key)  # checks the checksum
    except _UNREADABLE as error:
        message = error.message if isinstance(error, tf.errors.OpError) else str(error)
        return (message.splitlines() or [type(error).__name__])[0]
    return None


def _facts(path: str) -> dict[str, Any]:
    return _content(path).get("facts", {})


def _content(path: str) -> dict[str, Any]:
    """Returns the JSON content of a state; empty in files of older versions."""
    if not gfile.exists(f"{path}.json"):
        if _position(posixpath.basename(path))[1]:
            raise ValueError("its .json file is missing")
        return {}
    with gfile.GFile(f"{path}.json", "rb") as file:
        written = json.loads(file.read().decode("utf-8"))
    if written["sha256"] != hashlib.sha256(_canonical(written["content"])).hexdigest():
        raise ValueError("the checksum of its .json file differs")
    return written["content"]


def _write_facts(path: str, content: dict[str, Any]) -> None:
    written = {"sha256": hashlib.sha256(_canonical(content)).hexdigest(), "content": content}
    with gfile.GFile(path, "wb") as file:
        file.write((json.dumps(written, indent=1, sort_keys=True) + "\n").encode("utf-8"))


def _canonical(content: Any) -> bytes:
    return json.dumps(content, sort_keys=True).encode("utf-8")


def _sha256(path: str) -> str:
    with gfile.GFile(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def _remove(prefix: str) -> None:
    """Removes a state, its index first."""
    paths = gfile.glob([f"{prefix}.index", f"{prefix}.data-*", f"{prefix}.json"])
    for path in sorted(paths, key=lambda path: not path.endswith(".index")):
        gfile.remove(path)


def _sync(path: str) -> None:
    """Writes a local file to the disk, so that it survives a loss of power."""
    if is_remote(path):
        return
    with contextlib.suppress(OSError):  # folders of some systems cannot be opened
        descriptor = os.open(path.removeprefix("file://"), os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

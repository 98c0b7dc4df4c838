"""Puts a new version of a split in the place of an old one: at every moment one of them is whole.

Only the manifest says which files a split has, and it is replaced by one rename. So the new files
get names that are free, the manifest then changes from the old to the new ones, and the old ones
are removed last. What lies there meanwhile beside the files of the split stands in the manifest as
`unused`, so that a reader takes it for no mistake, and the next writer removes what a process that
was killed has left.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
from collections.abc import Iterator

import tensorflow as tf

from tf_helen.core.folders import is_remote, remove_folder
from zoo.data.files import join
from zoo.data.manifest import Split, load_manifest, save_split, shard_files


class Replacement:
    """A split that is being written.

    Args:
        directory: Data folder.
        split: Split name.

    Attributes:
        partial: Hidden folder to write the files to.
        version: What tells their names from those that are taken.

    Example:
        >>> import tempfile
        >>> Replacement(tempfile.mkdtemp(), "train").version
        0
    """

    def __init__(self, directory: str | os.PathLike[str], split: str):
        self._directory, self._split = directory, split
        self.partial = join(directory, f".{split}.{os.getpid()}.partial")
        self._before = load_manifest(directory).get(split)
        there = shard_files(directory, split) if tf.io.gfile.isdir(join(directory)) else []
        if self._before is not None:
            for name in set(there) & set(self._before.unused) - set(self._before.files):
                tf.io.gfile.remove(join(directory, name))
                there.remove(name)
        taken = {int((re.search(r"\.v(\d+)\.", name) or "00")[1]) for name in there}
        self.version = next(number for number in range(len(taken) + 1) if number not in taken)

    def publish(self, result: Split) -> None:
        """Gives the files their names, and the split its entry in the manifest.

        Args:
            result: The new split, whose files lie in `partial`.
        """
        directory, split = self._directory, self._split
        if self._before is not None:
            unused = tuple({*self._before.unused, *result.files})
            save_split(directory, split, dataclasses.replace(self._before, unused=unused))
        for name in result.files:
            tf.io.gfile.rename(join(self.partial, name), join(directory, name), overwrite=True)
        # Only what is named as a file of this split is removed, whatever the old manifest said.
        old = sorted(set(shard_files(directory, split)) - set(result.files))
        if old:
            save_split(directory, split, dataclasses.replace(result, unused=tuple(old)))
            for name in old:
                tf.io.gfile.remove(join(directory, name))
        save_split(directory, split, result)


@contextlib.contextmanager
def replacing(directory: str | os.PathLike[str], split: str) -> Iterator[Replacement]:
    """Makes room for a new version of a split, and removes what is left of the work.

    Args:
        directory: Data folder.
        split: Split name.

    Yields:
        The `Replacement`.

    Raises:
        DataError: If the present manifest is malformed.

    Example:
        >>> import tempfile
        >>> with replacing(tempfile.mkdtemp(), "train") as replacement:
        ...     replacement.version
        0
    """
    replacement = Replacement(directory, split)
    try:
        yield replacement
    finally:
        if tf.io.gfile.exists(replacement.partial):
            remove_folder(replacement.partial)


def remove_abandoned(directory: str | os.PathLike[str], split: str) -> None:
    """Removes the hidden folders of processes of this machine that were killed while they wrote.

    Args:
        directory: Data folder.
        split: Split name.

    Example:
        >>> import tempfile
        >>> remove_abandoned(tempfile.mkdtemp(), "train")
    """
    if is_remote(join(directory)) or not tf.io.gfile.isdir(join(directory)):
        return
    pattern = re.compile(rf"\.{re.escape(split)}\.(\d+)\.partial", re.ASCII)
    for name in tf.io.gfile.listdir(join(directory)):
        found = pattern.fullmatch(name.rstrip("/"))
        if found and not _runs(int(found[1])):
            remove_folder(join(directory, found[0]))


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:  # it is another user's
        return True
    return True

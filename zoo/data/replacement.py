"""Replaces a split by a new version; at every moment one of them is complete.

Only the manifest says which files a split has, and it is replaced by one rename. The new files get
unused names, then the manifest changes from the old to the new files, and the old files are removed
last. Meanwhile the manifest lists the other files as `unused`, so that readers do not report them,
and the next writer removes those that a killed process left.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
from collections.abc import Iterator

from tf_helen.core.folders import is_remote, remove_folder
from tf_helen.stores import gfile
from zoo.data.files import join
from zoo.data.manifest import Split, load_manifest, save_split, shard_files


class Replacement:
    """A split that is being written.

    Args:
        directory: data folder.
        split: split name.

    Attributes:
        partial: hidden folder to which the files are written.
        version: version number in the file names, which distinguishes them from existing ones.

    Example:
        >>> import tempfile
        >>> Replacement(tempfile.mkdtemp(), "train").version
        0
    """

    def __init__(self, directory: str | os.PathLike[str], split: str):
        self._directory, self._split = directory, split
        self.partial = join(directory, f".{split}.{os.getpid()}.partial")
        self._before = load_manifest(directory).get(split)
        there = shard_files(directory, split) if gfile.isdir(join(directory)) else []
        if self._before is not None:
            for name in set(there) & set(self._before.unused) - set(self._before.files):
                gfile.remove(join(directory, name))
                there.remove(name)
        taken = {int((re.search(r"\.v(\d+)\.", name) or "00")[1]) for name in there}
        self.version = next(number for number in range(len(taken) + 1) if number not in taken)

    def publish(self, result: Split) -> None:
        """Gives the files their final names and enters the split in the manifest.

        Args:
            result: the new split, whose files are in `partial`.
        """
        directory, split = self._directory, self._split
        if self._before is not None:
            unused = tuple({*self._before.unused, *result.files})
            save_split(directory, split, dataclasses.replace(self._before, unused=unused))
        for name in result.files:
            gfile.rename(join(self.partial, name), join(directory, name), overwrite=True)
        # Removes only files named as files of this split, whatever the old manifest says.
        old = sorted(set(shard_files(directory, split)) - set(result.files))
        if old:
            save_split(directory, split, dataclasses.replace(result, unused=tuple(old)))
            for name in old:
                gfile.remove(join(directory, name))
        save_split(directory, split, result)


@contextlib.contextmanager
def replacing(directory: str | os.PathLike[str], split: str) -> Iterator[Replacement]:
    """Context manager that prepares the replacement of a split and cleans up afterwards.

    Args:
        directory: data folder.
        split: split name.

    Yields:
        The `Replacement`.

    Raises:
        DataError: if the existing manifest is malformed.

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
        if gfile.exists(replacement.partial):
            remove_folder(replacement.partial)


def remove_abandoned(directory: str | os.PathLike[str], split: str) -> None:
    """Removes the hidden folders of killed processes of this machine.

    Args:
        directory: data folder.
        split: split name.

    Example:
        >>> import tempfile
        >>> remove_abandoned(tempfile.mkdtemp(), "train")
    """
    if is_remote(join(directory)) or not gfile.isdir(join(directory)):
        return
    pattern = re.compile(rf"\.{re.escape(split)}\.(\d+)\.partial", re.ASCII)
    for name in gfile.listdir(join(directory)):
        found = pattern.fullmatch(name.rstrip("/"))
        if found and not _runs(int(found[1])):
            remove_folder(join(directory, found[0]))


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:  # owned by another user
        return True
    return True

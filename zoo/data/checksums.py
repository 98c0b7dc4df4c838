"""Compares record files with the checksums in the manifest."""

import hashlib
import os

from tf_helen.stores import gfile
from zoo.data.files import DataError, join
from zoo.data.manifest import FILE_NAME, find_split, load_manifest
from zoo.data.progress import ProgressBar

_CHUNK = 1 << 20  # bytes per read


def verify_files(directory: str | os.PathLike[str], split: str | None = None) -> int:
    """Compares the record files of a data folder with the sizes and checksums of its manifest.

    Args:
        directory: data folder.
        split: name of the split to compare. Defaults to `None`: all splits.

    Returns:
        Int, number of files, all of which match.

    Raises:
        DataError: names the first file that is missing or differs; or the manifest has no
            checksums.

    Example:
        >>> import tempfile
        >>> folder, schema = tempfile.mkdtemp(), Schema("tiny", [Categorical("user", 10)])
        >>> rows = {"ids": np.array([[3], [4]]), "label": np.array([1.0, 0.0])}
        >>> _ = write_tfrecords(folder, schema, "train", [rows])
        >>> verify_files(folder)
        1
    """
    names = sorted(load_manifest(directory)) if split is None else [split]
    if not names:
        raise DataError(f"no {FILE_NAME} in {os.fspath(directory)}; prepare the data again")
    count = 0
    for name in names:
        found = find_split(directory, name)
        if found.bytes is None or found.sha256 is None:
            raise DataError(
                f"{join(directory, FILE_NAME)} holds no checksums of split {name!r}: it has "
                "version 1 or is missing; prepare the data again to create them"
            )
        with ProgressBar(f"checking {name}", sum(found.bytes), "B", delay=1.0) as bar:
            for file, size, sha256 in zip(found.files, found.bytes, found.sha256, strict=True):
                _compare(join(directory, file), size, sha256, bar)
                count += 1
    return count


def file_checksum(path: str, bar: ProgressBar | None = None) -> str:
    """Returns the SHA-256 of a file, local or remote, in hexadecimal.

    Args:
        path: string, the file.
        bar: `ProgressBar` that receives the number of bytes read. Defaults to `None`.
    """
    digest = hashlib.sha256()
    with gfile.GFile(path, "rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            if bar is not None:
                bar.update(len(chunk))
    return digest.hexdigest()


def _compare(path: str, size: int, sha256: str, bar: ProgressBar) -> None:
    trouble, found = None, gfile.stat(path).length
    if found != size:
        trouble = f"has {found:,} bytes, its manifest says {size:,}"
    else:
        checksum = file_checksum(path, bar)
        if checksum != sha256:
            trouble = f"has the SHA-256 {checksum}, its manifest says {sha256}"
    if trouble:
        raise DataError(f"{path} {trouble}; copy the file again or prepare the data again")

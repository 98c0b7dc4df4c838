"""`manifest.json`: which record files each split has, and what they should hold."""

import json
import os
from dataclasses import dataclass

import tensorflow as tf

from zoo.files import DataError, join, read_text, write_json

FILE_NAME = "manifest.json"
VERSION = 2  # version 1 knew neither layouts nor checksums, and is still read
COMPRESSIONS = ("", "GZIP")


@dataclass(frozen=True)
class Split:
    """The record files of one split.

    Args:
        files: File names relative to the data folder, in order.
        rows: Rows written to each file; None where no manifest tells.
        positives: Sum of the labels, rounded; None where no manifest tells.
        compression: "" or "GZIP".
        layout: "packed" or "columns", see `zoo.record_layout`; None where no manifest tells.
        bytes: Size of each file; None where no manifest tells.
        sha256: Checksum of each file, in hexadecimal; None where no manifest tells.

    Example:
        >>> Split(("a.tfrecord", "b.tfrecord"), (5, 4), 3, "").total_rows
        9
    """

    files: tuple[str, ...]
    rows: tuple[int | None, ...]
    positives: int | None
    compression: str
    layout: str | None = "packed"
    bytes: tuple[int, ...] | None = None
    sha256: tuple[str, ...] | None = None

    @property
    def total_rows(self) -> int | None:
        """Rows over all files, or None if unknown."""
        return None if None in self.rows else sum(self.rows)


def load_manifest(directory: str | os.PathLike[str]) -> dict[str, Split]:
    """Reads the manifest of a data folder.

    Args:
        directory: Data folder.

    Returns:
        The splits by name; empty if the folder has no manifest.

    Raises:
        DataError: If the manifest is malformed or of a newer version.

    Example:
        >>> import tempfile
        >>> load_manifest(tempfile.mkdtemp())
        {}
    """
    path = join(directory, FILE_NAME)
    if not tf.io.gfile.exists(path):
        return {}
    try:
        content = json.loads(read_text(path))
        if content["version"] not in range(1, VERSION + 1):
            raise DataError(
                f"{path} has version {content['version']!r}, this code reads versions 1 to "
                f"{VERSION}; update tf-helen or prepare the data again"
            )
        return {name: _split(entry) for name, entry in content["splits"].items()}
    except DataError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path} is not a manifest ({error!r}); prepare the data again") from None


def save_split(directory: str | os.PathLike[str], name: str, split: Split) -> None:
    """Adds or replaces one split in the manifest of a data folder.

    Args:
        directory: Data folder.
        name: Split name, e.g. "train".
        split: Its files.

    Raises:
        DataError: If the present manifest is malformed.

    Example:
        >>> import tempfile
        >>> folder = tempfile.mkdtemp()
        >>> save_split(folder, "train", Split(("a.tfrecord",), (5,), 2, ""))
        >>> load_manifest(folder)["train"].total_rows
        5
    """
    splits = {**load_manifest(directory), name: split}
    content = {key: _entry(value) for key, value in sorted(splits.items())}
    write_json(join(directory, FILE_NAME), {"version": VERSION, "splits": content})


def find_split(directory: str | os.PathLike[str], name: str) -> Split:
    """Finds the record files of a split: by the manifest, else by their names.

    Args:
        directory: Data folder.
        name: Split name, e.g. "train".

    Returns:
        The split, every file of which exists.

    Raises:
        DataError: If the folder, the split or one of its files is missing.

    Example:
        >>> find_split("/no/such/folder", "train")
        Traceback (most recent call last):
        zoo.files.DataError: no data folder /no/such/folder; prepare the data first: ...
    """
    how = "python -m launch.prepare --dataset=NAME --out=DIRECTORY"
    if not tf.io.gfile.isdir(join(directory)):
        raise DataError(f"no data folder {os.fspath(directory)}; prepare the data first: {how}")
    splits = load_manifest(directory)
    split = splits.get(name) or _by_name(directory, name)
    if split is None:
        known = ", ".join(sorted(splits)) or "none"
        raise DataError(
            f"{os.fspath(directory)} holds no split {name!r} (splits there: {known}); "
            f"prepare the data first: {how}"
        )
    missing = [file for file in split.files if not tf.io.gfile.exists(join(directory, file))]
    if missing:
        raise DataError(
            f"{len(missing)} of {len(split.files)} files of split {name!r} are missing, first "
            f"{join(directory, missing[0])}; copy them back or prepare the data again: {how}"
        )
    return split


def shard_name(split: str, index: int, shards: int, compression: str) -> str:
    """Names a record file.

    Args:
        split: Split name.
        index: Shard, from 0.
        shards: Number of shards.
        compression: "" or "GZIP".

    Returns:
        The file name.

    Example:
        >>> shard_name("train", 0, 4, "GZIP")
        'train-00000-of-00004.tfrecord.gz'
    """
    ending = ".gz" if compression == "GZIP" else ""
    return f"{split}-{index:05d}-of-{shards:05d}.tfrecord{ending}"


def _entry(split: Split) -> dict:
    columns = {"file": split.files, "rows": split.rows}
    columns |= {key: getattr(split, key) for key in ("bytes", "sha256") if getattr(split, key)}
    files = [
        dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)
    ]
    return {
        "rows": split.total_rows,
        "positives": split.positives,
        "layout": split.layout,
        "compression": split.compression,
        "files": files,
    }


def _split(entry: dict) -> Split:
    if entry["compression"] not in COMPRESSIONS:
        raise ValueError(f"compression {entry['compression']!r}")
    files, known = entry["files"], all("sha256" in file for file in entry["files"])
    return Split(
        files=tuple(str(file["file"]) for file in files),
        rows=tuple(int(file["rows"]) for file in files),
        positives=int(entry["positives"]),
        compression=entry["compression"],
        layout=str(entry.get("layout", "packed")),
        bytes=tuple(int(file["bytes"]) for file in files) if known else None,
        sha256=tuple(str(file["sha256"]) for file in files) if known else None,
    )


def _by_name(directory: str | os.PathLike[str], name: str) -> Split | None:
    for compression in COMPRESSIONS:
        pattern = shard_name(name, 0, 0, compression).replace("00000", "?????")
        found = sorted(tf.io.gfile.glob(join(directory, pattern)))
        if found:
            shards = int(found[0].rsplit("-of-", 1)[1][:5])
            files = tuple(shard_name(name, i, shards, compression) for i in range(shards))
            return Split(files, (None,) * shards, None, compression, layout=None)
    return None

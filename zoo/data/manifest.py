"""`manifest.json`: the record files of each split, with their sizes and checksums."""

import os
import re
from dataclasses import dataclass
from typing import Any

from tf_helen.stores import gfile
from zoo.data.files import DataError, join, read_json, write_json
from zoo.data.safe_paths import check_plain, inside

FILE_NAME = "manifest.json"
VERSION = 2  # version 1 has no layouts and no checksums, and is still read
COMPRESSIONS = ("", "GZIP")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_LARGEST = 2**63 - 1
_MOST_MISSING = 100_000  # files; a name may contain any number


@dataclass(frozen=True)
class Split:
    """The record files of one split.

    Args:
        files: file names relative to the data folder, in order.
        rows: rows written to each file; None without a manifest.
        positives: sum of the labels, rounded; None without a manifest.
        compression: "" or "GZIP"; of each record with the layout "blocks", else of each file.
        layout: "blocks", "packed" or "columns", see `zoo.data.tfrecords.write_tfrecords`; None
            without a manifest.
        bytes: size of each file; None without a manifest.
        sha256: checksum of each file, in hexadecimal; None without a manifest.
        unused: files of another version of the split, which may exist while it is replaced.

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
    unused: tuple[str, ...] = ()

    @property
    def total_rows(self) -> int | None:
        """Rows over all files, or None if unknown."""
        known = [rows for rows in self.rows if rows is not None]
        return sum(known) if len(known) == len(self.rows) else None


def load_manifest(directory: str | os.PathLike[str]) -> dict[str, Split]:
    """Reads the manifest of a data folder.

    Args:
        directory: data folder.

    Returns:
        The splits by name; empty if the folder has no manifest.

    Raises:
        DataError: if the manifest is malformed, of a newer version, or names a file outside its
            folder.

    Example:
        >>> import tempfile
        >>> load_manifest(tempfile.mkdtemp())
        {}
    """
    path = join(directory, FILE_NAME)
    if not gfile.exists(path):
        return {}
    try:
        content = read_json(path)
        version, splits = content["version"], content["splits"]
        if version in range(1, VERSION + 1):
            _check_names(directory, splits, path)
            splits = {name: _split(entry) for name, entry in splits.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        trouble = str(error) if isinstance(error, DataError) else repr(error)
        raise DataError(f"{path} is not a manifest ({trouble}); prepare the data again") from None
    if version not in range(1, VERSION + 1):
        raise DataError(
            f"{path} has version {version!r}, this code reads versions 1 to {VERSION}; update "
            "tf-helen or prepare the data again"
        )
    return splits


def save_split(directory: str | os.PathLike[str], name: str, split: Split) -> None:
    """Adds or replaces one split in the manifest of a data folder.

    Args:
        directory: data folder.
        name: split name, e.g. "train".
        split: its files.

    Raises:
        DataError: if the existing manifest is malformed.

    Example:
        >>> import tempfile
        >>> folder = tempfile.mkdtemp()
        >>> save_split(folder, "train", Split(("a.tfrecord",), (5,), 2, ""))
        >>> load_manifest(folder)["train"].total_rows
        5
    """
    splits = {**load_manifest(directory), name: split}
    entries = {key: _entry(value) for key, value in sorted(splits.items())}
    parent = load_parent(directory)
    content = {"version": VERSION, "splits": entries}
    write_json(
        join(directory, FILE_NAME), content if parent is None else {**content, "parent": parent}
    )


def save_parent(directory: str | os.PathLike[str], checksum: str) -> None:
    """Notes in the manifest which folder's vocabularies a data folder extends.

    Args:
        directory: data folder with a manifest.
        checksum: `zoo.data.identity.identity_checksum(parent, splits=())` of the other folder.

    Raises:
        DataError: if there is no manifest, or it is malformed.

    Example:
        >>> import tempfile
        >>> folder = tempfile.mkdtemp()
        >>> save_split(folder, "train", Split(("a.tfrecord",), (5,), 2, ""))
        >>> save_parent(folder, "0" * 64)
        >>> load_parent(folder)[:3]
        '000'
    """
    load_manifest(directory)  # checks it
    path = join(directory, FILE_NAME)
    if not gfile.exists(path):
        raise DataError(f"no manifest at {path}; write a split first")
    write_json(path, {**read_json(path), "parent": checksum})


def load_parent(directory: str | os.PathLike[str]) -> str | None:
    """Returns the checksum that `save_parent` wrote.

    Args:
        directory: data folder.

    Returns:
        SHA-256 in hexadecimal; `None` if the folder extends no other, or has no manifest.

    Raises:
        DataError: if it is not a checksum.

    Example:
        >>> load_parent("absent") is None
        True
    """
    path = join(directory, FILE_NAME)
    if not gfile.exists(path):
        return None
    parent = read_json(path).get("parent")
    if parent is not None and not (isinstance(parent, str) and _SHA256.fullmatch(parent)):
        raise DataError(f"{path}: parent is {parent!r}, not a SHA-256; prepare the data again")
    return parent


def find_split(directory: str | os.PathLike[str], name: str) -> Split:
    """Finds the record files of a split, by the manifest or, without one, by their names.

    Args:
        directory: data folder.
        name: split name, e.g. "train".

    Returns:
        The split; all its files exist.

    Raises:
        DataError: if the folder, the split or one of its files is missing, or the folder has files
            of the split that do not belong to it.

    Example:
        >>> find_split("/no/such/folder", "train")
        Traceback (most recent call last):
        zoo.data.files.DataError: no data folder /no/such/folder; prepare the data first: ...
    """
    how = "python -m launch.prepare --dataset=NAME --out=DIRECTORY"
    check_plain(name, "split")
    if not gfile.isdir(join(directory)):
        raise DataError(f"no data folder {os.fspath(directory)}; prepare the data first: {how}")
    splits = load_manifest(directory)
    split = splits.get(name) or _by_name(directory, name)
    if split is None:
        known = ", ".join(sorted(splits)) or "none"
        raise DataError(
            f"{os.fspath(directory)} holds no split {name!r} (splits there: {known}); "
            f"prepare the data first: {how}"
        )
    there = set(shard_files(directory, name))  # one request, where each costs some time
    missing = [
        file
        for file in split.files
        if file not in there and not gfile.exists(join(directory, file))
    ]
    if missing:
        raise DataError(
            f"{len(missing)} of {len(split.files)} files of split {name!r} are missing, first "
            f"{join(directory, missing[0])}; copy them back or prepare the data again: {how}"
        )
    extra = sorted(there - {*split.files, *split.unused})
    if extra and name not in splits:
        raise DataError(
            f"{os.fspath(directory)} has files of several preparations of split {name!r}, such as "
            f"{split.files[0]} and {extra[0]}, and no manifest that says which to read; remove "
            f"the old ones, or prepare the data again: {how}"
        )
    if extra:
        raise DataError(
            f"{join(directory, extra[0])} looks like a file of split {name!r}, but the manifest "
            f"names {len(split.files)} other files ({split.files[0]} ...); remove it if it is left "
            f"over from another preparation, or prepare the data again: {how}"
        )
    return split


def shard_name(split: str, index: int, shards: int, compression: str, version: int = 0) -> str:
    """Returns the name of a record file.

    Args:
        split: split name.
        index: shard, from 0.
        shards: number of shards.
        compression: "" or "GZIP".
        version: a number above 0 distinguishes new files from those that they replace. Defaults to
            0.

    Returns:
        The file name.

    Example:
        >>> shard_name("train", 0, 4, "GZIP")
        'train-00000-of-00004.tfrecord.gz'
        >>> shard_name("train", 0, 4, "", version=1)
        'train-00000-of-00004.v1.tfrecord'
    """
    ending = ".gz" if compression == "GZIP" else ""
    other = f".v{version}" if version else ""
    return f"{split}-{index:05d}-of-{shards:05d}{other}.tfrecord{ending}"


def shard_files(directory: str | os.PathLike[str], split: str) -> list[str]:
    """Lists the files of a folder whose names are those of record files of a split.

    Args:
        directory: data folder.
        split: split name.

    Returns:
        Their names, sorted.

    Example:
        >>> import tempfile
        >>> shard_files(tempfile.mkdtemp(), "train")
        []
    """
    pattern = re.compile(
        rf"{re.escape(split)}-\d{{5,}}-of-\d{{5,}}(\.v\d+)?\.tfrecord(\.gz)?", re.ASCII
    )
    return sorted(
        name
        for name in (entry.rstrip("/") for entry in gfile.listdir(join(directory)))
        if pattern.fullmatch(name)
    )


def _entry(split: Split) -> dict:
    columns = {"file": split.files, "rows": split.rows}
    columns |= {key: getattr(split, key) for key in ("bytes", "sha256") if getattr(split, key)}
    files = [
        dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)
    ]
    entry = {
        "rows": split.total_rows,
        "positives": split.positives,
        "layout": split.layout,
        "compression": split.compression,
        "files": files,
    }
    return entry | ({"unused": split.unused} if split.unused else {})


def _check_names(directory: str | os.PathLike[str], splits: dict, path: str) -> None:
    for name, entry in splits.items():
        check_plain(name, "split")
        for file in [*(file["file"] for file in entry["files"]), *entry.get("unused", ())]:
            inside(directory, file, path)


def _split(entry: dict) -> Split:
    if entry["compression"] not in COMPRESSIONS:
        raise ValueError(f"compression {entry['compression']!r}")
    files, known = entry["files"], all("sha256" in file for file in entry["files"])
    if not files:
        raise ValueError("a split without a file")
    names = [file["file"] for file in files]
    if len({str(name) for name in names}) < len(names):
        raise ValueError("a file that occurs twice in a split")
    return Split(
        files=tuple(names),
        rows=tuple(_count(file["rows"]) for file in files),
        positives=_count(entry["positives"]),
        compression=entry["compression"],
        layout=str(entry.get("layout", "packed")),
        bytes=tuple(_count(file["bytes"]) for file in files) if known else None,
        sha256=tuple(_checksum(file["sha256"]) for file in files) if known else None,
        unused=tuple(entry.get("unused", ())),
    )


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _LARGEST:
        raise ValueError(f"{value!r} where a number from 0 to {_LARGEST} is expected")
    return value


def _checksum(value: Any) -> str:
    if not isinstance(value, str) or not _SHA256.fullmatch(value):
        raise ValueError(f"{value!r} where a SHA-256 in hexadecimal is expected")
    return value


def _by_name(directory: str | os.PathLike[str], name: str) -> Split | None:
    found = shard_files(directory, name)
    if not found:
        return None
    first = re.search(r"-of-(\d+)(?:\.v(\d+))?\.tfrecord(\.gz)?$", found[0])
    assert first is not None, found[0]
    shards, compression = int(first[1]), "GZIP" if first[3] else ""
    if shards > len(found) + _MOST_MISSING:
        raise DataError(
            f"{join(directory, found[0])} is one of {shards:,} files by its name, but {len(found)} "
            "exist; copy the others or prepare the data again"
        )
    version = int(first[2] or 0)
    files = tuple(shard_name(name, i, shards, compression, version) for i in range(shards))
    return Split(files, (None,) * shards, None, compression, layout=None)

"""Data sets that are published as one file per split."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from launch.datasets.download import download, unzip
from launch.datasets.raw import Options, Rows
from launch.datasets.tables import column_names, is_table
from launch.raw.files import list_raw
from zoo.data.files import DataError

SPLITS = ("train", "valid", "test")


@dataclass(frozen=True)
class Archive:
    """A published zip archive of one CSV file per split.

    Args:
        name: string, published name of the data set.
        md5: dict from split to the published MD5 of `<split>.csv`.
        url: string, address. Defaults to `None`: that of BARS
            (https://github.com/reczoo/Datasets).

    Example:
        >>> Archive("Frappe_x1", {"train": "ba73..."}).address
        'https://huggingface.co/datasets/reczoo/Frappe_x1/resolve/main/Frappe_x1.zip'
    """

    name: str
    md5: Mapping[str, str]
    url: str | None = None

    @property
    def address(self) -> str:
        """The address of the download."""
        base = f"https://huggingface.co/datasets/reczoo/{self.name}/resolve/main"
        return self.url or f"{base}/{self.name}.zip"


def named_files(source: str) -> dict[str, str]:
    """Finds the tables in a folder.

    Args:
        source: string, folder, pattern or file, local or `scheme://...`.

    Returns:
        Dict from the first part of the name ("train" of `train.csv.gz`) to the path.

    Raises:
        DataError: if no file is found.

    Example:
        >>> named_files("raw/frappe")["train"]  # doctest: +SKIP
        'raw/frappe/train.csv.gz'
    """
    files = [path for path in list_raw(source) if is_table(path) or path.endswith(".gz")]
    # Reversed, so that train.csv takes precedence over train.csv.gz.
    return {posixpath.basename(path.replace(os.sep, "/")).split(".")[0]: path
            for path in reversed(files)}  # fmt: skip


def split_files(
    options: Options, archive: Archive | None, splits: Sequence[str] = SPLITS
) -> dict[str, str]:
    """Finds the files of the splits in a folder or a zip archive, or downloads the archive.

    Args:
        options: `Options`; `source` is a folder with a table per split, such as `train.csv.gz`, or
            the zip archive; `None` downloads it.
        archive: `Archive` that is published, or `None` if there is none.
        splits: names of the splits. Defaults to `("train", "valid", "test")`.

    Returns:
        Dict from split to path.

    Raises:
        DataError: if a file is missing, or the download fails.

    Example:
        >>> split_files(Options(source="raw/frappe"), None)  # doctest: +SKIP
        {'train': 'raw/frappe/train.csv.gz', 'valid': ..., 'test': ...}
    """
    wanted = ", ".join(f"{split}.csv" for split in splits)
    if options.source is None and archive is None:
        raise DataError(f"no --source; name a folder with {wanted} (also .csv.gz or .parquet)")
    if archive and (options.source is None or options.source.endswith(".zip")):
        source = options.source or download(archive.address)
        members = {f"{split}.csv": archive.md5.get(split) for split in splits}
        return dict(zip(splits, unzip(source, members).values(), strict=True))
    files = named_files(options.source)
    for split in splits:
        if split not in files:
            raise DataError(
                f"{options.source}: {split}.csv.gz is missing; name a folder with {wanted} (also "
                ".csv.gz or .parquet)"
            )
    return {split: files[split] for split in splits}


def split_or_whole(options: Options, archive: Archive, whole: str) -> dict[str, str]:
    """Finds the files of the splits, or the original file that is not split yet.

    Args:
        options: `Options`; `source` is that of `split_files`, or the original file or its folder.
        archive: `Archive` that is published.
        whole: string, name of the original file; it is found by the part before the first ".".

    Returns:
        Dict from split to path, or from "whole" to the path of the original file.

    Raises:
        DataError: if neither is found, or the download fails.

    Example:
        >>> split_or_whole(Options(source="dac"), Archive("x", {}), "train.txt")  # doctest: +SKIP
        {'whole': 'dac/train.txt'}
    """
    if options.source is None or options.source.endswith(".zip"):
        return split_files(options, archive)
    found = list_raw(options.source)
    if found == [options.source]:
        return {"whole": options.source}
    files = named_files(options.source)
    if all(split in files for split in SPLITS):
        return {split: files[split] for split in SPLITS}
    if whole.split(".")[0] not in files:
        raise DataError(
            f"{options.source} holds neither {whole} nor train, valid and test .csv; name the "
            "file or the folder"
        )
    return {"whole": files[whole.split(".")[0]]}


def validated_on_test(splits: Mapping[str, Rows]) -> dict[str, Rows]:
    """Adds a valid split that is the same as test, as BARS does for data without one.

    Args:
        splits: dict with the rows of train and test.

    Returns:
        Dict with the rows of train, valid and test.

    Example:
        >>> from launch.datasets.raw import in_memory
        >>> list(validated_on_test({"train": in_memory(None), "test": in_memory(None)}))
        ['train', 'valid', 'test']
    """
    return {"train": splits["train"], "valid": splits["test"], "test": splits["test"]}


def check_columns(files: Mapping[str, str], columns: Sequence[str], what: str) -> None:
    """Raises unless every file has the columns of a data set.

    Args:
        files: dict from split to the path of a file with a header.
        columns: names of the required columns.
        what: string, name of the data set, for the message.

    Raises:
        DataError: names the first missing column.

    Example:
        >>> check_columns({"train": "train.csv"}, ["user"], "frappe")  # doctest: +SKIP
    """
    for path in files.values():
        found = column_names(path)
        for column in columns:
            if column not in found:
                raise DataError(
                    f"{path} has no column {column!r}, which {what} has; its columns: "
                    f"{', '.join(found[:50])}. Name a file of this data set"
                )

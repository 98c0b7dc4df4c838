"""Reads data sets of train, valid and test files whose columns are all categorical."""

from __future__ import annotations

from launch.datasets.fields import fields_of
from launch.datasets.raw import Options, Published, RawData
from launch.datasets.split_files import Archive, split_files
from launch.datasets.tables import column_names, table_rows
from zoo.data.files import DataError
from zoo.data.schema import Schema


def load_csv_folder(
    name: str,
    options: Options,
    *,
    archive: Archive | None = None,
    group: str | None = None,
    published: Published | None = None,
) -> RawData:
    """Reads `train`, `valid` and `test` (`.csv`, `.csv.gz` or `.parquet`), label first.

    Args:
        name: string, name of the data set.
        options: `Options`; `source` is the folder or the archive.
        archive: `Archive` to download without a source. Defaults to `None`.
        group: string, name of the group column of grouped metrics; ignored if there is no such
            column. Defaults to `None`.
        published: `Published` counts of the data set. Defaults to `None`.

    Returns:
        `RawData`; all columns except the label are fields.

    Raises:
        DataError: if a file is missing or unreadable, or the files have different columns.

    Example:
        >>> load_csv_folder("frappe", Options(source="raw/frappe"))  # doctest: +SKIP
    """
    files = split_files(options, archive)
    columns = column_names(files["train"])
    for split, path in files.items():
        found = column_names(path)
        if found != columns:
            raise DataError(
                f"{path} has the columns {', '.join(found)}, {files['train']} has "
                f"{', '.join(columns)}; {split} must have the columns of train"
            )
    label, *features = columns
    group = group if group in features else None
    schema = Schema(name, fields_of(features, options), label=label, group=group)
    splits = {split: table_rows([path]) for split, path in files.items()}
    return RawData(schema, splits, tuple(files.values()), published)

"""Reads data sets that come as train, valid and test CSV files, all columns categorical."""

import os
from collections import Counter

import polars as pl
import pyarrow as pa
from pyarrow import csv

from launch.datasets.raw import Field, Options, RawData

_SPLITS = ("train", "valid", "test")


def load_csv_folder(name: str, options: Options) -> RawData:
    """Reads `train`, `valid` and `test` as `.csv` or `.csv.gz`, label first.

    Rows with a wrong number of columns or a label other than 0 or 1 (as a number, so also "1.0")
    are dropped and counted.

    Args:
        name: Name of the data set.
        options: `source` is the folder.

    Returns:
        The tables, all columns but the label as strings.

    Raises:
        ValueError: If the folder, a file or a column is missing, a column stands twice, or no
            label of a file is 0 or 1.

    Example:
        >>> load_csv_folder("frappe", Options(source="raw/frappe"))  # doctest: +SKIP
    """
    if not options.source:
        raise ValueError(
            f"data set {name!r} needs --source=FOLDER with train.csv.gz, valid.csv.gz, test.csv.gz"
        )
    if not os.path.isdir(options.source):
        raise ValueError(f"--source={options.source} is no folder; give the one with train.csv.gz")
    dropped: Counter[str] = Counter()
    splits = {split: _read(options.source, split, dropped) for split in _SPLITS}
    columns = splits["train"].columns
    for split, table in splits.items():
        if table.columns != columns:
            raise ValueError(
                f"{options.source}: {split} has the columns {table.columns}, train has {columns}"
            )
    label, *features = columns
    return RawData(
        name, splits, tuple(Field(column) for column in features), label=label, dropped=dropped
    )


def _read(folder: str, split: str, dropped: Counter[str]) -> pl.DataFrame:
    paths = [os.path.join(folder, f"{split}.csv{ending}") for ending in (".gz", "")]
    path = next((path for path in paths if os.path.exists(path)), None)
    if path is None:
        raise ValueError(f"{paths[0]} is missing; put train, valid and test .csv.gz files there")

    def skip(row: csv.InvalidRow) -> str:
        dropped[f"{split}: wrong number of columns"] += 1
        return "skip"

    try:
        # Arrow's reader can hand over ragged rows to be counted; polars raises or pads them.
        with csv.open_csv(path, parse_options=csv.ParseOptions(invalid_row_handler=skip)) as head:
            names = head.schema.names
        twice = [name for name, count in Counter(names).items() if count > 1]
        if twice:
            raise ValueError(f"the column {twice[0]!r} stands twice in its header; rename one")
        dropped.pop(f"{split}: wrong number of columns", None)
        types = {name: pa.string() for name in names}
        table = pl.from_arrow(
            csv.read_csv(
                path,
                read_options=csv.ReadOptions(block_size=1 << 24),
                parse_options=csv.ParseOptions(invalid_row_handler=skip),
                convert_options=csv.ConvertOptions(column_types=types, strings_can_be_null=False),
            )
        )
    except (ValueError, OSError, EOFError) as error:  # pa.ArrowInvalid is a ValueError
        raise ValueError(f"{path} cannot be read as CSV: {error}") from None
    label = table.columns[0]
    number = pl.col(label).str.strip_chars().cast(pl.Float32, strict=False)
    good = table.filter(number.is_in([0.0, 1.0])).with_columns(number)
    if good.height < table.height:
        dropped[f"{split}: label is not 0 or 1"] += table.height - good.height
    if table.height and not good.height:
        raise ValueError(
            f"{path}: no label is 0 or 1; the first column, {label!r}, must be the label. "
            f"Received: {table[label][0]!r}"
        )
    return good

"""Criteo's Kaggle challenge as BARS prepares it (Criteo_x4): 13 counts and 26 categories."""

from __future__ import annotations

import polars as pl

from launch.datasets.fields import fields_of
from launch.datasets.raw import Options, Published, RawData
from launch.datasets.split_files import Archive, check_columns, split_or_whole
from launch.datasets.splitting import fold_splits, mapped
from launch.datasets.stratified import label_classes, stratified_folds
from launch.datasets.tables import table_rows
from zoo.data.schema import Schema

COUNTS = tuple(f"I{number}" for number in range(1, 14))
CATEGORIES = tuple(f"C{number}" for number in range(1, 27))
LABEL = "Label"
ARCHIVE = Archive(
    "Criteo_x4",
    {
        "train": "4a53bb7cbc0e4ee25f9d6a73ed824b1a",
        "valid": "fba5428b22895016e790e2dec623cb56",
        "test": "cfc37da0d75c4d2d8778e76997df2976",
    },
)
# The folds of each split, of ten, and the seed that assigns rows to folds.
FOLDS = {"train": range(2, 10), "valid": (1,), "test": (0,)}
SEED = 2018
_POSITIVES = 1_174_544 / 4_584_062


def load_001(options: Options) -> RawData:
    """Reads Criteo with minimum count 10 (Criteo_x4_001).

    Args:
        options: `Options`; `source` is Criteo's `train.txt` or its folder, `Criteo_x4.zip`, or a
            folder with its train, valid and test `.csv`; without it, the zip is downloaded.

    Returns:
        `RawData`, the rows and their schema.

    Raises:
        DataError: if a file is missing or malformed, or the download fails.

    Example:
        >>> load_001(Options(source="dac/train.txt"))  # doctest: +SKIP
    """
    return _load("criteo_x4_001", options, min_count=10, features=910_669)


def load_002(options: Options) -> RawData:
    """Reads Criteo with minimum count 2 (Criteo_x4_002).

    Args:
        options: as in `load_001`.

    Returns:
        `RawData`, the rows and their schema.

    Raises:
        DataError: as in `load_001`.

    Example:
        >>> load_002(Options(source="dac/train.txt"))  # doctest: +SKIP
    """
    return _load("criteo_x4_002", options, min_count=2, features=None)


def _load(name: str, options: Options, min_count: int, features: int | None) -> RawData:
    fields = [
        *fields_of(COUNTS, options, min_count, encoding="log_square"),
        *fields_of(CATEGORIES, options, min_count),
    ]
    columns = (LABEL, *COUNTS, *CATEGORIES)
    files = split_or_whole(options, ARCHIVE, "train.txt")
    if "train" in files:
        check_columns(files, columns, name)
        splits = {split: mapped(table_rows([path]), _clean) for split, path in files.items()}
    else:
        rows = table_rows([files["whole"]], names=columns, separator="\t")
        classes = label_classes(rows, LABEL, "labels for the folds")
        folds = stratified_folds(classes, 10, SEED)
        splits = fold_splits(mapped(rows, _clean), folds, FOLDS)
    published = Published(
        f"BARS, {name.replace('criteo', 'Criteo')}",
        {"train": 36_672_493, "valid": 4_584_062, "test": 4_584_062},
        features=features,
        positives={"train": 9_396_350 / 36_672_493, "valid": _POSITIVES, "test": _POSITIVES},
    )
    schema = Schema(name, fields, label=LABEL)
    return RawData(schema, splits, tuple(files.values()), published)


def _clean(frame: pl.DataFrame) -> pl.DataFrame:
    # BARS replaces missing counts by 0 and maps 0 to id 0, so a count of 0 becomes missing here.
    # Texts that are not numbers are kept, so that they are counted as such.
    zero = pl.col(COUNTS).cast(pl.String).str.strip_chars().cast(pl.Float64, strict=False) == 0
    kept = pl.when(~zero.fill_null(False)).then(pl.col(COUNTS))
    return frame.with_columns(kept.name.keep())

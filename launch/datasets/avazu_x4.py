"""Avazu's Kaggle challenge as BARS prepares it (Avazu_x4_001): 24 fields, three from the time."""

from __future__ import annotations

import polars as pl

from launch.datasets.criteo_x4 import FOLDS, SEED
from launch.datasets.fields import fields_of
from launch.datasets.raw import Options, Published, RawData
from launch.datasets.split_files import Archive, check_columns, split_or_whole
from launch.datasets.splitting import fold_splits, mapped
from launch.datasets.stratified import label_classes, stratified_folds
from launch.datasets.tables import table_rows
from zoo.data.schema import Schema

LABEL = "click"
AS_THEY_ARE = (
    "C1",
    "banner_pos",
    "site_id",
    "site_domain",
    "site_category",
    "app_id",
    "app_domain",
    "app_category",
    "device_id",
    "device_ip",
    "device_model",
    "device_type",
    "device_conn_type",
    "C14",
    "C15",
    "C16",
    "C17",
    "C18",
    "C19",
    "C20",
    "C21",
)
FIELDS = ("hour", *AS_THEY_ARE, "weekday", "weekend")
ARCHIVE = Archive(
    "Avazu_x4",
    {
        "train": "de3a27264cdabf66adf09df82328ccaa",
        "valid": "33232931d84d6452d3f956e936cab2c9",
        "test": "3ebb774a9ca74d05919b84a3d402986d",
    },
)
PUBLISHED = Published(
    "BARS, Avazu_x4_001",
    {"train": 32_343_172, "valid": 4_042_897, "test": 4_042_898},
    features=3_750_951,
    positives={
        "train": 5_492_052 / 32_343_172,
        "valid": 686_507 / 4_042_897,
        "test": 686_507 / 4_042_898,
    },
)


def load(options: Options) -> RawData:
    """Reads Avazu with minimum count 2, without `id`; `hour` becomes hour, weekday, weekend.

    Args:
        options: `Options`; `source` is Kaggle's `train.gz` or `train.csv` or its folder,
            `Avazu_x4.zip`, or a folder with its train, valid and test `.csv`; without it, the zip
            is downloaded.

    Returns:
        `RawData`, the rows and their schema.

    Raises:
        DataError: if a file is missing or malformed, or the download fails.

    Example:
        >>> load(Options(source="avazu/train.gz"))  # doctest: +SKIP
    """
    files = split_or_whole(options, ARCHIVE, "train.gz")
    check_columns(files, (LABEL, "hour", *AS_THEY_ARE), "avazu_x4_001")
    if "train" in files:
        splits = {split: mapped(table_rows([path]), _clean) for split, path in files.items()}
    else:
        rows = table_rows([files["whole"]], separator=",")
        folds = stratified_folds(label_classes(rows, LABEL, "labels for the folds"), 10, SEED)
        splits = fold_splits(mapped(rows, _clean), folds, FOLDS)
    schema = Schema("avazu_x4_001", fields_of(FIELDS, options, 2), label=LABEL, time="time")
    return RawData(schema, splits, tuple(files.values()), PUBLISHED)


def _clean(frame: pl.DataFrame) -> pl.DataFrame:
    raw = pl.col("hour").cast(pl.String).str.strip_chars()  # YYMMDDHH
    well_formed = raw.str.contains(r"^\d{8}$")
    day = pl.when(well_formed).then(raw.str.slice(0, 6)).str.to_date("%y%m%d", strict=False)
    hour = pl.when(well_formed).then(raw.str.slice(6)).cast(pl.Int64, strict=False)
    weekday = day.dt.weekday() % 7  # 0 is Sunday
    return frame.select(
        LABEL,
        hour.alias("hour"),
        *AS_THEY_ARE,
        weekday.alias("weekday"),
        weekday.is_in([0, 6]).cast(pl.Int8).alias("weekend"),
        (day.dt.epoch("s") + hour * 3600).alias("time"),
    )

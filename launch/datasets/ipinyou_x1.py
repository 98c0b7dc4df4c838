"""iPinYou's bidding contest: 16 fields of seasons 2 and 3 (iPinYou_x1, make-ipinyou-data)."""

from __future__ import annotations

import polars as pl

from launch.datasets.fields import fields_of
from launch.datasets.raw import Options, Published, RawData
from launch.datasets.split_files import (
    Archive,
    check_columns,
    named_files,
    split_files,
    validated_on_test,
)
from launch.datasets.splitting import mapped
from launch.datasets.tables import column_names, table_rows
from zoo.data.files import DataError
from zoo.data.schema import Schema

ARCHIVE = Archive(
    "iPinYou_x1",
    {"train": "9dd8979d265ab1ed7662ffd49fd73247", "test": "a94374868687794ff8c0c4d0b124a400"},
)
PUBLISHED = Published(
    "a scan of iPinYou_x1; features: Ads-RecSys-Datasets",
    {"train": 15_395_258, "valid": 4_100_716, "test": 4_100_716},
    features=937_654,
    positives={
        "train": 11_557 / 15_395_258,
        "valid": 3_008 / 4_100_716,
        "test": 3_008 / 4_100_716,
    },
)
FIELDS = (
    "weekday",
    "hour",
    "IP",
    "region",
    "city",
    "adexchange",
    "domain",
    "slotid",
    "slotwidth",
    "slotheight",
    "slotvisibility",
    "slotformat",
    "creative",
    "advertiser",
    "useragent",
    "slotprice",
)
_LABEL = "click"
_SYSTEMS = ("windows", "ios", "mac", "android", "linux")
_BROWSERS = ("chrome", "sogou", "maxthon", "safari", "firefox", "theworld", "opera", "ie")
_PRICES = ((100, "101+"), (50, "51-100"), (10, "11-50"), (0, "1-10"))


def load(options: Options) -> RawData:
    """Reads iPinYou; valid is the same as test, because no other split is published.

    Args:
        options: `Options`; `source` is `iPinYou_x1.zip`, a folder with its `train.csv` and
            `test.csv`, or a folder with `train.log.txt` and `test.log.txt` of make-ipinyou-data;
            without it, the zip is downloaded.

    Returns:
        `RawData`, the rows and their schema.

    Raises:
        DataError: if a file is missing or malformed, or the download fails.

    Example:
        >>> load(Options(source="make-ipinyou-data/all"))  # doctest: +SKIP
    """
    zipped = options.source is None or options.source.endswith(".zip")
    found = {} if zipped else named_files(options.source)
    if found.get("train", "").endswith(".log.txt"):
        files = split_files(options, None, ("train", "test"))
        check_columns(files, (_LABEL, "timestamp", *FIELDS), "make-ipinyou-data")
        splits = {split: mapped(table_rows([path]), _features) for split, path in files.items()}
        schema = Schema("ipinyou_x1", fields_of(FIELDS, options), label=_LABEL, time="timestamp")
    else:
        files = split_files(options, ARCHIVE, ("train", "test"))
        label, *names = column_names(files["train"])
        if len(names) != len(FIELDS):
            raise DataError(
                f"{files['train']} has {len(names) + 1} columns; iPinYou_x1 has the label and "
                f"{len(FIELDS)} fields. Name a file of iPinYou_x1"
            )
        check_columns(files, (label, *names), "its train split")
        splits = {split: table_rows([path]) for split, path in files.items()}
        schema = Schema("ipinyou_x1", fields_of(names, options), label=label)
    return RawData(schema, validated_on_test(splits), tuple(files.values()), PUBLISHED)


def _features(frame: pl.DataFrame) -> pl.DataFrame:
    """Returns the 16 fields of a log; user agents become system and browser, prices ranges."""
    agent = pl.col("useragent").str.to_lowercase()
    price = pl.col("slotprice").cast(pl.String).str.strip_chars().cast(pl.Float64, strict=False)
    bucket = pl.when(price.is_null()).then(None)
    for least, name in _PRICES:
        bucket = bucket.when(price > least).then(pl.lit(name))
    return frame.select(
        _LABEL,
        *FIELDS[:-2],
        pl.concat_str([_first(agent, _SYSTEMS), _first(agent, _BROWSERS)], separator="_").alias(
            "useragent"
        ),
        bucket.otherwise(pl.lit("0")).alias("slotprice"),
        "timestamp",
    )


def _first(text: pl.Expr, words: tuple[str, ...]) -> pl.Expr:
    """Returns the first word that a text contains, or "other"."""
    found = pl.when(False).then(pl.lit(""))
    for word in words:
        found = found.when(text.str.contains(word, literal=True)).then(pl.lit(word))
    return found.otherwise(pl.lit("other"))

"""Taobao's display ads (TaobaoAd_x1, or Alibaba's original files)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl

from launch.datasets.fields import fields_of
from launch.datasets.histories import newest
from launch.datasets.raw import (
    NOWHERE,
    Options,
    Published,
    RawData,
    RowAccount,
    Rows,
    SharedSplits,
)
from launch.datasets.split_files import (
    Archive,
    check_columns,
    named_files,
    split_files,
    validated_on_test,
)
from launch.datasets.splitting import mapped
from launch.datasets.tables import column_names, table_rows
from zoo.data.columns import Numeric
from zoo.data.files import DataError
from zoo.data.schema import Schema

ARCHIVE = Archive(
    "TaobaoAd_x1",
    {"train": "eaabfc8629f23519b04593e26c7522fc", "test": "f5ae6197e52385496d46e2867c1c8da1"},
)
PUBLISHED = Published(
    "BARS, TaobaoAd_x1", {"train": 21_929_911, "valid": 3_099_515, "test": 3_099_515}
)
LAST_DAY = 1_494_604_800  # seconds: 2017-05-13, 00:00 in Beijing
USER = (
    "cms_segid",
    "cms_group_id",
    "final_gender_code",
    "age_level",
    "pvalue_level",
    "shopping_level",
    "occupation",
    "new_user_class_level",
)
AD = ("cate_id", "campaign_id", "customer", "brand")
FIELDS = ("userid", *USER, "adgroup_id", *AD, "pid")
_TARGETS = ("cate_id", "brand", "btag")
HISTORIES = ("cate_his", "brand_his", "btag_his")
LENGTH = 50
_LABEL, _PRICE, _TIME = "clk", "price", "time_stamp"
_MIN_COUNT = 10


def load(options: Options) -> RawData:
    """Reads Taobao's ads; valid is the same as test, as in BARS.

    Args:
        options: `Options`; `source` is `TaobaoAd_x1.zip`, a folder with its `train.csv` and
            `test.csv`, or a folder with Alibaba's `raw_sample.csv`, `ad_feature.csv` and
            `user_profile.csv`; without it, the zip is downloaded.

    Returns:
        `RawData`; rows of Alibaba's files have no histories of behavior.

    Raises:
        DataError: if a file is missing or malformed, or the download fails.

    Example:
        >>> load(Options(source="taobao"))  # doctest: +SKIP
    """
    zipped = options.source is None or options.source.endswith(".zip")
    if not zipped and "raw_sample" in (found := named_files(options.source)):
        return _from_raw(options, found)
    files = split_files(options, ARCHIVE, ("train", "test"))
    check_columns(files, (_LABEL, *FIELDS, "btag", _PRICE, *HISTORIES), "TaobaoAd_x1")
    fields = [
        *fields_of((*FIELDS, "btag"), options, _MIN_COUNT),
        *fields_of(HISTORIES, options, _MIN_COUNT, length=LENGTH, shares=_TARGETS),
    ]
    past = newest(HISTORIES, LENGTH)
    # The prices in these files are in [0, 1] and are not transformed.
    price = Numeric(_PRICE, transform="none")
    schema = Schema("taobao_ad", fields, [price], label=_LABEL, group="userid")
    splits = {split: mapped(table_rows([path]), past) for split, path in files.items()}
    return RawData(schema, validated_on_test(splits), tuple(files.values()), PUBLISHED)


def _from_raw(options: Options, found: dict[str, str]) -> RawData:
    for name in ("ad_feature", "user_profile"):
        if name not in found:
            raise DataError(
                f"{options.source} holds raw_sample but no {name}.csv; name a folder with the "
                "three files of https://tianchi.aliyun.com/dataset/56"
            )
    files = [found[name] for name in ("raw_sample", "ad_feature", "user_profile")]
    check_columns({"": files[0]}, ("user", _TIME, "adgroup_id", "pid", _LABEL), "raw_sample.csv")
    met = RowAccount()
    ads = _described(files[1], "adgroup_id", (*AD, _PRICE), met)
    users = _described(files[2], "userid", USER, met)
    rows = _joined(table_rows(files[:1]), ads, users, met)
    fields = fields_of(FIELDS, options, _MIN_COUNT)
    # BARS maps these prices to [0, 1]; here they are standardized instead.
    numbers = [Numeric(_PRICE)]
    schema = Schema("taobao_ad", fields, numbers, label=_LABEL, group="userid", time=_TIME)
    return RawData(schema, _Days(rows), tuple(files), PUBLISHED)


def _described(path: str, key: str, columns: tuple[str, ...], met: RowAccount) -> pl.DataFrame:
    """Returns users or ads, one row each; spaces around header names are removed."""
    named = {name: name.strip() for name in column_names(path)}
    for column in (key, *columns):
        if column not in named.values():
            raise DataError(f"{path} has no column {column!r}; its columns: {', '.join(named)}")
    frames = [pl.DataFrame(schema=dict.fromkeys((key, *columns), pl.String))]
    for frame in table_rows([path])(met):
        frames.append(frame.rename(named).select(key, *columns).cast(pl.String))
    table = pl.concat(frames).with_columns(pl.all().replace("NULL", None))
    once = table.unique(key, keep="first", maintain_order=True)
    if once.height < table.height:
        met.left_out[f"{key} described again"] += table.height - once.height
    return once


def _joined(samples: Rows, ads: pl.DataFrame, users: pl.DataFrame, met: RowAccount) -> Rows:
    def rows(account: RowAccount) -> Iterator[pl.DataFrame]:
        account.damaged.update(met.damaged)
        account.left_out.update(met.left_out)
        for frame in samples(account):
            frame = frame.cast(pl.String).rename({"user": "userid"})
            for key, table in (("userid", users), ("adgroup_id", ads)):
                before = frame.height
                frame = frame.join(table, on=key, how="inner", maintain_order="left")
                if frame.height < before:
                    account.left_out[f"{key} is not described"] += before - frame.height
            yield frame.select(_LABEL, *FIELDS, _PRICE, _TIME)

    return rows


class _Days(SharedSplits):
    """Splits by day: the last day is test and valid, the days before are train."""

    def __init__(self, rows: Rows):
        super().__init__(rows, ("train", "valid", "test"), _day)

    def stream(self, account: RowAccount) -> Iterator[tuple[str, pl.DataFrame]]:
        for split, frame in super().stream(account):
            if split == "test":
                yield "valid", frame
            if split != "valid":
                yield split, frame


def _day(first: int, frame: pl.DataFrame, account: RowAccount) -> np.ndarray:
    time = frame[_TIME].str.strip_chars().cast(pl.Int64, strict=False)
    if time.null_count():
        account.damaged[f"no time in {_TIME!r}"] += time.null_count()
    place = np.where(time.fill_null(0).to_numpy() >= LAST_DAY, 2, 0)
    return np.where(time.is_null().to_numpy(), NOWHERE, place)

"""MovieLens tags (MovielensLatest_x1): did a user give a tag to a film?"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl

from launch.datasets.download import unzip
from launch.datasets.fields import fields_of
from launch.datasets.negatives import sample_outside
from launch.datasets.raw import Options, Published, RawData, RowAccount
from launch.datasets.split_files import Archive, check_columns, named_files, split_files
from launch.datasets.splitting import random_splits
from launch.datasets.tables import table_rows
from zoo.data.files import DataError
from zoo.data.schema import Schema

ARCHIVE = Archive(
    "MovielensLatest_x1",
    {
        "train": "efc8bceeaa0e895d566470fc99f3f271",
        "valid": "e1930223a5026e910ed5a48687de8af1",
        "test": "54e8c6baff2e059fe067fb9b69e692d0",
    },
)
PUBLISHED = Published(
    "BARS, MovielensLatest_x1",
    {"train": 1_404_801, "valid": 401_372, "test": 200_686},
    features=90_236,
    positives={
        "train": 467_878 / 1_404_801,
        "valid": 134_225 / 401_372,
        "test": 66_850 / 200_686,
    },
)
FIELDS = ("user_id", "item_id", "tag_id")
NEGATIVES = 2  # per given tag
SHARES = {"train": 0.7, "valid": 0.2, "test": 0.1}
_TAGS = {"userId": "user_id", "movieId": "item_id", "tag": "tag_id"}
_ROWS = 1 << 16


def load(options: Options) -> RawData:
    """Reads BARS's splits, or creates splits from GroupLens's tags in the same way.

    Args:
        options: `Options`; `source` is `MovielensLatest_x1.zip`, a folder with its train, valid and
            test `.csv`, or a GroupLens archive, its folder or its `tags.csv`; without it, BARS's
            zip is downloaded. `seed` is the seed of the negatives and splits of `tags.csv`.

    Returns:
        `RawData`, the rows and their schema.

    Raises:
        DataError: if a file is missing or malformed, or the download fails.

    Example:
        >>> load(Options(source="ml-20m/tags.csv"))  # doctest: +SKIP
    """
    tags = _tags_file(options.source)
    schema = Schema("movielens_latest", fields_of(FIELDS, options), group="user_id")
    if tags is None:
        files = split_files(options, ARCHIVE)
        check_columns(files, ("label", *FIELDS), "MovielensLatest_x1")
        splits = {split: table_rows([path]) for split, path in files.items()}
        return RawData(schema, splits, tuple(files.values()), PUBLISHED)
    check_columns({"": tags}, tuple(_TAGS), "MovieLens's tags.csv")
    rows = _Sampled(tags, options.seed)
    return RawData(schema, random_splits(rows, SHARES, options.seed), (tags,), PUBLISHED)


def _tags_file(source: str | None) -> str | None:
    if source is None or source.rsplit("/", 1)[-1] == f"{ARCHIVE.name}.zip":
        return None
    if source.endswith(".zip"):
        return unzip(source, {"tags.csv": None})["tags.csv"]
    return named_files(source).get("tags")


class _Sampled:
    """Rows of given tags, each followed by tags that the user did not give to the film."""

    def __init__(self, path: str, seed: int):
        self._met = RowAccount()
        empty = pl.DataFrame(schema=dict.fromkeys(_TAGS, pl.String))
        frames = [frame.select(*_TAGS).cast(pl.String) for frame in table_rows([path])(self._met)]
        table = pl.concat([empty, *frames]).rename(_TAGS)
        full = table.filter(pl.all_horizontal(pl.col(FIELDS).str.strip_chars() != ""))
        if not full.height:
            raise DataError(f"{path} holds no tags; name the tags.csv of GroupLens")
        self._met.damaged["an empty user, film or tag"] += table.height - full.height
        self._given = full.unique(maintain_order=True)
        self._met.left_out["tag given again"] += full.height - self._given.height
        self._negatives = self._sample(np.random.default_rng(seed))

    def _sample(self, random: np.random.Generator) -> np.ndarray:
        pair = pl.struct("user_id", "item_id").rank("dense").cast(pl.Int64) - 1
        tag = pl.col("tag_id").rank("dense").cast(pl.Int64) - 1
        codes = self._given.select(pair.alias("pair"), tag.alias("tag"))
        self._tags = self._given["tag_id"].unique().sort()
        known = np.unique(codes["pair"].to_numpy() * len(self._tags) + codes["tag"].to_numpy())
        owners = np.repeat(codes["pair"].to_numpy(), NEGATIVES)
        drawn = sample_outside(owners, known, len(self._tags), random)
        return drawn.reshape(-1, NEGATIVES).astype(np.int32)

    def __call__(self, account: RowAccount) -> Iterator[pl.DataFrame]:
        account.damaged.update(+self._met.damaged)
        account.left_out.update(+self._met.left_out)
        for start in range(0, self._given.height, _ROWS):
            given = self._given[start : start + _ROWS]
            drawn = self._negatives[start : start + _ROWS]
            tags = np.column_stack([given["tag_id"].to_numpy(), self._tags.to_numpy()[drawn]])
            times = 1 + NEGATIVES
            place = np.repeat(np.arange(given.height), times)
            label = np.tile([1] + [0] * NEGATIVES, given.height).astype(np.int8)
            yield given[place].with_columns(
                pl.Series("tag_id", tags.ravel(), dtype=pl.String), pl.Series("label", label)
            )

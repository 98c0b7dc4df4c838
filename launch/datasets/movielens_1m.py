"""MovieLens-1M (Harper & Konstan 2015) as click data: a rating of 4 or 5 is a click."""

import os
import zipfile
from collections import Counter

import polars as pl

from launch.datasets.download import download
from launch.datasets.fields import fields_of
from launch.datasets.raw import Options, RawData, in_memory
from zoo.data.files import DataError
from zoo.data.schema import Schema

URL = "https://files.grouplens.org/datasets/movielens/ml-1m.zip"
MD5 = "c4d9eecfca2ab87c1945afe126590906"
_MAX_GENRES = 6
_COLUMNS = {
    "ratings": ("user", "item", "rating", "time"),
    "users": ("user", "gender", "age", "occupation", "zip"),
    "movies": ("item", "title", "genres"),
}


def load(options: Options) -> RawData:
    """Reads MovieLens-1M, split by time: 80 % train, 10 % valid, 10 % test.

    Malformed lines, and ratings of unknown users or films, are dropped and counted.

    Args:
        options: `Options`; `source` is `ml-1m.zip` or the extracted folder; without it, the zip is
            downloaded once to `~/.cache/tf-helen`.

    Returns:
        `RawData`; the train split has the counts of dropped rows.

    Raises:
        DataError: if a file is missing or damaged, or the download fails.

    Example:
        >>> load(Options(source="ml-1m.zip"))  # doctest: +SKIP
    """
    source = options.source or download(URL, MD5)
    dropped: Counter[str] = Counter()
    tables = {name: _table(source, name, dropped) for name in _COLUMNS}
    ratings = tables["ratings"].with_columns(
        pl.col("rating").cast(pl.Int32, strict=False), pl.col("time").cast(pl.Int64, strict=False)
    )
    good = ratings.filter(pl.col("rating").is_between(1, 5) & pl.col("time").is_not_null())
    _count(dropped, "ratings: not a number", ratings.height - good.height)
    described = good.join(tables["users"], on="user").join(tables["movies"], on="item")
    _count(dropped, "ratings: user or film not described", good.height - described.height)
    if described.height < 10:
        raise DataError(f"{source} holds {described.height} usable ratings; at least 10 are needed")
    when = pl.from_epoch("time")
    rows = described.sort("time", "user", "item").select(
        (pl.col("rating") >= 4).cast(pl.Float32).alias("label"),
        "user",
        "item",
        "gender",
        "age",
        "occupation",
        "zip",
        pl.col("genres").str.split("|"),
        "time",
        when.dt.hour().alias("hour"),
        when.dt.weekday().alias("weekday"),
    )
    first, second = rows.height * 8 // 10, rows.height * 9 // 10
    splits = {
        "train": in_memory(rows[:first], dropped),
        "valid": in_memory(rows[first:second]),
        "test": in_memory(rows[second:]),
    }
    fields = [
        *fields_of(("user", "item", "gender", "age", "occupation", "zip"), options),
        *fields_of(["genres"], options, length=_MAX_GENRES),
        *fields_of(("hour", "weekday"), options),
    ]
    schema = Schema("movielens_1m", fields, group="user", time="time", time_ordered=True)
    files = tuple(_path(source, f"{name}.dat") for name in _COLUMNS)
    return RawData(schema, splits, tuple(dict.fromkeys(files)))


def _table(source: str, name: str, dropped: Counter[str]) -> pl.DataFrame:
    """Reads one of the three files; CSV readers do not support its separator "::"."""
    lines = pl.Series("line", _content(source, f"{name}.dat").decode("latin-1").split("\n"))
    lines = lines.str.strip_chars_end("\r").filter(lines != "")
    columns = _COLUMNS[name]
    parts = lines.str.split("::")
    fitting = parts.filter(parts.list.len() == len(columns))
    table = pl.DataFrame({column: fitting.list.get(place) for place, column in enumerate(columns)})
    if name != "ratings":  # a second description of the same id would double its ratings
        table = table.unique(columns[0], keep="first", maintain_order=True)
    _count(dropped, f"{name}: malformed or repeated lines", len(lines) - table.height)
    return table


def _count(dropped: Counter[str], reason: str, rows: int) -> None:
    if rows:
        dropped[reason] += rows


def _path(source: str, file: str) -> str:
    """Returns the path of one of the three files, or of the archive that contains it."""
    if not os.path.isdir(source):
        return source
    inner = [os.path.join(source, *folder, file) for folder in ((), ("ml-1m",))]
    path = next((path for path in inner if os.path.exists(path)), None)
    if path is None:
        raise DataError(f"{source} holds no {file}; name the extracted ml-1m folder")
    return path


def _content(source: str, file: str) -> bytes:
    path = _path(source, file)
    try:
        if path != source:
            with open(path, "rb") as stream:
                return stream.read()
        with zipfile.ZipFile(source) as archive:
            return archive.read(f"ml-1m/{file}")
    except FileNotFoundError:
        raise DataError(f"--source={source} does not exist; name ml-1m.zip") from None
    except (zipfile.BadZipFile, KeyError, OSError) as error:
        raise DataError(f"{source} is not MovieLens-1M's zip: {error}; name ml-1m.zip") from None

"""MovieLens-1M (Harper & Konstan 2015) as click-through data: a rating of 4 or 5 is a click."""

import hashlib
import http.client
import os
import urllib.request
import zipfile
from collections import Counter

import polars as pl
from tqdm import tqdm

from launch.datasets.raw import Field, Options, RawData
from zoo.files import complete_or_absent

URL = "https://files.grouplens.org/datasets/movielens/ml-1m.zip"
MD5 = "c4d9eecfca2ab87c1945afe126590906"
_TIMEOUT = 30  # seconds without an answer
_MAX_GENRES = 6
_COLUMNS = {
    "ratings": ("user", "item", "rating", "time"),
    "users": ("user", "gender", "age", "occupation", "zip"),
    "movies": ("item", "title", "genres"),
}
_FIELDS = (
    *(Field(name) for name in ("user", "item", "gender", "age", "occupation", "zip")),
    Field("genres", length=_MAX_GENRES),
    *(Field(name) for name in ("hour", "weekday")),
)


def load(options: Options) -> RawData:
    """Reads MovieLens-1M; the oldest 80 % of the ratings are train, then 10 % valid, 10 % test.

    Malformed lines, and ratings of users or films that are not described, are dropped and counted.

    Args:
        options: `source` is `ml-1m.zip` or the extracted folder; without it, the zip is downloaded
            once to `~/.cache/tf-helen`.

    Returns:
        The tables.

    Raises:
        ValueError: If a file is missing or broken, or the download fails.

    Example:
        >>> load(Options(source="ml-1m.zip"))  # doctest: +SKIP
    """
    source = options.source or _download()
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
        raise ValueError(f"{source} holds {described.height} usable ratings; at least 10 needed")
    when = pl.from_epoch("time")
    rows = described.sort("time", "user", "item").select(
        (pl.col("rating") >= 4).cast(pl.Float32).alias("label"),
        *("user", "item", "gender", "age", "occupation", "zip"),
        pl.col("genres").str.split("|"),
        when.dt.hour().alias("hour"),
        when.dt.weekday().alias("weekday"),
    )
    first, second = rows.height * 8 // 10, rows.height * 9 // 10
    splits = {
        "train": rows[:first],
        "valid": rows[first:second],
        "test": rows[second:],
    }
    return RawData("movielens_1m", splits, _FIELDS, dropped=dropped)


def _table(source: str, name: str, dropped: Counter[str]) -> pl.DataFrame:
    """Reads one of the three files; its separator "::" is more than CSV readers accept."""
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


def _content(source: str, file: str) -> bytes:
    if os.path.isdir(source):
        path = next(
            (p for p in (os.path.join(source, *inner, file) for inner in ((), ("ml-1m",)))
             if os.path.exists(p)),
            None,
        )  # fmt: skip
        if path is None:
            raise ValueError(f"{source} holds no {file}; give the extracted ml-1m folder")
        with open(path, "rb") as stream:
            return stream.read()
    try:
        with zipfile.ZipFile(source) as archive:
            return archive.read(f"ml-1m/{file}")
    except FileNotFoundError:
        raise ValueError(f"--source={source} does not exist; give ml-1m.zip") from None
    except (zipfile.BadZipFile, KeyError, OSError) as error:
        raise ValueError(f"{source} is not MovieLens-1M's zip: {error}") from None


def _download() -> str:
    folder = os.environ.get("TF_HELEN_CACHE", os.path.expanduser("~/.cache/tf-helen"))
    path = os.path.join(folder, "ml-1m.zip")
    if os.path.exists(path):
        return path
    md5 = hashlib.md5(usedforsecurity=False)
    try:
        with complete_or_absent(path) as temporary:
            with (
                urllib.request.urlopen(URL, timeout=_TIMEOUT) as answer,
                open(temporary, "wb") as output,
                tqdm(unit="B", unit_scale=True, desc="ml-1m.zip", disable=None) as bar,
            ):
                bar.total = int(answer.headers.get("Content-Length") or 0) or None
                while chunk := answer.read(1 << 16):
                    md5.update(chunk)
                    bar.update(output.write(chunk))
            if md5.hexdigest() != MD5:
                raise ValueError(
                    f"{URL} has the MD5 {md5.hexdigest()}, expected {MD5}; download it by hand, "
                    "check it, and give --source=ml-1m.zip"
                )
    except (OSError, http.client.HTTPException) as error:
        raise ValueError(
            f"cannot download {URL} ({getattr(error, 'reason', error)}); download it elsewhere "
            "and give --source=ml-1m.zip"
        ) from None
    return path

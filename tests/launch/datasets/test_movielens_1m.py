"""MovieLens-1M: the three files joined and sorted by time; downloads that are checked."""

import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from launch import datasets
from launch.datasets import movielens_1m
from launch.datasets.raw import Options
from launch.prepare import prepare
from zoo import Schema, load_counts
from zoo.data.vocabulary import load_vocabulary

START = 978_300_000  # a Sunday, 22:00 UTC


@pytest.fixture
def movielens_zip(tmp_path) -> Path:
    users = [f"{u}::{'FM'[u % 2]}::{18 + u}::{u % 3}::9000{u}" for u in range(1, 5)]
    movies = ["1::Amélie (2001)::Comedy|Romance", "2::Se7en (1995)::Thriller", "3::Up: a::Drama"]
    ratings = [f"{1 + i % 4}::{1 + i % 2}::{1 + i % 5}::{START + 3600 * i}" for i in range(20)]
    ratings += ["1::2::5", "9::1::5::978300000", "1::2::x::978300000", "1::2::9::978300000"]
    movies += ["4::no genres"]
    path = tmp_path / "ml-1m.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, lines in (("users", users), ("movies", movies), ("ratings", ratings[::-1])):
            text = "\r\n".join(lines) + "\n"
            archive.writestr(f"ml-1m/{name}.dat", text.encode("latin-1"))
    return path


def test_a_zip_or_its_folder(tmp_path, movielens_zip, load):
    found = load("movielens_1m", movielens_zip)
    assert found.heights() == [16, 2, 2]
    rows = pl.concat(found.tables.values())
    assert rows["label"].to_list() == [float(1 + i % 5 >= 4) for i in range(20)]  # by time
    assert rows["genres"].to_list()[:2] == [["Comedy", "Romance"], ["Thriller"]]
    assert rows["hour"].to_list() == [(22 + i) % 24 for i in range(20)]
    assert rows["weekday"].to_list() == [7] * 2 + [1] * 18
    assert rows["time"].to_list() == [START + 3600 * i for i in range(20)]
    assert rows.row(2, named=True)["zip"] == "90003"
    assert dict(found.account.left_out) == {
        "ratings: malformed or repeated lines": 1,
        "ratings: not a number": 2,
        "ratings: user or film not described": 1,
        "movies: malformed or repeated lines": 1,
    }
    schema = found.raw.schema
    assert " ".join(f.name for f in schema.categorical) == (
        "user item gender age occupation zip genres hour weekday"
    )
    assert schema.field_lengths["genres"] == 6 and (schema.group, schema.time) == ("user", "time")
    assert found.raw.files == (str(movielens_zip),)
    with zipfile.ZipFile(movielens_zip) as archive:
        archive.extractall(tmp_path)
    for folder in (tmp_path, tmp_path / "ml-1m"):
        again = load("movielens_1m", folder)
        assert all(again[split].equals(found[split]) for split in found.tables)
        assert len(again.raw.files) == 3


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: None, "does not exist"),
        (lambda path: path.write_bytes(b"no zip"), "not MovieLens-1M's zip"),
        (lambda path: zipfile.ZipFile(path, "w").close(), r"ratings\.dat"),
        (lambda path: path.mkdir(), r"holds no ratings\.dat"),
    ],
)
def test_a_bad_source_is_named(tmp_path, make, words):
    make(tmp_path / "source")
    with pytest.raises(ValueError, match=words):
        datasets.get("movielens_1m")(Options(source=str(tmp_path / "source")))


def test_the_download_is_checked(tmp_path, monkeypatch):
    monkeypatch.setenv("TF_HELEN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(movielens_1m, "URL", (tmp_path / "absent.zip").as_uri())
    with pytest.raises(ValueError, match=r"cannot download .*--source=absent\.zip"):
        movielens_1m.load(Options())
    (tmp_path / "false.zip").write_bytes(b"something else")
    monkeypatch.setattr(movielens_1m, "URL", (tmp_path / "false.zip").as_uri())
    with pytest.raises(ValueError, match="expected c4d9eecfca2ab87c1945afe126590906"):
        movielens_1m.load(Options())
    assert list((tmp_path / "cache").iterdir()) == []


def test_prepared_twice_it_is_the_same_and_the_counts_are_right(tmp_path):
    """A zip in the format of MovieLens-1M, with some thousand ratings."""
    rng = np.random.default_rng(0)
    users = [f"{u}::{'FM'[u % 2]}::{25}::{u % 20}::{10000 + u}" for u in range(1, 201)]
    movies = [f"{m}::Film {m} (1999)::{'Drama|War' if m % 3 else 'Comedy'}" for m in range(1, 301)]
    pairs = rng.choice(200 * 300, 4000, replace=False)
    rated = [(1 + p // 300, 1 + p % 300, 1 + p % 5, START + 60 * i) for i, p in enumerate(pairs)]
    path = tmp_path / "ml-1m.zip"
    with zipfile.ZipFile(path, "w") as archive:
        ratings = ["::".join(map(str, row)) for row in rated]
        for name, lines in (("users", users), ("movies", movies), ("ratings", ratings)):
            archive.writestr(f"ml-1m/{name}.dat", "\n".join(lines) + "\n")
    files = []
    for out in ("one", "two"):
        prepare(movielens_1m.load(Options(source=str(path))), tmp_path / out, shards=2)
        folder = sorted(file for file in (tmp_path / out).rglob("*") if file.is_file())
        files.append({str(f.relative_to(tmp_path / out)): f.read_bytes() for f in folder})
    assert files[0] == files[1]
    schema = Schema.load(tmp_path / "one")
    counts = load_counts(tmp_path / "one", schema)
    own = Counter(str(item) for _, item, _, _ in rated[:3200])
    values, _ = load_vocabulary(tmp_path / "one", "item")
    assert dict(zip(values[1:], counts["item"][1:].tolist(), strict=True)) == own
    genres = Counter()
    for _, item, _, _ in rated[:3200]:
        genres.update(["Drama", "War"] if item % 3 else ["Comedy"])
    values, _ = load_vocabulary(tmp_path / "one", "genres")
    assert dict(zip(values[1:], counts["genres"][1:].tolist(), strict=True)) == genres

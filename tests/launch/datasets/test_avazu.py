"""Avazu: the parts of the hour, without `id`, folds as published."""

import numpy as np
import polars as pl
import pytest

from launch import datasets
from launch.datasets.avazu_x4 import AS_THEY_ARE, FIELDS
from launch.datasets.raw import Options
from launch.datasets.stratified import stratified_folds
from zoo.data.files import DataError

HEADER = "id,click,hour," + ",".join(AS_THEY_ARE)


def line(number: int, hour: str = "14102100") -> str:
    return ",".join([f"{10**19 + number}", str(number % 5 // 4), hour, *["a"] * len(AS_THEY_ARE)])


def test_the_hour_becomes_hour_weekday_and_weekend(tmp_path, write, load):
    # 21 October 2014 was a Tuesday; the 25th a Saturday, the 26th a Sunday.
    hours = ["14102100", "14102423", "14102501", "14102612", "141021", "14139900", " 14102100"]
    text = "\n".join([HEADER, *(line(n, hour) for n, hour in enumerate(hours))]) + "\n"
    found = load("avazu_x4_001", write(tmp_path, dict.fromkeys(
        ("train.csv.gz", "valid.csv.gz", "test.csv.gz"), text)))  # fmt: skip
    train = found["train"]
    assert train["hour"].to_list() == [0, 23, 1, 12, None, 0, 0]
    assert train["weekday"].to_list() == [2, 5, 6, 0, None, None, 2]
    assert train["weekend"].to_list() == [0, 0, 1, 1, None, None, 0]
    start = 1_413_849_600  # 2014-10-21 00:00 UTC
    assert train["time"].to_list() == [
        start, start + 95 * 3600, start + 97 * 3600, start + 132 * 3600, None, None, start
    ]  # fmt: skip
    assert "id" not in train.columns
    table = pl.DataFrame({name: [0, 1] for name in HEADER.split(",")})
    for split in ("train", "valid", "test"):
        table.with_columns(hour=14102423).write_parquet(tmp_path / f"{split}.parquet")
        (tmp_path / f"{split}.csv.gz").unlink()
    assert load("avazu_x4_001", tmp_path)["train"]["hour"].to_list() == [23, 23]


@pytest.mark.parametrize("name", ["train.gz", "train.csv", "train"])
def test_kaggles_file_is_split_by_folds(tmp_path, write, load, name):
    text = "\n".join([HEADER, *(line(n, f"141021{n % 24:02}") for n in range(103))]) + "\n"
    source = write(tmp_path, {name: text}) / name
    found = load("avazu_x4_001", source)
    clicks = np.array([n % 5 // 4 for n in range(103)], np.int8)
    folds = stratified_folds(clicks, 10, seed=2018)
    for split, mask in (("test", folds == 0), ("valid", folds == 1), ("train", folds >= 2)):
        rows = np.flatnonzero(mask)
        assert found[split]["hour"].to_list() == [n % 24 for n in rows]
        assert found[split]["click"].to_list() == [str(clicks[n]) for n in rows]
    assert sum(found.heights()) == 103
    schema = found.raw.schema
    assert [field.name for field in schema.categorical] == list(FIELDS) and len(FIELDS) == 24
    assert {field.min_count for field in schema.categorical} == {2}
    assert (schema.label, schema.time) == ("click", "time")


def test_kaggles_folder_is_enough(tmp_path, write, load):
    text = "\n".join([HEADER, *(line(n) for n in range(40))]) + "\n"
    write(tmp_path, {"train.gz": text, "test.gz": "id,hour\n", "sampleSubmission.gz": "id\n"})
    assert sum(load("avazu_x4_001", tmp_path).heights()) == 40


def test_a_file_without_its_columns_is_named(tmp_path, write):
    write(tmp_path, {"train.csv": "id,click\n1,0\n"})
    with pytest.raises(DataError, match="no column 'hour'"):
        datasets.get("avazu_x4_001")(Options(source=str(tmp_path / "train.csv")))
    with pytest.raises(DataError, match="no file"):
        datasets.get("avazu_x4_001")(Options(source=str(tmp_path / "train.gz")))

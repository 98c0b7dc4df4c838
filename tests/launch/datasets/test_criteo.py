"""Criteo: raw file and splits give the same rows, zeros are missing, folds as published."""

import numpy as np
import polars as pl
import pytest

from launch import datasets
from launch.datasets.criteo_x4 import CATEGORIES, COUNTS
from launch.datasets.raw import Options
from launch.datasets.stratified import stratified_folds
from zoo.data.files import DataError

HEADER = ",".join(("Label", *COUNTS, *CATEGORIES))


def line(number: int, separator: str) -> str:
    counts = ["", "0", str(number), "-1", *["7"] * 9]
    categories = [f"c{number % 3}", "", *["x"] * 24]
    return separator.join([str(int(number % 4 == 0)), *counts, *categories])


@pytest.fixture
def raw_text() -> str:
    lines = [line(number, "\t") for number in range(60)]
    lines.insert(20, "1\ttoo short")
    return "\n".join(lines) + "\n"


def test_the_original_file_is_split_by_folds(tmp_path, write, load, raw_text):
    write(tmp_path, {"train.txt": raw_text, "test.txt": "no labels", "readme.txt": ""})
    for source in (tmp_path, tmp_path / "train.txt"):
        found = load("criteo_x4_001", source)
        assert found.heights() == [46, 7, 7]
        assert dict(found.account.damaged) == {"wrong number of columns": 1}
    labels = np.arange(60) % 4 == 0
    folds = stratified_folds(labels.astype(np.int8), 10, seed=2018)
    for split, mask in (("test", folds == 0), ("valid", folds == 1), ("train", folds >= 2)):
        rows = np.flatnonzero(mask)
        # A count of 0 has no id of its own, so it is handed on as missing.
        assert found[split]["I3"].to_list() == [None if n == 0 else str(n) for n in rows]
        assert found[split]["Label"].to_list() == [str(int(n % 4 == 0)) for n in rows]
    train = found["train"]
    assert train["I2"].null_count() == train.height
    assert set(train["I4"]) == {"-1"} and set(train["I1"]) == set(train["C2"]) == {""}


def test_published_splits_give_what_is_in_them(tmp_path, write, load):
    files = {
        f"{split}.csv": "\n".join([HEADER, *(line(n, ",") for n in numbers)]) + "\n"
        for split, numbers in (("train", range(5)), ("valid", range(2)), ("test", range(3)))
    }
    found = load("criteo_x4_002", write(tmp_path, files))
    assert found.heights() == [5, 2, 3]
    assert found["train"]["I3"].to_list() == [None, "1", "2", "3", "4"]
    assert found["train"]["I2"].null_count() == 5
    for split in ("train", "valid", "test"):  # another copy of the data has types
        pl.read_csv(tmp_path / f"{split}.csv").write_parquet(tmp_path / f"{split}.parquet")
        (tmp_path / f"{split}.csv").unlink()
    typed = load("criteo_x4_002", tmp_path)
    assert typed["train"]["I3"].to_list() == [None, 1, 2, 3, 4]
    assert typed["train"]["I2"].null_count() == 5


def test_the_settings_are_the_published_ones(tmp_path, write, load, raw_text):
    source = write(tmp_path, {"train.txt": raw_text}) / "train.txt"
    for name, least in (("criteo_x4_001", 10), ("criteo_x4_002", 2)):
        raw = load(name, source).raw
        assert [field.encoding for field in raw.schema.categorical[:13]] == ["log_square"] * 13
        assert {field.encoding for field in raw.schema.categorical[13:]} == {"vocabulary"}
        assert {field.min_count for field in raw.schema.categorical} == {least}
        assert {field.missing for field in raw.schema.categorical} == {"oov"}
        assert sum(raw.published.rows.values()) == 45_840_617
    assert len(raw.schema.categorical) == 39 and raw.schema.label == "Label"
    other = datasets.get("criteo_x4_001")(Options(source=str(source), min_count=3))
    assert {field.min_count for field in other.schema.categorical} == {3}


def test_x1_has_numbers_as_they_are(tmp_path, write, load):
    header = HEADER.replace("Label", "label")
    text = header + "\n" + ",".join(["1", *["0.25"] * 13, *["9"] * 26]) + "\n"
    found = load("criteo_x1", write(tmp_path, dict.fromkeys(("train.csv", "valid.csv", "test.csv"),
                                                            text)))  # fmt: skip
    schema = found.raw.schema
    assert {column.transform for column in schema.numeric} == {"none"}
    assert [column.name for column in schema.numeric] == list(COUNTS)
    assert [field.name for field in schema.categorical] == list(CATEGORIES)
    assert found["train"]["I13"].to_list() == ["0.25"]


@pytest.mark.parametrize("name", ["criteo_x1", "criteo_x4_001"])
def test_another_data_set_is_named(tmp_path, write, name):
    text = "label,user\n1,ann\n"
    write(tmp_path, {"train.csv": text, "valid.csv": text, "test.csv": text})
    with pytest.raises(DataError, match=r"train\.csv has no column .*label, user"):
        datasets.get(name)(Options(source=str(tmp_path)))


def test_an_empty_folder_says_what_belongs_there(tmp_path, write):
    write(tmp_path, {"notes.csv": "a\n"})
    with pytest.raises(DataError, match=r"neither train\.txt nor train, valid and test"):
        datasets.get("criteo_x4_001")(Options(source=str(tmp_path)))
    with pytest.raises(DataError, match=r"train\.csv\.gz is missing"):
        datasets.get("criteo_x1")(Options(source=str(tmp_path)))


def test_a_label_that_is_none_is_handed_on_to_be_counted(tmp_path, write, load, raw_text):
    source = write(tmp_path, {"train.txt": raw_text + line(1, "\t").replace("0", "?", 1) + "\n"})
    assert sum(load("criteo_x4_001", source).heights()) == 61

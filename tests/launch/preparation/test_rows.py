"""Slices of rows with many columns."""

import polars as pl
import pytest

from launch.datasets.raw import RawData, RowAccount, in_memory
from launch.preparation.counters import MOST_COUNTED
from launch.preparation.counting import TrainingCounts
from launch.preparation.rows import sliced_rows
from launch.prepare import prepare
from zoo import Categorical, DataError, Numeric, Schema, load_counts
from zoo.data.vocabulary import check_file_names


def wide(columns):
    names = [f"c{number}" for number in range(columns)]
    schema = Schema("wide", [Categorical(n) for n in names[::2]], [Numeric(n) for n in names[1::2]])
    table = pl.DataFrame({"label": [0, 1], **{name: [1, 2] for name in names}})
    return RawData(schema, {"train": in_memory(table)})


def test_the_columns_are_listed_as_often_for_many_as_for_few(monkeypatch):
    """polars makes a new list in each call; a call per column takes a minute for 2,000 columns."""
    looked = []
    for name in ("columns", "schema", "dtypes"):
        found = getattr(pl.DataFrame, name).fget
        counting = property(lambda frame, found=found: looked.append(1) or found(frame))
        monkeypatch.setattr(pl.DataFrame, name, counting)
    counts = []
    for columns in (6, 300):
        looked.clear()
        ((_, rows),) = sliced_rows(wide(columns), RowAccount())
        counts.append(len(looked))
        assert rows.width == columns + 1
    assert counts[0] == counts[1] < 20


def test_a_name_of_300_characters_is_prepared(tmp_path):
    names = ["x" * 300, "x" * 299 + "y"]
    table = pl.DataFrame({"label": [0, 1, 1], names[0]: ["a", "b", "b"], names[1]: ["c", "c", "c"]})
    schema = Schema("long", [Categorical(name) for name in names])
    prepare(RawData(schema, {"train": in_memory(table)}), tmp_path / "out")
    counts = load_counts(tmp_path / "out", Schema.load(tmp_path / "out"))
    assert {name: found.tolist() for name, found in counts.items()} == {
        names[0]: [0, 2, 1],
        names[1]: [0, 3],
    }


def test_capitals_that_the_file_system_does_not_tell_apart_are_refused(tmp_path, monkeypatch):
    from zoo.data import vocabulary

    schema = Schema("s", [Categorical("User"), Categorical("item"), Categorical("user")])
    check_file_names(tmp_path, schema)  # Linux tells them apart
    exists = vocabulary.gfile.exists
    alike = lambda path: exists(path.replace(".CAPITALS", ".capitals"))  # noqa: E731
    monkeypatch.setattr(vocabulary.gfile, "exists", alike)
    with pytest.raises(DataError, match=r"'User', 'user' differ in case only.*rename"):
        check_file_names(tmp_path, schema)
    check_file_names(tmp_path, Schema("s", [Categorical("User"), Categorical("item")]))
    assert not list((tmp_path / "vocabulary").iterdir())


def test_a_size_that_no_memory_holds_is_refused():
    field = Categorical("user", MOST_COUNTED + 1, encoding="hash")
    with pytest.raises(DataError, match=r"size=100,000,001.*at most 100,000,000"):
        TrainingCounts(Schema("s", [field]))

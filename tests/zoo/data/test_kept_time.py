"""Records that contain the time of each row."""

import numpy as np
import polars as pl
import pytest

import zoo
from launch.datasets.raw import RawData, in_memory
from launch.prepare import prepare
from zoo.data.files import DataError
from zoo.data.memory import RowsInMemory
from zoo.data.schema import SchemaError, SchemaMismatchError

FIELDS = [zoo.Categorical("user", 10), zoo.Categorical("tags", 5, length=3)]
TIMES = np.array([0, -5, 2**40 + 3, -(2**62), 1_700_000_000])


def schema_with(**changes):
    given = {"group": "user", "weight": "w", "time": "when", "keep_time": True}
    return zoo.Schema("timed", FIELDS, [zoo.Numeric("price")], **{**given, **changes})


def batch():
    return {
        "ids": np.array([[n, n - 1, *([4, 4] if n > 3 else [-1, -1])] for n in range(1, 6)]),
        "numeric": np.ones((5, 1), np.float32),
        "label": np.array([0, 1, 0, 1, 1.0]),
        "weight": np.arange(5.0),
        "group": -TIMES,
        "time": TIMES,
    }


@pytest.mark.parametrize("layout", ["blocks", "packed", "columns"])
@pytest.mark.parametrize("group", [None, "user"])
def test_times_are_read_as_they_were_written(tmp_path, layout, group):
    schema = schema_with(group=group)
    zoo.write_tfrecords(tmp_path, schema, "train", [batch()], layout=layout)
    (with_time,) = zoo.read_tfrecords(tmp_path, "train", batch_size=5, time=True)
    (plain,) = zoo.read_tfrecords(tmp_path, "train", batch_size=5)
    assert with_time[0]["time"].numpy().ravel().tolist() == TIMES.tolist()
    assert sorted(plain[0]) == ["ids", "numeric"]
    if group:
        (both,) = zoo.read_tfrecords(tmp_path, "train", batch_size=5, time=True, group=True)
        assert both[0]["group"].numpy().ravel().tolist() == (-TIMES).tolist()
        assert both[0]["time"].numpy().ravel().tolist() == TIMES.tolist()
    (kept,) = RowsInMemory(tmp_path, "train", time=True).batches(5)
    assert kept[0]["time"].numpy().ravel().tolist() == TIMES.tolist()


def test_folders_without_times_are_named(tmp_path):
    schema = schema_with(keep_time=False)
    zoo.write_tfrecords(tmp_path, schema, "train", [batch()])
    with pytest.raises(DataError, match=r"contain no times.*keep_time"):
        zoo.read_tfrecords(tmp_path, "train", time=True)
    with pytest.raises(SchemaMismatchError, match="keep_time"):
        zoo.read_tfrecords(tmp_path, "train", schema_with())
    with pytest.raises(SchemaError, match="keep_time=True, time=None"):
        schema_with(time=None)
    schema_with().save(tmp_path / "other")
    assert zoo.Schema.load(tmp_path / "other") == schema_with()


def test_a_preparation_keeps_times_of_numbers_and_dates(tmp_path):
    rows = {"label": [1, 0, 1, 0], "user": ["a", "b", "a", "b"]}
    when = ["1970-01-02", "1970-01-01 00:00:01.75", "soon", "1970-01-01"]
    schema = zoo.Schema("timed", [zoo.Categorical("user")], time="when", keep_time=True)
    for name, times in (("dates", when), ("numbers", [86400.0, 1.75, None, 0.0])):
        table = pl.DataFrame({**rows, "when": times})
        out = str(tmp_path / name)
        prepare(RawData(schema, {"train": in_memory(table)}), out, max_lost=0.3)
        ((features, _),) = zoo.read_tfrecords(out, "train", batch_size=4, time=True)
        assert features["time"].numpy().ravel().tolist() == [86400, 1, 0]
        assert (tmp_path / name / "report.json").read_text().count("no time in 'when'") >= 1

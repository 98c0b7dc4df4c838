"""assist2017: answers in the order of time within each user, with and without crossed fields."""

import polars as pl
import pytest

from launch import datasets
from launch.datasets.raw import Options
from launch.prepare import prepare
from zoo import Schema, read_tfrecords
from zoo.data.files import DataError

HEADER = "label,relpos,step,user,problem,skill,prev_problem,prev_correct,step_bin\n"
# Two users with two and four rows.
TRAIN = "1,0.125,0,b,7,s,,-1,0\n0,0.25,0,a,8,s,,-1,0\n0,0.375,1,b,8,t,7,1,1\n"
VALID = "1,0.625,2,b,9,t,8,0,1\n"
TEST = "1,0.75,1,a,7,s,8,0,1\n0,0.875,3,b,7,s,9,1,2\n"


@pytest.fixture
def source(tmp_path, write):
    parts = {"train.csv.gz": TRAIN, "valid.csv": VALID, "test.csv": TEST}
    return write(tmp_path / "raw", {name: HEADER + rows for name, rows in parts.items()})


def test_the_order_is_no_feature(source, load):
    found = load("assist2017", source)
    schema = found.raw.schema
    assert found.heights() == [3, 1, 2]
    assert (schema.group, schema.time, schema.time_ordered) == ("user", "relpos", True)
    assert [field.name for field in schema.categorical] == [
        "user", "problem", "skill", "prev_problem", "prev_correct",
    ]  # fmt: skip


def test_crossed_fields_join_two_values(source, load):
    found = load("assist2017_crossed", source, min_count=2)
    names = [field.name for field in found.raw.schema.categorical]
    assert names[5:] == ["us", "up", "pp"]
    assert found["train"].select("us", "up", "pp").rows() == [
        ("bxs", "bx7", "x7"), ("axs", "ax8", "x8"), ("bxt", "bx8", "7x8"),
    ]  # fmt: skip
    assert {field.min_count for field in found.raw.schema.categorical} == {2}


def test_the_prepared_rows_keep_their_order(tmp_path, source):
    out = str(tmp_path / "out")
    prepare(datasets.get("assist2017_crossed")(Options(source=str(source))), out)
    assert Schema.load(out).time_ordered
    labels = [
        label[:, 0].numpy().tolist()
        for split in ("train", "valid", "test")
        for _, label in read_tfrecords(out, split)
    ]
    assert labels == [[1, 0, 0], [1], [1, 0]]


def test_rows_of_a_later_place_first_are_refused(tmp_path, write):
    lines = TRAIN.splitlines(keepends=True)
    parts = {"train.csv": "".join(lines[::-1]), "valid.csv": VALID, "test.csv": TEST}
    source = write(tmp_path / "raw", {name: HEADER + rows for name, rows in parts.items()})
    raw = datasets.get("assist2017")(Options(source=str(source)))
    with pytest.raises(DataError, match=r"order of 'relpos': 0\.25 comes after 0\.375"):
        prepare(raw, str(tmp_path / "out"))


@pytest.mark.slow
def test_the_shared_data_are_what_the_page_says(shared_dir, load):
    found = load("assist2017", shared_dir / "data" / "assist2017")
    assert found.heights() == [752_504, 94_065, 94_933]
    rows = pl.concat(found.tables.values()).with_columns(pl.col("step").cast(pl.Int64))
    steps = rows.group_by("user", maintain_order=True).agg(pl.col("step"))["step"]
    # Within each user, over all three splits: 0, 1, 2, ... without a gap.
    assert steps.list.first().unique().to_list() == [0]
    assert all((step.diff().drop_nulls() == 1).all() for step in steps)
    # The answer of the row before is the label of that row.
    rows = rows.with_columns(pl.col("label").shift(1).over("user").alias("before"))
    known = rows.filter(pl.col("before").is_not_null())
    assert known["prev_correct"].equals(known["before"])

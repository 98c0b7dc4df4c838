"""A preparation that keeps the ids of an earlier folder."""

import json

import numpy as np
import polars as pl
import pytest

import zoo
from launch.datasets.raw import RawData, in_memory
from launch.prepare import prepare
from zoo.data.files import DataError
from zoo.data.identity import identity_checksum
from zoo.data.manifest import load_manifest, load_parent
from zoo.data.vocabulary import load_vocabulary

FIELDS = (
    zoo.Categorical("user", min_count=2, missing="bucket"),
    zoo.Categorical("past", length=2, shares="user", min_count=2, missing="bucket"),
    zoo.Categorical("age", size=4, encoding="buckets"),
    zoo.Categorical("place", size=5, encoding="hash"),
    zoo.Categorical("visits", encoding="log_square"),
)
SCHEMA = zoo.Schema("days", FIELDS, [zoo.Numeric("price")])


def rows(users, seed):
    rng = np.random.default_rng(seed)
    number = len(users)
    return pl.DataFrame(
        {
            "label": [float(i % 2) for i in range(number)],
            "user": users,
            "past": [""] * number,
            "age": rng.integers(0, 10 * seed, number),
            "place": [f"p{i % 3}" for i in range(number)],
            "visits": [str(seed * i) for i in range(number)],
            "price": rng.normal(seed, seed, number),
        }
    )


FIRST = rows(["ann", "ann", "ann", "bob", "bob", "cat", ""], 1)
SECOND = rows(["dan", "dan", "dan", "bob", "eve", "fay", "fay", "", "cat", "cat"], 2)


def prepared(folder, table, schema=SCHEMA, **options):
    prepare(RawData(schema, {"train": in_memory(table)}), str(folder), **options)
    return str(folder)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    folder = tmp_path_factory.mktemp("prepared")
    first = prepared(folder / "1", FIRST)
    return first, prepared(folder / "2", SECOND, extend=first)


def test_earlier_values_keep_their_ids_and_new_ones_follow(folders):
    before, now = (load_vocabulary(folder, "user") for folder in folders)
    assert before[0] == ["<oov>", "", "ann", "bob"] and before[1].tolist() == [1, 1, 3, 2]
    # bob occurs once on the second day, below min_count, and keeps its id; eve gets none.
    assert now[0] == [*before[0], "dan", "cat", "fay"]
    assert now[1].tolist() == [1 + 1, 1 + 1, 3, 2 + 1, 3, 2, 2]
    ((features, _),) = zoo.read_tfrecords(folders[1], "train", batch_size=10)
    assert features["ids"].numpy()[:, 0].tolist() == [4, 4, 4, 3, 0, 6, 6, 1, 5, 5]


def test_boundaries_hashes_and_statistics_are_those_of_the_first_day(folders):
    before, now = (zoo.Schema.load(folder) for folder in folders)
    assert now.categorical[2] == before.categorical[2]
    assert now.numeric == before.numeric
    for field in ("age", "place"):
        counts = [load_vocabulary(folder, field)[1] for folder in folders]
        assert counts[1].sum() == counts[0].sum() + len(SECOND)
        assert (counts[1] >= counts[0]).all()
    squares = [load_vocabulary(folder, "visits")[0] for folder in folders]
    assert squares[1][: len(squares[0])] == squares[0] and len(squares[1]) > len(squares[0])


def test_the_manifest_names_the_parent(folders, tmp_path):
    first, second = folders
    assert load_parent(first) is None
    assert load_parent(second) == identity_checksum(first, splits=())
    assert load_manifest(second)["train"].total_rows == len(SECOND)
    third = prepared(tmp_path / "3", FIRST, extend=second)
    assert load_parent(third) == identity_checksum(second, splits=())


def test_the_result_does_not_depend_on_the_memory(folders, tmp_path):
    small = prepared(tmp_path / "small", SECOND, extend=folders[0], memory=1)
    assert identity_checksum(small) == identity_checksum(folders[1])


def test_a_minimum_count_that_no_value_reaches_keeps_the_vocabulary(folders, tmp_path):
    fields = [zoo.Categorical("user", min_count=2**31 - 1)]
    first = prepared(tmp_path / "1", FIRST, zoo.Schema("s", [zoo.Categorical("user")]))
    fixed = prepared(tmp_path / "2", SECOND, zoo.Schema("s", fields), extend=first)
    assert load_vocabulary(fixed, "user")[0] == load_vocabulary(first, "user")[0]


@pytest.mark.parametrize(
    "fields, numeric, message",
    [
        (FIELDS[:3], None, "lacks"),
        ((FIELDS[2], *FIELDS[:2], *FIELDS[3:]), None, "column 1 is 'age'.*'user'"),
        ((*FIELDS[:3], zoo.Categorical("place"), FIELDS[4]), None, "'place'.*encoding"),
        (
            (*FIELDS[:3], zoo.Categorical("place", size=6, encoding="hash"), FIELDS[4]),
            None,
            "'place'.*size=6",
        ),
        (
            (*FIELDS[:2], zoo.Categorical("age", encoding="buckets", boundaries=(3,)), *FIELDS[3:]),
            None,
            "'age'.*boundaries",
        ),
        (FIELDS, [zoo.Numeric("price", transform="log")], "'price'.*transform='log'"),
        (FIELDS, [], "lacks"),
    ],
)
def test_other_columns_are_errors_that_name_them(folders, tmp_path, fields, numeric, message):
    numeric = SCHEMA.numeric if numeric is None else numeric
    schema = zoo.Schema("days", fields, numeric)
    with pytest.raises(DataError, match=message):
        prepared(tmp_path / "out", SECOND, schema, extend=folders[0])
    assert not (tmp_path / "out").exists()


def test_a_folder_that_is_not_prepared(tmp_path):
    with pytest.raises(DataError, match=r"no schema.json in .*--extend"):
        prepared(tmp_path / "out", SECOND, extend=str(tmp_path))
    (tmp_path / "manifest.json").write_text(
        json.dumps({"version": 2, "splits": {}, "parent": "../x"})
    )
    with pytest.raises(DataError, match="not a SHA-256"):
        load_parent(tmp_path)

"""Proposed schemas: the result for every kind of column, and the reasons."""

import datetime

import numpy as np
import polars as pl
import pytest

from launch.schema_inference.infer import infer_schema
from zoo.data.columns import Categorical, Numeric
from zoo.data.schema import Schema

ROWS = 4000
RNG = np.random.default_rng(0)


def proposal(values, name="column"):
    """The result for one column, and the reason."""
    label = np.arange(len(values)) % 2
    table = pl.DataFrame({"label": label, "other": label + 5, name: values}, strict=False)
    schema, notes = infer_schema(table, "s")
    columns = [c for c in (*schema.categorical, *schema.numeric) if c.name == name]
    (note,) = [note for note in notes if note.startswith(f"{name}: ")]
    return (columns[0] if columns else None), note


def texts(values):
    return [str(value) for value in values]


AMOUNTS = RNG.lognormal(2, 1.5, ROWS)
DIGITS = RNG.integers(0, 10**8, ROWS)
COLUMNS = {
    "floats": (RNG.normal(size=ROWS), Numeric("column"), "number: 4000 different numbers"),
    "float texts": (texts(RNG.normal(size=ROWS)), Numeric("column"), "number: "),
    "amounts": (texts(AMOUNTS.round(2)), Numeric("column", transform="log"), "heavy tail"),
    "counts": (AMOUNTS.astype(int), Numeric("column", transform="log"), "integers, heavy"),
    "signed": (np.r_[-1.0, AMOUNTS], Numeric("column"), "number: "),
    "numbers with NA": (["NA", "", *texts(AMOUNTS)], Numeric("column", transform="log"), "missing"),
    "few floats": (RNG.integers(1, 11, ROWS) / 2, Categorical("column"), "field of 10 values"),
    "few integers": (RNG.integers(0, 24, ROWS), Categorical("column"), "field of 24 values"),
    "leading zeros": ([f"{i:05}" for i in DIGITS % 500], Categorical("column"), "field of 500"),
    "booleans": ([True, False, True, True] * 9, Categorical("column"), "field of 2 values"),
    "words": (["red", "blue", "red", "green"] * 9, Categorical("column"), "field of 3 values"),
    "missing words": (
        ["red", "blue", "", None] * 9,
        Categorical("column", missing="bucket"),
        "50.00% missing (they get their own id)",
    ),
    "present or missing": (["x", None] * 9, Categorical("column", missing="bucket"), "field of 1"),
    "many words": (
        [f"w{i}" for i in np.r_[DIGITS, DIGITS[:99]]],
        Categorical("column", min_count=2),
        "fewer than 2 occurrences share id 0",
    ),
    "genres": (
        ["Drama", "Drama|Crime", "War", "Crime|War|Drama", ""] * 9,
        Categorical("column", length=3),
        "3 separated by '|', up to 3 in a row, the first 3 are kept",
    ),
    "search terms": (
        ["a b", "b  c d", "c a", "b a d c", "d a"] * 9,
        Categorical("column", length=4, separator=" "),
        "4 separated by ' '",
    ),
    "lists": ([["a", "b"], ["c"], [], None] * 9, Categorical("column", length=2), "3 in lists"),
    "long lists": ([[1, 2] * 80, [3]] * 9, Categorical("column", length=50), "up to 160 in a row"),
    "cities": (["New York", "Los Angeles", "San Jose"] * 9, Categorical("column"), "field of 3"),
    "thousands": (["1,234", "12", "1,000,000"] * 9, Categorical("column"), "field of 3 values"),
    "constant": (["x"] * 9, None, "left out: it is the same in every row"),
    "empty": ([None, ""] * 9, None, "left out: it is the same in every row"),
    "row ids": ([f"{i:x}-{i * 7919:x}" for i in range(99)], None, "left out: every row has"),
    "row numbers": (range(7, 99), None, "left out: every row has a different value"),
    "lists of nothing": ([["", None], []] * 9, None, "left out: it is the same in every row"),
    "nested lists": ([[["a"]], [["b"]]] * 9, None, "use text, numbers or lists of them"),
    "bytes": ([b"\xff", b"a"] * 9, None, "left out: its type Binary"),
    "structs": ([{"a": 1}, {"a": 2}] * 9, None, "left out: its type Struct"),
}


@pytest.mark.parametrize("kind", COLUMNS)
def test_columns_are_proposed_by_what_they_hold(kind):
    values, expected, why = COLUMNS[kind]
    column, note = proposal(values)
    assert column == expected
    assert why in note


@pytest.mark.parametrize("name", ["user_id", "adId", "zip", "C14", "cms_segid"])
def test_numbers_named_as_ids_are_fields(name):
    assert isinstance(proposal(1000 + DIGITS % 3000, name)[0], Categorical)


@pytest.mark.parametrize("name", ["price", "bid", "I3", "paid", "totalPaid"])
def test_numbers_named_otherwise_are_numbers(name):
    assert isinstance(proposal(1000 + DIGITS % 3000, name)[0], Numeric)


def test_a_row_id_is_left_out_and_a_user_id_that_differs_in_the_sample_is_not():
    assert proposal(DIGITS.cumsum(), "id")[0] is None
    assert proposal(DIGITS.cumsum(), "user_id")[0] == Categorical("user_id", min_count=2)


TIMES = {
    "iso": ["2024-02-29 10:00:00", "2024-03-01T00:00:00Z"] * 2,
    "dates": [datetime.date(2024, 2, 29), datetime.date(2024, 3, 1)] * 2,
    "event_time": [1_700_000_000, 1_700_000_060] * 2,
    "unix_timestamp": ["1700000000123", "1700000060000"] * 2,
    "hour": [14102100, 14102123] * 2,
    "click_day": ["20240229", "20240301"] * 2,
    "log_hour": [2024022900, 2024022923] * 2,
}


@pytest.mark.parametrize("name", TIMES)
def test_times_split_rows_and_are_no_features(name):
    table = pl.DataFrame({"click": [0, 1] * 2, "user": ["a", "b"] * 2, name: TIMES[name]})
    schema, notes = infer_schema(table, "s")
    assert schema.time == name
    assert [field.name for field in schema.categorical] == ["user"]
    assert notes[2] == f"{name}: the time, for --split_by=time; not a feature"


def test_hours_and_ids_of_ten_digits_are_no_times():
    for name, values in {"hour": [0, 23] * 9, "phone": [1_700_000_000, 1_700_000_060] * 9}.items():
        table = pl.DataFrame({"click": [0, 1] * 9, name: values})
        assert infer_schema(table, "s")[0].time is None


def test_roles_are_found_by_name():
    half = ROWS // 2
    table = pl.DataFrame(
        {
            "Timestamp": 1_700_000_000 + np.arange(ROWS),
            "session_id": DIGITS % 300,
            "UserID": DIGITS % 500,
            "sample_weight": RNG.exponential(size=ROWS),
            "seen": ["2024-01-01", "2024-01-02"] * half,
            "banner": [0, 1] * half,
            "Click": texts([0, 1] * half),
            "a b": ["x", "y"] * half,
        }
    )
    schema, notes = infer_schema(table, "log")
    assert (schema.label, schema.weight) == ("Click", "sample_weight")
    assert (schema.group, schema.time) == ("UserID", "Timestamp")
    assert [c.name for c in schema.categorical] == ["session_id", "UserID", "seen", "banner"]
    assert [note.split(": ")[0] for note in notes] == table.columns
    assert notes[-1].startswith("a b: left out: column name 'a b': use letters")
    assert notes[2].endswith("; also the group of GAUC")
    again = infer_schema(table, "log")
    assert again == (schema, notes)


def test_the_schema_can_be_written_and_read(tmp_path):
    columns = {f"c{i}": values for i, (values, *_) in enumerate(COLUMNS.values())}
    table = pl.DataFrame({name: list(values)[:9] for name, values in columns.items()}, strict=False)
    schema, _ = infer_schema(table.with_columns(label=pl.Series([0, 1, 0] * 3)), "every")
    schema.save(tmp_path)
    assert Schema.load(tmp_path) == schema


def test_labels():
    table = pl.DataFrame({"user": ["a", "b", "a"], "seen": [1, 0, 1], "rating": [5, 3, 1]})
    schema, notes = infer_schema(table, "s")
    assert schema.label == "seen"
    assert notes[1] == "seen: the label: the only column of 0 and 1"
    schema, notes = infer_schema(table, "s", label="rating")
    assert schema.label == "rating"
    assert notes[2] == (
        "rating: the label, as given; but its values are from 1 to 5: convert them to [0, 1] "
        "first, such as 1 above a threshold"
    )
    _, notes = infer_schema(table.drop("seen"), "s")
    assert notes[1].startswith("rating: the label, by its name; but its values are from 1 to 5")
    _, notes = infer_schema(table, "s", label="user")
    assert "its values are not numbers" in notes[0]
    booleans = pl.DataFrame({"user": ["a", "b"], "clk": [True, False]})
    for table in (booleans, booleans.with_columns(clk=pl.Series(["True", "False"]))):
        schema, notes = infer_schema(table, "s")
        assert schema.label == "clk" and notes[1] == "clk: the label, by its name"


def test_what_cannot_be_proposed_is_said():
    table = pl.DataFrame({"user": ["a", "b"], "x": [0, 1], "z": [1, 0]})
    with pytest.raises(ValueError, match=r"no label among user, x, z .*; name it with --label="):
        infer_schema(table, "s")
    with pytest.raises(ValueError, match=r"no column 'usr' for the label\. Did you mean 'user'\?"):
        infer_schema(table, "s", label="usr")
    with pytest.raises(ValueError, match="the sample has no rows"):
        infer_schema(table.clear(), "s")
    with pytest.raises(ValueError, match="has no feature"):
        infer_schema(table.select("x"), "s")

"""Values of a stream have the texts that a preparation gives them."""

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from properties import examples

import zoo
from launch.preparation.texts import as_texts
from zoo.streaming.rows import RowReader, text_of

SCHEMA = zoo.Schema(
    "s", [zoo.Categorical("user", 9), zoo.Categorical("tags", 9, length=2)],
    [zoo.Numeric("price", mean=2.0)], weight="w",
)  # fmt: skip


@examples(30)
@given(st.lists(st.floats(), max_size=50))
@example([10.0**power for power in range(-20, 25)])
def test_numbers_have_the_text_of_the_preparation(values):
    expected = as_texts(pl.Series(values, dtype=pl.Float64)).to_list()
    assert [text_of(value).decode() for value in values] == expected


@examples(30)
@given(st.lists(st.floats(width=32), max_size=50))
@example([float(np.float32(10.0**power)) for power in range(-20, 25)])
def test_float32_too(values):
    expected = as_texts(pl.Series(values, dtype=pl.Float32)).to_list()
    assert [text_of(np.float32(value)).decode() for value in values] == expected


def test_other_values_have_the_text_of_the_preparation():
    values = [True, False, 7, -3, "a b", None]
    for value in values:
        (expected,) = as_texts(pl.Series([value], dtype=None if value is not None else pl.String))
        assert text_of(value).decode() == expected
    assert text_of(["a", None, "b"], "|") == b"a|b"
    assert text_of(b"\xc3\xa9").decode() == "é"


def test_arrow_and_dicts_are_read_alike():
    rows = [
        {"user": "ann", "tags": ["a", "b"], "price": 1.5, "label": 1, "w": 2.0},
        {"user": None, "tags": [], "price": None, "label": 0, "w": 0.0},
        {"user": "ünï", "tags": ["c"], "price": float("inf"), "label": 1, "w": 1.0},
    ]
    plain, damages = RowReader(SCHEMA).read(rows)
    arrow, found = RowReader(SCHEMA).read(pa.RecordBatch.from_pylist(rows))
    assert damages == found == {}
    for name, values in plain.items():
        np.testing.assert_array_equal(arrow[name], values)
    assert plain["tags"].tolist() == [b"a|b", b"", b"c"]
    np.testing.assert_array_equal(plain["price"], np.array([1.5, np.nan, np.nan], np.float32))


def test_damaged_rows_are_named():
    rows = [
        {"user": b"\xff", "label": 1, "w": 1},
        {"user": "a", "label": 3, "w": 1},
        {"user": {}, "label": 1, "w": 1},
        {"user": "a", "w": 1},
        {"user": "a", "label": "1", "w": -1},
        [1, 2],
        {"user": "a", "label": "1", "price": "x", "w": "2"},
    ]
    columns, damages = RowReader(SCHEMA).read(rows)
    assert damages[0].startswith("the column 'user' is b'\\xff' ('utf-8' codec")
    assert damages[1] == "the column 'label' is 3, allowed are 0 to 1"
    assert "a dict is no value of a field" in damages[2]
    assert damages[3] == "the column 'label' is missing"
    assert damages[4] == "the column 'w' is -1, allowed are finite numbers of 0 or more"
    assert damages[5] == "a row is a list, not a dict: [1, 2]"
    assert set(damages) == set(range(6))
    assert np.isnan(columns["price"][6]) and columns["w"][6] == 2


def test_a_record_batch_without_a_column_is_an_error():
    batch = pa.RecordBatch.from_pylist([{"user": "a", "label": 1}])
    with pytest.raises(zoo.DataError, match=r"lacks the columns 'tags', 'price', 'w'; it has"):
        RowReader(SCHEMA).read(batch)

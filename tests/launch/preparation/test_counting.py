"""The first pass: vocabularies, means and deviations, the same for any slices."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from properties import examples

from launch.preparation.counting import TrainingCounts
from zoo import Categorical, Numeric, Schema


def finished(counts):
    """The schema, and the values and counts of each field by id."""
    found = {}
    schema = counts.finish(lambda name, tables: found.update({name: pl.concat(list(tables))}))
    return schema, {name: (t["value"], t["count"].to_numpy()) for name, t in found.items()}


VALUES = st.lists(st.sampled_from(["a", "b", "c", "dd", "", "<oov>"]), min_size=1, max_size=40)


@given(VALUES, st.integers(1, 3), st.sampled_from(["oov", "bucket"]), st.integers(1, 7))
@examples(60)
def test_a_vocabulary_holds_the_frequent_values_in_order(values, least, missing, size):
    counts = TrainingCounts(Schema("s", [Categorical("f", min_count=least, missing=missing)]))
    for start in range(0, len(values), size):
        counts.add(pl.DataFrame({"f": values[start : start + size]}))
    schema, vocabularies = finished(counts)
    found, occurrences = vocabularies["f"]
    special = ["<oov>", ""] if missing == "bucket" else ["<oov>"]
    own = [(v, values.count(v)) for v in set(values) - {"", "<oov>"} if values.count(v) >= least]
    own.sort(key=lambda pair: (-pair[1], pair[0]))
    assert found.to_list() == special + [value for value, _ in own]
    assert occurrences.tolist()[len(special) :] == [count for _, count in own]
    assert occurrences.sum() == len(values)
    if missing == "bucket":
        assert occurrences[1] == values.count("")
    assert schema.field_sizes["f"] == len(found)


@pytest.mark.parametrize(
    ("transform", "function"),
    [("standardize", lambda x: x), ("log", lambda x: np.sign(x) * np.log1p(np.abs(x)))],
)
def test_mean_and_deviation_are_those_of_the_whole_column(transform, function):
    values = np.random.default_rng(0).lognormal(9, 2, 5000) - 1000
    counts = TrainingCounts(Schema("s", [], [Numeric("x", transform=transform)]))
    for part in np.split(values, [7, 100, 4000]):
        counts.add(pl.DataFrame({"x": pl.Series(part).extend_constant(None, 1)}))
    (column,) = finished(counts)[0].numeric
    assert column.mean == pytest.approx(function(values).mean(), rel=1e-12)
    assert column.std == pytest.approx(function(values).std(), rel=1e-12)


def test_a_column_without_spread_without_transform_or_without_numbers(caplog):
    schema = Schema("s", [], [Numeric("x"), Numeric("y", transform="none"), Numeric("z")])
    counts = TrainingCounts(schema)
    counts.add(pl.DataFrame({"x": ["2", "2", "x"], "y": [5, 7, 9], "z": [None, "", "nan"]}))
    x, y, z = finished(counts)[0].numeric
    assert (x.mean, x.std) == (2.0, 1.0)
    assert y == schema.numeric[1] and z == schema.numeric[2]
    warned = [record.getMessage() for record in caplog.records]
    assert len(warned) == 1 and "column 'z' has no number in any training row" in warned[0]


@pytest.mark.parametrize("transform", ["standardize", "log"])
@pytest.mark.parametrize(("value", "rows"), [(0.1, 3), (0.1, 1000), (1 / 3, 45), (9.99, 131_072)])
def test_a_column_of_one_value_has_no_deviation_by_rounding(value, rows, transform):
    counts = TrainingCounts(Schema("s", [], [Numeric("x", transform=transform)]))
    for _ in range(2):
        counts.add(pl.DataFrame({"x": [value] * rows}))
    assert finished(counts)[0].numeric[0].std == 1.0


@pytest.mark.parametrize("encoding", ["vocabulary", "hash"])
def test_fields_that_share_are_counted_together(encoding):
    size = 9 if encoding == "hash" else None
    item = Categorical("item", size, encoding=encoding)
    past = Categorical("past", size, 3, encoding=encoding, shares="item", separator=" ")
    counts = TrainingCounts(Schema("s", [past, item]))
    counts.add(pl.DataFrame({"item": ["a", "b"], "past": ["b b c", ""]}))
    schema, vocabularies = finished(counts)
    assert schema.field_sizes["past"] == schema.field_sizes["item"]
    assert vocabularies["past"][0].equals(vocabularies["item"][0])
    assert sorted(vocabularies["past"][1].tolist())[-3:] == [1, 1, 3]
    if encoding == "vocabulary":
        assert vocabularies["item"][0].to_list() == ["<oov>", "b", "a", "c"]

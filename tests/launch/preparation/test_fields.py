"""Preparation and a served model give the same ids for any text."""

from collections import Counter

import numpy as np
import polars as pl
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from properties import examples

from launch.preparation.counting import TrainingCounts
from launch.preparation.encoding import fingerprints
from launch.preparation.fields import WITH_VOCABULARY, Codes, FieldEncoder
from zoo import Categorical, Schema
from zoo.data.vocabulary import save_vocabulary
from zoo.serving.encoding import ids_from_text, lookup_table

FIELDS = [
    Categorical("f"),
    Categorical("f", min_count=2, missing="bucket"),
    Categorical("f", length=2, separator=";"),
    Categorical("f", encoding="log_square", min_count=2),
    Categorical("f", encoding="log_square", missing="bucket"),
    Categorical("f", 7, encoding="hash"),
    Categorical("f", 7, encoding="hash", missing="bucket", length=3),
    Categorical("f", encoding="buckets", boundaries=(-1.5, 0, 2.5)),
    Categorical("f", 6, encoding="buckets"),
]
WORDS = st.text(alphabet="ab;\t\n\r é\u2028<o", max_size=4)
NUMBERS = st.one_of(
    st.integers(-(10**19), 10**19).map(str),
    # TensorFlow reads subnormal numbers as 0.
    st.floats(-1e6, 1e6, allow_subnormal=False).map(str),
    st.sampled_from(["", " 3 ", "+2", "-0", "-0.9", ".5", "5.", "1e3", "1e400", "nan", "inf", "x"]),
)


def trained(field: Categorical, texts: list[str], folder: str):
    """The field, its encoder and its lookup table, learned from texts."""
    counts = TrainingCounts(Schema("s", [field]))
    counts.add(pl.DataFrame({"f": pl.Series(texts, dtype=pl.String)}))
    found = []
    schema = counts.finish(lambda name, tables: found.extend(tables))
    values, occurrences = pl.concat(found)["value"], pl.concat(found)["count"].to_numpy()
    save_vocabulary(folder, "f", values.to_list(), occurrences)
    (field,) = schema.categorical
    known = values if field.encoding in WITH_VOCABULARY else None
    return field, FieldEncoder(field, known), lookup_table(folder, field), occurrences


@examples(80)
@given(
    st.sampled_from(FIELDS),
    st.lists(st.one_of(WORDS, NUMBERS), min_size=1, max_size=20),
    st.lists(st.one_of(WORDS, NUMBERS), min_size=1, max_size=8),
)
def test_the_preparation_and_the_served_model_agree(tmp_path_factory, field, seen, unseen):
    folder = str(tmp_path_factory.mktemp("served"))
    seen = [*seen, "1"]  # quantiles need a number
    field, encoder, table, counts = trained(field, seen, folder)
    for texts in (seen, unseen):
        ours = encoder.ids(pl.Series(texts, dtype=pl.String), Counter())
        served = ids_from_text(field, tf.constant(texts), table).numpy()
        assert ours.tolist() == served.tolist()
    ids = encoder.ids(pl.Series(seen, dtype=pl.String), Counter())
    assert np.bincount(ids[ids >= 0], minlength=field.size).tolist() == counts.tolist()


def test_codes_stay_over_slices_and_are_those_of_one_column():
    codes, other = Codes(), Codes()
    assert codes.of(pl.Series(["b", "a"])).tolist() == [0, 1]
    assert other.of(pl.Series(["a"])).tolist() == [0]
    assert codes.of(pl.Series(["c", "a", "b"])).tolist() == [2, 1, 0]
    assert codes.texts().to_list() == ["b", "a", "c"]


@pytest.mark.parametrize("encoding", ["hash", "log_square", "vocabulary"])
def test_ids_are_the_same_after_many_texts_are_forgotten(encoding):
    hashed = encoding == "hash"
    field = Categorical("f", 50 if hashed else 4, encoding=encoding)
    values = None if hashed else pl.Series(["<oov>", "5", "1", "0"])
    whole, part = FieldEncoder(field, values), FieldEncoder(field, values, most_cached=5)
    slices = [pl.Series([f"{i + j}" for j in range(7)]) for i in range(0, 30, 3)]
    expected = [whole.ids(texts, Counter()).tolist() for texts in slices]
    first = part._codes
    assert [part.ids(texts, Counter()).tolist() for texts in slices] == expected
    assert part._codes is not first


def test_quantile_buckets_hold_equally_many(tmp_path):
    numbers = np.random.default_rng(0).lognormal(size=4000)
    field, _, _, counts = trained(FIELDS[-1], [*map(str, numbers), "", "x"], str(tmp_path))
    assert field.size == 6 and len(field.boundaries) == 4
    assert counts[0] == 2
    assert np.abs(counts[1:] - 800).max() <= 1


def test_quantiles_of_few_values_give_fewer_buckets(tmp_path):
    field, encoder, _, counts = trained(FIELDS[-1], ["1"] * 50 + ["2"] * 50, str(tmp_path))
    assert field.boundaries == (2.0,) and counts.tolist() == [0, 50, 50]
    assert encoder.ids(pl.Series([0.0, 1.9, 2.0, None]), Counter())[:, 0].tolist() == [1, 1, 2, 0]


def test_quantiles_without_a_number_are_refused(tmp_path):
    with pytest.raises(ValueError, match="no training row has a number in 'f'"):
        trained(FIELDS[-1], ["", "x"], str(tmp_path))


def test_lists_numbers_and_booleans_count_as_their_texts():
    encoder = FieldEncoder(Categorical("f", 3), pl.Series(["<oov>", "1", "true"]))
    assert encoder.ids(pl.Series([1, 2]), Counter())[:, 0].tolist() == [1, 0]
    assert encoder.ids(pl.Series([True, None]), Counter())[:, 0].tolist() == [2, 0]
    several = FieldEncoder(Categorical("f", 3, length=2), pl.Series(["<oov>", "1", "2"]))
    column = pl.Series([[1, 2, 3], [], None, [None, 2]])
    changed = Counter()
    assert several.ids(column, changed).tolist() == [[1, 2], [-1, -1], [-1, -1], [2, -1]]
    assert changed == {"values beyond the first 2 of f left out": 1}
    floats = FieldEncoder(Categorical("f", 3, length=2), pl.Series(["<oov>", "1.5", "NaN"]))
    assert floats.ids(pl.Series([[float("nan"), 1.5]]), changed).tolist() == [[1, -1]]
    assert several.ids(pl.Series([["1|2"]]), changed).tolist() == [[1, 2]]  # as when served


@given(st.lists(st.one_of(st.none(), st.text(max_size=3)), min_size=1, max_size=20))
@examples(30)
def test_fingerprints_are_equal_where_values_are(values):
    numbers = fingerprints(pl.Series(values, dtype=pl.String))
    texts = [value or "" for value in values]
    assert len(set(numbers.tolist())) == len(set(texts))
    assert fingerprints(pl.Series(texts[::-1])).tolist() == numbers[::-1].tolist()
    assert (numbers >= 0).all()

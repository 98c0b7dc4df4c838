"""Vocabularies: ids by frequency, files that tf.lookup reads, and honest counts."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo import Categorical, DataError, Schema, load_counts
from zoo.vocabulary import load_vocabulary, save_vocabulary, vocabulary_path
from zoo.vocabulary_builder import build_vocabulary, clean_values, encode


def test_ids_go_by_count_then_value():
    values, counts = build_vocabulary(pl.Series(["c", "a", "b", "b", "c", "z"]))
    assert values == ["<oov>", "b", "c", "a", "z"]
    assert counts.tolist() == [0, 2, 2, 1, 1]


def test_rare_values_share_id_0_and_its_count():
    values, counts = build_vocabulary(pl.Series(["a", "a", "b", "c", "a"]), min_count=2)
    assert values == ["<oov>", "a"]
    assert counts.tolist() == [2, 3]
    assert encode(pl.Series(["c", "a", "new"]), values).tolist() == [0, 1, 0]


def test_a_value_that_reads_oov_is_unknown():
    values, counts = build_vocabulary(pl.Series(["<oov>", "a"]))
    assert values == ["<oov>", "a"]
    assert counts.tolist() == [1, 1]


def test_min_count_below_1_is_refused():
    with pytest.raises(DataError, match="min_count=0"):
        build_vocabulary(pl.Series(["a"]), min_count=0)


def test_tabs_and_line_ends_are_replaced_and_counted():
    cleaned, changed = clean_values(pl.Series(["a\tb", "c\nd", "e\r", "f", None]))
    assert cleaned.to_list() == ["a b", "c d", "e ", "f", ""]
    assert changed == 3


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text(alphabet="ab\t\n\r é\u2028\x85<o", max_size=4), min_size=1, max_size=30))
def test_any_text_survives_the_file_and_counts_add_up(tmp_path_factory, texts):
    folder = tmp_path_factory.mktemp("vocabulary")
    cleaned, _ = clean_values(pl.Series(texts, dtype=pl.String))
    values, counts = build_vocabulary(cleaned)
    save_vocabulary(folder, "f", values, counts)
    loaded, loaded_counts = load_vocabulary(folder, "f")
    assert loaded == values
    assert loaded_counts.tolist() == counts.tolist()
    assert counts.sum() == len(texts)
    ids = encode(cleaned, values)
    assert [values[i] for i in ids] == cleaned.to_list()
    assert np.bincount(ids, minlength=len(values)).tolist() == counts.tolist()


def test_tf_lookup_reads_the_same_ids(tmp_path):
    raw = pl.Series(["x", "y", "x", "long value", "", "e\r", "ü"])
    cleaned, _ = clean_values(raw)
    values, counts = build_vocabulary(cleaned)
    path = save_vocabulary(tmp_path, "f", values, counts)
    table = tf.lookup.StaticHashTable(
        tf.lookup.TextFileInitializer(
            path,
            key_dtype=tf.string,
            key_index=0,
            value_dtype=tf.int64,
            value_index=tf.lookup.TextFileIndex.LINE_NUMBER,
            delimiter="\t",
        ),
        default_value=0,
    )
    asked = [*cleaned.to_list(), "never seen"]
    expected = encode(pl.Series(asked), values)
    assert table.lookup(tf.constant(asked)).numpy().tolist() == expected.tolist()
    assert int(table.size()) == len(values)


@pytest.mark.parametrize(
    "text", ["", "user\t3\n", "<oov>\t0\nann\n", "<oov>\t0\nann\tx\n", "<oov>\t0\n<oov>\t1\n"]
)
def test_a_spoilt_file_is_named(tmp_path, text):
    path = Path(save_vocabulary(tmp_path, "user", ["<oov>"], np.array([0])))
    path.write_text(text)
    with pytest.raises(DataError, match=r"user\.tsv"):
        load_vocabulary(tmp_path, "user")


def test_a_missing_file_says_what_to_run(tmp_path):
    with pytest.raises(DataError, match=r"python -m launch\.prepare"):
        load_vocabulary(tmp_path, "user")


def test_counts_by_field_and_size_check(tmp_path):
    save_vocabulary(tmp_path, "a", ["<oov>", "x"], np.array([1, 5]))
    save_vocabulary(tmp_path, "b", ["<oov>", "x", "y"], np.array([0, 4, 2]))
    counts = load_counts(tmp_path, Schema("s", [Categorical("a", 2), Categorical("b", 3)]))
    assert {name: array.tolist() for name, array in counts.items()} == {"a": [1, 5], "b": [0, 4, 2]}
    assert counts["a"].dtype == np.int64
    with pytest.raises(DataError, match="3 ids, the schema says 4"):
        load_counts(tmp_path, Schema("s", [Categorical("b", 4)]))


def test_vocabularies_lie_beside_the_schema():
    assert vocabulary_path("data", "user") == "data/vocabulary/user.tsv"

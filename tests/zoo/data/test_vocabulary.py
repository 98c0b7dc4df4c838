"""Vocabularies: ids by frequency, files that tf.lookup reads, and counts."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from properties import examples

from zoo import Categorical, DataError, Schema, load_counts
from zoo.data.vocabulary import load_vocabulary, save_vocabulary, vocabulary_path


@examples(40)
@given(st.lists(st.text(alphabet="ab\t\n\r é\u2028\x85<o", max_size=4), min_size=1, max_size=30))
def test_any_text_survives_the_file(tmp_path_factory, texts):
    folder = tmp_path_factory.mktemp("vocabulary")
    distinct = sorted({text.translate({9: " ", 10: " ", 13: " "}) for text in texts} - {"<oov>"})
    values, counts = ["<oov>", *distinct], np.arange(len(distinct) + 1)
    save_vocabulary(folder, "f", values, counts)
    loaded, loaded_counts = load_vocabulary(folder, "f")
    assert loaded == values
    assert loaded_counts.tolist() == counts.tolist()


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


@pytest.mark.parametrize("name", ["a" * 1000, "con", "NUL", "com1.x", "a" * 201])
def test_names_that_no_file_can_have_are_safe(tmp_path, name):
    other = name[:-1] + "X"  # which begins as long as the file's name does
    for field, count in ((name, 3), (other, 4)):
        save_vocabulary(tmp_path, field, ["<oov>", "x"], np.array([0, count]))
    files = sorted(path.name for path in (tmp_path / "vocabulary").iterdir())
    assert len({file.lower() for file in files}) == 2 and max(map(len, files)) <= 204
    assert f"{name}.tsv" not in files
    assert load_vocabulary(tmp_path, name)[1].tolist() == [0, 3]
    assert load_vocabulary(tmp_path, other)[1].tolist() == [0, 4]


@pytest.mark.parametrize("name", ["con", "a" * 220])
def test_files_that_are_named_as_their_field_are_still_read(tmp_path, name):
    (tmp_path / "vocabulary").mkdir()
    (tmp_path / "vocabulary" / f"{name}.tsv").write_text("<oov>\t0\nx\t7\n")
    assert load_vocabulary(tmp_path, name)[1].tolist() == [0, 7]


def test_a_link_out_of_the_folder_is_not_followed(tmp_path):
    save_vocabulary(tmp_path / "a", "user", ["<oov>"], np.array([0]))
    (tmp_path / "b" / "vocabulary").mkdir(parents=True)
    (tmp_path / "b" / "vocabulary" / "user.tsv").symlink_to(vocabulary_path(tmp_path / "a", "user"))
    with pytest.raises(DataError, match="symbolic link"):
        load_vocabulary(tmp_path / "b", "user")

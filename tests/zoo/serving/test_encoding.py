"""Text becomes ids as the schema says, checked against the definition written in plain Python."""

import dataclasses
import math
import re

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import example, given
from hypothesis import strategies as st
from properties import examples

import zoo
from zoo.data.identity import vocabulary_checksum
from zoo.data.vocabulary import save_vocabulary
from zoo.serving.encoding import (
    NUMBER,
    hash_ids,
    ids_from_text,
    ids_of_columns,
    lookup_table,
)

WORDS = ["<oov>", "", "5", "-1", "0", "a b", "é", "rock", "9007199254740992", "-9007199254740992"]
BUCKETS = zoo.Categorical("age", encoding="buckets", boundaries=(-1.5, 0.0, 18.0, 1e6))
FIELDS = {
    "oov": zoo.Categorical("oov", len(WORDS) - 1),
    "bucket": zoo.Categorical("bucket", len(WORDS), missing="bucket"),
    "several": zoo.Categorical("several", len(WORDS), length=3, separator="::"),
    "log_square": zoo.Categorical("log_square", len(WORDS) - 1, encoding="log_square"),
    "log_square_bucket": zoo.Categorical(
        "log_square_bucket", len(WORDS), encoding="log_square", missing="bucket"
    ),
    "hash": zoo.Categorical("hash", 100, encoding="hash"),
    "hash_bucket": zoo.Categorical("hash_bucket", 1000, encoding="hash", missing="bucket"),
    "hash_several": zoo.Categorical("h", 50, encoding="hash", length=2, separator=" "),
    "buckets": BUCKETS,
}


def words_of(field):
    return WORDS if field.size == len(WORDS) else [WORDS[0], *WORDS[2:]]


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    for field in FIELDS.values():
        if field.encoding in ("vocabulary", "log_square"):
            words = words_of(field)
            save_vocabulary(folder, field.name, words, np.zeros(len(words), np.int64))
    return {name: lookup_table(folder, field) for name, field in FIELDS.items()}


def number(text):
    """The finite number that a text is, or None."""
    text = text.strip("\t\n\v\f\r \x85\xa0\u1680\u2002\u2003\u2028\u2029\u202f\u205f\u3000")
    found = re.fullmatch(NUMBER, text)
    if not found or not math.isfinite(float(text)):
        return None
    return 0.0 if abs(float(text)) < 2.0**-126 else float(text)


def expected_id(field, value):
    value = re.sub("[\t\n\r]", " ", value)
    if field.encoding == "buckets":
        x = number(value)
        return 0 if x is None else 1 + sum(boundary <= x for boundary in field.boundaries)
    if field.encoding == "hash":
        first = 2 if field.missing == "bucket" else 1
        if not value:
            return first - 1
        return first + int(tf.strings.to_hash_bucket_fast(value, field.size - first))
    if field.encoding == "log_square":
        x = number(value)
        if x is None:
            value = ""
        else:
            value = str(math.floor(math.log(x) ** 2) if x > 2 else math.trunc(max(x, -(2**53))))
    words = words_of(field)
    return words.index(value) if value in words else 0


def expected_row(field, text):
    if field.length == 1:
        return [expected_id(field, text)]
    pieces = [piece for piece in text.split(field.separator) if piece][: field.length]
    return [expected_id(field, piece) for piece in pieces] + [-1] * (field.length - len(pieces))


NUMBERS = st.one_of(
    st.floats().map(str), st.integers(-10, 10**20).map(str), st.sampled_from(["18", " 2.0 ", ".5"])
)
TEXTS = st.one_of(
    st.sampled_from([*WORDS, "rock::5", "::rock::::a b::", "a b\t5", "5\n", "\t"]),
    NUMBERS,
    st.text(st.characters(codec="utf-8"), max_size=8),
    st.lists(st.sampled_from(["rock", "5", "", "x", " "]), max_size=6).map("::".join),
)


@pytest.mark.parametrize("name", FIELDS)
@examples(25)
@given(texts=st.lists(TEXTS, min_size=1, max_size=20))
@example(
    texts=["", "1e999", "-1e999", "1e-400", "-0.5", "-1e300", "2", "2.0001", "nan", "1_0", "5."]
)
@example(
    texts=["+18", "17.999999999999999", "0x10", "\u0663", "1e", "e1", ".", "+", " 18 ", "9" * 400]
)
@example(
    texts=[
        *("0" * 50 + "19", "-" + "0" * 40 + "1", "17." + "9" * 12, "18." + "0" * 40 + "1"),
        *("0." + "0" * 40, "." + "0" * 33 + "19e35", "19" + "0" * 50 + "e-50", "-1" + "0" * 40),
        *("19e+" + "0" * 40, "1e" + "9" * 40, "-1e-" + "9" * 40, "1." + "9" * 40 + "E1"),
    ]
)
@example(texts=["-2.225073858507203e-309", "5e-324", "-1e-39", "1e-39"])
@example(texts=["", "::", "a b\n::5::é::rock", "  x ", "<oov>", "\u00a018\u2003"])
def test_ids_are_those_of_the_definition(tables, name, texts):
    field = FIELDS[name]
    ids = ids_from_text(field, tf.constant(texts), tables[name])
    assert ids.dtype == tf.int32
    assert ids.shape == (len(texts), field.length)
    assert ids.numpy().tolist() == [expected_row(field, text) for text in texts]


@examples(10)
@given(
    order=st.permutations([*FIELDS, *FIELDS]),
    rows=st.lists(st.lists(TEXTS, min_size=2 * len(FIELDS), max_size=2 * len(FIELDS)), max_size=6),
)
def test_fields_encoded_together_have_the_ids_of_each(tables, order, rows):
    fields = [dataclasses.replace(FIELDS[name], name=f"{i}") for i, name in enumerate(order)]
    given = {f"{i}": tables[name] for i, name in enumerate(order) if tables[name] is not None}
    texts = [tf.constant([row[i] for row in rows], tf.string) for i in range(len(fields))]
    ids = ids_of_columns(fields, texts, given)
    alone = [
        ids_from_text(field, text, given.get(field.name))
        for field, text in zip(fields, texts, strict=True)
    ]
    assert ids.dtype == tf.int32
    assert ids.numpy().tolist() == tf.concat(alone, axis=1).numpy().tolist()


@pytest.mark.parametrize("sizes", [[50] * 20, [50 + i for i in range(20)]])
def test_fields_of_one_encoding_share_their_operations(sizes):
    fields = [zoo.Categorical(f"f{i}", n, encoding="hash") for i, n in enumerate(sizes)]

    @tf.function
    def encode(texts):
        return ids_of_columns(fields, texts, {})

    spec = [tf.TensorSpec([None], tf.string)] * len(fields)
    types = [op.type for op in encode.get_concrete_function(spec).graph.get_operations()]
    assert types.count("StaticRegexFullMatch") == 1 and not types.count("StaticRegexReplace")
    hashes = types.count("StringToHashBucketFast") + types.count("Fingerprint")
    assert hashes == 3 and types.count("Cast") <= 6
    random = np.random.default_rng(0)
    texts = [[random.bytes(n).hex() for n in range(0, 40, 3)] for _ in fields]
    found = encode([tf.constant(text) for text in texts]).numpy()
    for field, column, ids in zip(fields, texts, found.T, strict=True):
        assert ids.tolist() == [expected_id(field, text) for text in column]


def test_log_square_agrees_with_numpy_on_every_whole_number():
    numbers = np.arange(3, 100_000, dtype=np.float64)
    words = ["<oov>", *dict.fromkeys(np.floor(np.log(numbers) ** 2).astype(int).astype(str))]
    field = zoo.Categorical("n", len(words), encoding="log_square")
    initializer = tf.lookup.KeyValueTensorInitializer(words, np.arange(len(words)))
    table = tf.lookup.StaticHashTable(initializer, 0)
    ids = ids_from_text(field, tf.constant(numbers.astype(int).astype(str)), table).numpy()[:, 0]
    assert ids.min() == 1
    assert (np.diff(ids) >= 0).all()
    found = np.array(words[1:], int)[ids - 1]
    np.testing.assert_array_equal(found, np.floor(np.log(numbers) ** 2))


def test_hashes_are_forever():
    # Farm fingerprint 64: a served model and data prepared years apart must agree.
    plain, bucket = FIELDS["hash"], FIELDS["hash_bucket"]
    assert hash_ids(plain, ["", "ann", "bob", "é", "a\tb", "a b"]).tolist() == [
        0,
        94,
        79,
        53,
        87,
        87,
    ]
    assert hash_ids(bucket, np.array(["", "ann", "bob"], object)).tolist() == [1, 794, 611]
    assert hash_ids(plain, []).tolist() == []
    values = [f"user {i}" for i in range(5000)]
    ids = hash_ids(bucket, values)
    assert ids.dtype == np.int32
    assert ids.min() == 2 and ids.max() == 999
    one_by_one = ids_from_text(bucket, tf.constant(values))[:, 0]
    np.testing.assert_array_equal(ids, one_by_one)
    smallest = zoo.Categorical("x", 3, encoding="hash", missing="bucket")
    assert hash_ids(smallest, ["", "a", "b"]).tolist() == [1, 2, 2]


def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(ValueError, match="'oov' needs a table"):
        ids_from_text(FIELDS["oov"], tf.constant(["a"]))
    with pytest.raises(ValueError, match=r"'age' has no boundaries; prepare"):
        ids_from_text(zoo.Categorical("age", 5, encoding="buckets"), tf.constant(["1"]))
    with pytest.raises(ValueError, match="'oov' has encoding='vocabulary', not 'hash'"):
        hash_ids(FIELDS["oov"], ["a"])
    with pytest.raises(zoo.DataError, match=r"no vocabulary at .*/oov\.tsv"):
        lookup_table(tmp_path, FIELDS["oov"])
    save_vocabulary(tmp_path, "oov", ["<oov>", "a"], np.array([0, 1]))
    with pytest.raises(
        zoo.DataError, match=r"oov\.tsv has 2 ids, and the model's field 'oov' has 9"
    ):
        lookup_table(tmp_path, FIELDS["oov"])


def test_tables_of_one_path_do_not_share_what_they_hold(tmp_path):
    field, kept = zoo.Categorical("user", 3), []
    for values, ids in (("a", "b"), [1, 2]), (("b", "a"), [2, 1]):
        save_vocabulary(tmp_path, "user", ["<oov>", *values], np.ones(3, np.int64))
        kept.append(lookup_table(tmp_path, field))
        assert kept[-1].lookup(tf.constant(["a", "b"])).numpy().tolist() == ids
    assert kept[0].lookup(tf.constant(["a", "b"])).numpy().tolist() == [1, 2]


def test_a_table_can_ask_for_a_checksum(tmp_path):
    field = zoo.Categorical("user", 3)
    save_vocabulary(tmp_path, "user", ["<oov>", "a", "b"], np.ones(3, np.int64))
    checksum = vocabulary_checksum(tmp_path, "user")
    assert checksum == "304c7df3e3910b98b8a696f25aab67b7ebab9c62d1f19a04153cccbbb6887e4d"
    assert lookup_table(tmp_path, field, checksum) is not None
    with pytest.raises(zoo.DataError, match="field 'user' has another vocabulary in"):
        lookup_table(tmp_path, field, "0" * 64)

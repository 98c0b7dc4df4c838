"""The preparation gives raw values the ids and numbers that a served model gives them."""

from collections import Counter

import numpy as np
import polars as pl
import pytest
import tensorflow as tf
from hypothesis import example, given
from hypothesis import strategies as st
from properties import examples

from launch.preparation.fields import FieldEncoder
from zoo.data.columns import Categorical
from zoo.serving.encoding import ids_from_text

WORDS = ["<oov>", "", "5", "-1", "0", "a b", "é", "rock", "9007199254740992", "-9007199254740992"]
FIELDS = {
    "vocabulary": Categorical("f", len(WORDS) - 1),
    "bucket": Categorical("f", len(WORDS), missing="bucket"),
    "several": Categorical("f", len(WORDS) - 1, length=3, separator="::"),
    "log_square": Categorical("f", len(WORDS), encoding="log_square", missing="bucket"),
    "hash": Categorical("f", 1000, encoding="hash", missing="bucket"),
    "hash_several": Categorical("f", 50, encoding="hash", length=2, separator=" "),
    "buckets": Categorical("f", encoding="buckets", boundaries=(-1.5, 0.0, 18.0, 1e6)),
}
TEXTS = st.one_of(
    st.sampled_from([*WORDS, "rock::5", "::rock::::a b::", "a b\t5", "5\n", "\t", "<oov>"]),
    st.floats(allow_subnormal=False).map(str),  # which TensorFlow takes for 0
    st.integers(-10, 10**20).map(str),
    st.text("0123456789.eE+-_ x", max_size=6),
    st.text(st.characters(codec="utf-8"), max_size=8),
    st.lists(st.sampled_from(["rock", "5", "", "x", " "]), max_size=6).map("::".join),
)


def vocabulary_of(field):
    if field.encoding not in ("vocabulary", "log_square"):
        return None
    return WORDS if field.missing == "bucket" else [WORDS[0], *WORDS[2:]]


def table_of(words):
    if words is None:
        return None
    values = tf.range(len(words), dtype=tf.int64)
    return tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(words, values), 0)


@pytest.mark.parametrize("name", FIELDS)
def test_ids_agree(name):
    field = FIELDS[name]
    words = vocabulary_of(field)
    table = table_of(words)

    @examples(40)
    @given(texts=st.lists(TEXTS, min_size=1, max_size=20))
    @example(texts=["", "1e999", "-1e999", "1e-400", "-0.5", "-1e300", "2", "2.0001", "nan", "inf"])
    @example(
        texts=["5.", ".5", "+18", "1_0", "0x10", "\u0663", "1e", "e1", ".", "+", " 18 ", "1E2"]
    )
    @example(texts=["\u00a018", "18\u2003", "18\t", "\n18", "1" * 400, "17.999999999999999", "--5"])
    @example(texts=["infinity", "+inf", "NaN", "true", "1d", "1f", "0b1", "00018", "-.5e1", "+-1"])
    def agree(texts):
        encoder = FieldEncoder(field, None if words is None else pl.Series(words))
        prepared = encoder.ids(pl.Series(texts), Counter())
        served = ids_from_text(field, tf.constant(texts), table).numpy()
        wrong = np.flatnonzero((prepared != served).any(axis=1))
        assert not len(wrong), {texts[i]: (prepared[i].tolist(), served[i].tolist()) for i in wrong}

    agree()

"""Numbers that are subnormal in float32 are 0 to preparation, training and serving alike."""

from collections import Counter

import numpy as np
import polars as pl
import pytest
import tensorflow as tf

import zoo
from launch.preparation.fields import FieldEncoder
from launch.preparation.texts import finite_numbers, log_squares, numbers
from zoo.data.subnormals import SMALLEST
from zoo.data.vocabulary import save_vocabulary
from zoo.features import standardized
from zoo.serving.encoding import ids_from_text, lookup_table

# What hypothesis found on a machine that flushes: just below float64's smallest normal number.
FOUND = "-2.225073858507203e-309"
TEXTS = [FOUND, FOUND[1:], "5e-324", "-1e-310", "1e-39", "-1e-39", "1e-37", "-1e-37", "0", "-0"]
BELOW = [0, 0, 0, 0, 0, 0, 1, -1, 0, 0]  # the sign of what is read
AGE = zoo.Categorical("age", encoding="buckets", boundaries=(-1.0, 0.0, 1e-310, 5e-38, 1.0))


def test_both_readers_of_a_bucket_agree():
    served = ids_from_text(AGE, tf.constant(TEXTS), None).numpy()[:, 0]
    prepared = FieldEncoder(AGE, None).ids(pl.Series(TEXTS), Counter())[:, 0]
    # -1 | 0 = 1e-310 | 5e-38 | 1: what is 0 lies above two boundaries that are 0
    expected = [{-1: 2, 0: 4, 1: 5}[sign] for sign in BELOW]
    assert served.tolist() == prepared.tolist() == expected


def test_both_readers_of_a_logarithm_agree(tmp_path):
    field = zoo.Categorical("n", 3, encoding="log_square")
    save_vocabulary(tmp_path, "n", ["<oov>", "0", "1"], np.zeros(3, np.int64))
    assert set(log_squares(pl.Series(TEXTS))) == {"0"}
    ids = ids_from_text(field, tf.constant(TEXTS), lookup_table(tmp_path, field))
    assert ids.numpy()[:, 0].tolist() == [1] * len(TEXTS)


def test_preparation_reads_them_as_0():
    assert np.sign(finite_numbers(pl.Series(TEXTS)).to_numpy()).tolist() == BELOW
    column = numbers(pl.Series(TEXTS), zoo.Numeric("x"), Counter())
    assert np.sign(column).tolist() == BELOW


@pytest.mark.parametrize("transform", ["none", "log"])
def test_models_take_them_as_0(transform):
    schema = zoo.Schema("s", [], [zoo.Numeric("x", transform=transform)])
    values = tf.constant([[1e-39], [-1e-39], [SMALLEST / 2], [0.0], [SMALLEST]])
    found = standardized(schema, values, "float32").numpy().ravel()
    assert found.tolist() == [0.0, 0.0, 0.0, 0.0, float(np.float32(SMALLEST))]

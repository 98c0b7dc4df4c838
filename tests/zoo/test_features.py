"""Numbers on one scale: the transforms against NumPy."""

import numpy as np
import pytest
import tensorflow as tf

import zoo
import zoo.layers
from zoo.features import standardized

LOG = zoo.Numeric("amount", mean=1.5, std=0.5, transform="log")
LOG2 = zoo.Numeric("fee", mean=-0.5, std=2.5, transform="log")
PLAIN = zoo.Numeric("price", mean=2.0, std=4.0)
RAW = zoo.Numeric("share", transform="none")


def signed_log(x):
    return np.sign(x) * np.log1p(np.abs(x))


@pytest.mark.parametrize(
    "columns", [[LOG], [PLAIN], [RAW], [LOG, PLAIN, RAW], [LOG2, LOG]], ids=str
)
def test_transforms_are_those_of_the_schema(columns):
    schema = zoo.Schema("s", [], columns)
    x = np.random.default_rng(0).normal(0, 50, (100, len(columns))).astype(np.float32)
    x[:4] = [
        [0.0] * len(columns),
        [-3e38] * len(columns),
        [3e38] * len(columns),
        [1e-30] * len(columns),
    ]
    functions = {"log": signed_log, "standardize": np.array, "none": np.array}
    expected = np.stack(
        [
            (functions[c.transform](x[:, i].astype(np.float64)) - c.mean) / c.std
            for i, c in enumerate(columns)
        ],
        axis=1,
    )
    found = standardized(schema, tf.constant(x), "float32").numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    assert standardized(schema, tf.constant(x), "bfloat16").dtype == tf.bfloat16


@pytest.mark.parametrize("mean", [-2.5, 0.0, 1.5])
def test_a_missing_number_counts_as_the_mean_after_the_transform(mean):
    for transform in ("log", "standardize"):
        column = zoo.Numeric("x", mean=mean, std=0.5, transform=transform)
        x = tf.constant([[column.missing_value]])
        value = standardized(zoo.Schema("s", [], [column]), x, "float32")
        np.testing.assert_allclose(value, [[0.0]], atol=2e-6)


ITEM = zoo.Categorical("item", 9)
SEEN = zoo.Categorical("seen", 9, length=2, shares="item")


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "str"])
@pytest.mark.parametrize("make", [zoo.DIN, zoo.LR, zoo.DeepFM, zoo.layers.FieldEmbedding])
def test_ids_that_are_no_integers_are_refused_by_their_dtype(make, dtype):
    arguments = {"output_dim": 4} if make is zoo.layers.FieldEmbedding else {}
    model = make(zoo.Schema("s", [ITEM, SEEN]), **arguments)
    ids = np.array([[3, 1, 2]])
    with pytest.raises(TypeError, match=r"ids.*(float|string).*int32"):
        model({"ids": tf.constant(ids.astype(dtype))})
    assert np.isfinite(model({"ids": ids.astype("uint8")})).all()


def test_the_spelling_of_version_0_1_is_read():
    assert zoo.Numeric("x", transform="standardise") == zoo.Numeric("x", transform="standardize")

"""Rows rounded to half precision: unbiased, exact where possible, the same for the same seed."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from tf_helen.core.rounding import HALF, Rounding, checked_rounding

FINITE = st.floats(-60000, 60000, width=32, allow_subnormal=True)


def neighbors(value, dtype):
    """The values of a dtype on both sides of a number, by enumeration of its bits."""
    every = np.arange(2**16, dtype=np.uint16).view(tf.as_dtype(dtype).as_numpy_dtype)
    with np.errstate(invalid="ignore"):
        every = every.astype(np.float64)
    every = every[np.isfinite(every)]
    return every[every <= value].max(), every[every >= value].min()


@pytest.mark.parametrize("dtype", HALF)
@given(value=FINITE, step=st.integers(1, 2**40))
def test_a_value_becomes_one_of_its_neighbors(dtype, value, step):
    rows = tf.fill([64], np.float32(value))
    found = Rounding(True, 3)(rows, tf.as_dtype(dtype), step)
    assert {*tf.cast(found, tf.float64).numpy().tolist()} <= {*neighbors(np.float32(value), dtype)}


@pytest.mark.parametrize("dtype", HALF)
@pytest.mark.parametrize("value", [1.001, -0.3, 3e-6, -2.2e-7, 1e-3, 511.3])
def test_the_expected_value_is_the_value(dtype, value):
    count = 200_000
    found = Rounding(True, 0)(tf.fill([count], np.float32(value)), tf.as_dtype(dtype), 7)
    low, high = neighbors(np.float32(value), dtype)
    share = (np.float32(value) - low) / (high - low)
    # Five standard deviations of the mean.
    bound = 5 * (high - low) * np.sqrt(share * (1 - share) / count) + 1e-12
    assert abs(tf.cast(found, tf.float64).numpy().mean() - np.float64(np.float32(value))) < bound


@pytest.mark.parametrize("dtype", HALF)
def test_values_of_the_dtype_do_not_change(dtype):
    every = tf.bitcast(tf.range(2**16, dtype=tf.int32), tf.uint16)[:, 0]
    every = tf.bitcast(every, tf.as_dtype(dtype))
    found = Rounding(True, 0)(tf.cast(every, tf.float32), every.dtype, 1)
    np.testing.assert_array_equal(tf.cast(found, tf.float32), tf.cast(every, tf.float32))


def test_numbers_out_of_range_are_those_of_a_cast():
    rows = tf.constant([np.inf, -np.inf, 1e6, 70000.0, np.nan])
    found = Rounding(True, 0)(rows, tf.float16, 1)
    np.testing.assert_array_equal(found, tf.cast(rows, tf.float16))


def test_the_numbers_depend_on_seed_step_and_first_row_only():
    rows = tf.random.stateless_normal([50, 8], [1, 2])

    def bits(seed=1, step=1, first=-1):
        return Rounding(True, seed)(rows, tf.bfloat16, step, first).numpy().tobytes()

    assert bits() == bits()
    assert len({bits(), bits(seed=2), bits(step=2), bits(first=0), bits(first=64)}) == 5


def test_rounding_to_the_nearest_value_is_a_cast():
    rows = tf.random.stateless_normal([50, 8], [1, 2])
    found = Rounding(False, 0)(rows, tf.bfloat16, 1)
    assert found.numpy().tobytes() == tf.cast(rows, tf.bfloat16).numpy().tobytes()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("float8", "nearest", 0), "embeddings_dtype"),
        (("float32", "nearest", 0), "embeddings_dtype"),
        (("bfloat16", "up", 0), "rounding"),
        (("bfloat16", "nearest", -1), "`rounding_seed` must be an integer in"),
    ],
)
def test_other_values_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        checked_rounding(*arguments)

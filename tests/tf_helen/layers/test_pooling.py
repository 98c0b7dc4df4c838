"""Pooling of many rows in half precision."""

import pytest
import tensorflow as tf

from tf_helen.layers.pooling import pooled


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32", "float64"])
def test_long_fields_are_summed_and_counted_exactly(dtype):
    # In bfloat16 256 + 1 is 256: the mean was 4, where it is 2.
    rows = tf.cast(tf.constant([[1.0], [3.0]] * 300), dtype)
    zeros = tf.zeros(600, tf.int64)
    for how, expected in (("mean", 2), ("sum", 1200)):
        found = pooled(rows, zeros, zeros, 1, [how])
        assert found.dtype == dtype
        assert float(found[0, 0, 0]) == expected


def test_gradients_keep_the_dtype():
    rows = tf.ones([4, 2], tf.bfloat16)
    zeros = tf.zeros(4, tf.int64)
    with tf.GradientTape() as tape:
        tape.watch(rows)
        found = pooled(rows, zeros, zeros, 1, ["mean"])
    gradient = tape.gradient(found, rows)
    assert gradient.dtype == tf.bfloat16
    assert (tf.cast(gradient, tf.float32).numpy() == 0.25).all()

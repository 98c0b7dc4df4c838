"""Histories of hundreds of ids in bfloat16, where 256 + 1 is 256."""

import numpy as np
import pytest
import tensorflow as tf

import zoo
from zoo.layers.target_attention import TargetAttention

LENGTH = 600


def test_attention_sums_a_long_history():
    layer = TargetAttention((2,), activation="tanh", dtype="bfloat16")
    target = tf.ones((1, 1), tf.bfloat16)
    history = tf.ones((1, LENGTH, 1), tf.bfloat16)
    layer.build(target.shape)
    layer.score.kernel.assign(tf.zeros_like(layer.score.kernel))
    layer.score.bias.assign([1.0])
    found = layer(target, history, tf.ones((1, LENGTH), tf.bool))
    assert found.dtype == tf.bfloat16
    assert float(found[0, 0]) == LENGTH


@pytest.mark.parametrize(("pooling", "expected"), [("mean", 2), ("sum", 1200)])
def test_din_pools_its_other_fields(pooling, expected):
    fields = [
        zoo.Categorical("item", 2),
        zoo.Categorical("items", 2, length=2, shares="item"),
        zoo.Categorical("tags", 2, length=LENGTH, pooling=pooling),
    ]
    settings = {"attention_hidden_units": (2,), "hidden_units": (2,), "dtype": "mixed_bfloat16"}
    model = zoo.DIN(zoo.Schema("long", fields), 1, **settings)
    model.embedding.tables[1].embeddings.assign([[1.0], [3.0]] * 2)
    seen = []
    model.mlp.call = lambda inputs, **_: seen.append(inputs) or tf.zeros((1, 2), inputs.dtype)
    model({"ids": np.array([[0, 1, -1] + [0, 1] * (LENGTH // 2)])})
    assert seen[0].dtype == tf.bfloat16
    assert float(seen[0][0, 2]) == expected

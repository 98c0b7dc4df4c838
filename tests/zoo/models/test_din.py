"""DIN: histories and Dice."""

import numpy as np
import pytest
import tensorflow as tf

import tf_helen
import zoo
from zoo.layers.dice import Dice
from zoo.layers.target_attention import TargetAttention

ITEM, CATEGORY = zoo.Categorical("item", 9), zoo.Categorical("category", 5)
ITEMS = zoo.Categorical("items", 9, length=3, shares="item")
CATEGORIES = zoo.Categorical("categories", 5, length=3, shares="category")
TAGS = zoo.Categorical("tags", 6, length=2, pooling="sum")
SCHEMA = zoo.Schema("shop", [ITEMS, ITEM, TAGS, CATEGORY, CATEGORIES], [zoo.Numeric("price")])
TUPLE = {"targets": [("item", "category")], "sequences": [("items", "categories")]}


def din(schema=SCHEMA, **settings):
    settings = {"attention_hidden_units": (4,), "hidden_units": (5,), **settings}
    model = zoo.DIN(schema, 2, **settings)
    rng = np.random.default_rng(0)
    for weight in model.weights:
        weight.assign(np.abs(rng.normal(0, 1, weight.shape)) + 0.1)
    return model


def features(*rows):
    return {"ids": np.array(rows, np.int32), "numeric": np.ones((len(rows), 1), np.float32)}


def vectors(model, ids):
    """What the MLP of a model is given."""
    seen = []
    call = model.mlp.call
    model.mlp.call = lambda inputs, **options: seen.append(inputs) or call(inputs, **options)
    model(features(*ids))
    del model.mlp.call
    return seen[0].numpy()


def test_shared_fields_of_several_values_are_histories():
    assert din().histories == [(["item"], ["items"]), (["category"], ["categories"])]
    assert din(**TUPLE).histories == [(["item", "category"], ["items", "categories"])]
    assert din(targets=["item"], sequences=["items"]).histories == [(["item"], ["items"])]


@pytest.mark.parametrize("settings", [{}, {"softmax": True}, TUPLE], ids=["", "softmax", "tuple"])
def test_an_empty_history_gives_zeros_and_padding_may_stand_anywhere(settings):
    found = vectors(
        din(**settings),
        [
            [-1, -1, -1, 4, 1, 2, 3, -1, -1, -1],
            [7, 2, -1, 4, 1, 2, 3, 1, 2, -1],
            [-1, 7, 2, 4, 1, 2, 3, -1, 1, 2],
        ],
    )
    assert (found[0, [0, 1, 8, 9]] == 0).all()
    assert (found[0, 2:8] != 0).all()
    assert (found[1] != 0).all()
    np.testing.assert_allclose(found[2], found[1], rtol=1e-5)


def test_other_fields_of_several_values_are_pooled():
    model = din(targets=["item"], sequences=["items"])
    found = vectors(model, [[7, 2, -1, 4, 1, 3, 3, 1, 2, -1]])[0]
    table = model.embedding.tables[2].embeddings.numpy()
    np.testing.assert_allclose(found[4:6], table[9 + 1] + table[9 + 3], rtol=1e-5)
    np.testing.assert_allclose(found[8:10], (table[15 + 1] + table[15 + 2]) / 2, rtol=1e-5)


def test_batches_without_any_history_leave_the_statistics_finite():
    model = din()
    nobody = features([-1, -1, -1, 4, 1, 2, 3, -1, -1, -1], [-1, -1, -1, 5, -1, -1, 3, -1, -1, -1])
    model.compile(tf_helen.Adam(), "mse")
    model.fit(nobody, np.ones((2, 1)), epochs=2, verbose=0)
    assert all(np.isfinite(weight).all() for weight in model.weights)


def test_the_softmax_of_a_history_sums_to_one():
    layer = TargetAttention((4,), activation="tanh", softmax=True)
    history = tf.random.stateless_normal((5, 3, 2), (0, 1)) + tf.constant([0.0, 1e3])
    present = tf.constant([[1, 1, 1], [1, 0, 0], [0, 0, 0], [0, 1, 1], [1, 0, 1]]) > 0
    history = tf.where(present[:, :, None], history, 0.0)
    pooled = layer(tf.ones((5, 2)), history, present).numpy()
    np.testing.assert_allclose(pooled[[0, 1, 3, 4], 1], 1e3, rtol=0.01)
    assert (pooled[2] == 0).all()


def test_dice_normalizes_by_the_batch_in_training_and_by_moving_averages_else():
    layer = Dice()
    x = np.random.default_rng(0).normal(3, 2, (50, 4)).astype(np.float32)
    layer.build((None, 4))
    layer.slope.assign([0.0, 0.5, -1.0, 2.0])
    slope = layer.slope.numpy()

    def expected(mean, variance):
        share = 1 / (1 + np.exp(-(x - mean) / np.sqrt(variance + 1e-9)))
        return share * x + slope * (1 - share) * x

    trained = layer(x, training=True)
    np.testing.assert_allclose(trained, expected(x.mean(0), x.var(0)), rtol=1e-4, atol=1e-5)
    mean, variance = 0.01 * x.mean(0), 0.99 + 0.01 * x.var(0)
    np.testing.assert_allclose(layer(x), expected(mean, variance), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"targets": ["item"]}, "sequences.*list of names.*None"),
        ({"targets": "item", "sequences": "items"}, "targets.*list of names.*'item'"),
        ({"targets": ["item", "category"], "sequences": ["items"]}, "pairs"),
        ({"targets": ["itm"], "sequences": ["items"]}, "'itm'.*single-valued"),
        ({"targets": ["tags"], "sequences": ["items"]}, "'tags'.*single-valued"),
        ({"targets": ["item"], "sequences": ["category"]}, "'category'.*multi-valued"),
        ({"targets": ["item", "item"], "sequences": ["items", "items"]}, "'items'.*twice"),
        ({"targets": [("item", "item")], "sequences": [("items", "tags")]}, "same length"),
        ({"attention_hidden_units": 4}, "hidden_units.*4"),
        ({"embedding_dims": {"price": 3}}, "the same width"),
    ],
)
def test_bad_settings_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        din(**settings)

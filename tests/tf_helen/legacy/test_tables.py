"""Reads of tables of tf_keras models apply the decay; frozen tables do not change."""

import numpy as np
import pytest
import tensorflow as tf
from tf_keras_model import MixinModel, tf_keras

import tf_helen
from tf_helen import legacy

ROWS = 6
EVERY = np.arange(ROWS, dtype=np.int32)[:, None]
ALPHA = 0.125
LEFT = [1.0, 0.875, 0.65625, 0.41015625]  # P(n) for alpha = 1/8


def tower(name, cls):
    inputs = tf_keras.Input((1,), dtype="int32")
    rows = legacy.Embedding(ROWS, 2, name=name)(inputs)
    return cls(inputs, tf_keras.layers.Flatten()(rows))


def joint(cls=MixinModel, optimizer=None, **arguments):
    """A compiled model of two towers, and the second of them."""
    tf_keras.utils.set_random_seed(0)
    towers = [tower(name, cls) for name in "ab"]
    inputs = [tf_keras.Input((1,), dtype="int32") for _ in towers]
    rows = [one(x) for one, x in zip(towers, inputs, strict=True)]
    model = cls(inputs, tf_keras.layers.Dense(1)(tf_keras.layers.Concatenate()(rows)))
    optimizer = optimizer or legacy.AdamAR(0.0, alpha=ALPHA)
    model.compile(optimizer, "mse", run_eagerly=True, **arguments)
    return model, towers[1]


def step(model, times=1):
    ids = np.zeros((2, 1), np.int32)
    for _ in range(times):
        model.train_on_batch([ids, ids], np.ones((2, 1), np.float32))


def rows_of(item):
    return np.array(item.layers[1](EVERY))[:, 0]


@pytest.mark.parametrize(
    ("cls", "around"),
    [(tf_keras.Model, None), (MixinModel, None), (MixinModel, legacy.Helen)],
    ids=["plain", "mixin", "Helen"],
)
def test_a_frozen_table_stays_and_goes_on_where_it_was(cls, around):
    optimizer = legacy.AdamAR(0.0, alpha=ALPHA)
    if around:
        optimizer = around(base_optimizer=optimizer)
    model, item = joint(cls, optimizer)
    start = rows_of(item)
    step(model, 2)
    item.layers[1].trainable = False
    model.compile(optimizer, "mse", run_eagerly=True)
    step(model, 5)
    np.testing.assert_array_equal(rows_of(item)[1:], start[1:] * LEFT[1])
    np.testing.assert_array_equal(item.get_weights()[0][1:], start[1:] * LEFT[1])
    item.layers[1].trainable = True
    model.compile(optimizer, "mse", run_eagerly=True)
    step(model)
    np.testing.assert_allclose(rows_of(item)[1:], start[1:] * LEFT[2], rtol=1e-6)


def test_a_tower_in_the_middle_of_training_is_up_to_date(tmp_path):
    model, item = joint()
    item.predict_on_batch(EVERY)  # traced before there is a decay
    start, layer = rows_of(item), item.layers[1]

    def saved():
        item.save(tmp_path / "saved")
        loaded = tf.saved_model.load(str(tmp_path / "saved"))
        return loaded(tf.constant(EVERY)).numpy()

    step(model, 3)
    for read in (
        lambda: item.predict(EVERY, verbose=0),
        lambda: item.get_weights()[0],
        lambda: layer.get_weights()[0],
        lambda: layer.embeddings.numpy(),
        lambda: tf.convert_to_tensor(layer.embeddings).numpy(),
        saved,
    ):
        rows = rows_of(item)
        np.testing.assert_allclose(read(), rows, rtol=1e-6)
        step(model)
    assert np.abs(rows).max() < np.abs(start).max()


def test_a_plain_model_traced_before_training_raises_until_it_is_settled():
    model, item = joint(tf_keras.Model)
    item.predict_on_batch(EVERY)
    start = rows_of(item)
    step(model, 3)
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"tf_helen\.settle"):
        item.predict_on_batch(EVERY)
    tf_helen.settle(item)
    np.testing.assert_array_equal(item.predict_on_batch(EVERY)[1:], start[1:] * LEFT[2])

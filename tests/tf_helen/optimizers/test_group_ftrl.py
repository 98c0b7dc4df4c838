"""GroupFTRL without groups is the FTRL of Keras."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from optimizer_table import new_table

import tf_helen

SETTINGS = [
    {},
    {"l1": 0.3},
    {"l2": 0.4},
    {"l2_shrinkage": 0.3},
    {"beta": 0.7},
    {"learning_rate_power": -0.7},
    {"initial_accumulator_value": 0.5},
    {"l1": 0.1, "l2": 0.2, "l2_shrinkage": 0.1, "beta": 0.5},
]


def as_keras_names(settings):
    names = {
        "l1": "l1_regularization_strength",
        "l2": "l2_regularization_strength",
        "l2_shrinkage": "l2_shrinkage_regularization_strength",
    }
    return {names.get(name, name): value for name, value in settings.items()}


def trained(optimizer, gradients):
    table = new_table()
    for gradient in gradients:
        optimizer.apply([tf.constant(gradient)], [table])
    return table.numpy()


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_without_groups_it_is_the_ftrl_of_keras(settings):
    gradients = np.random.default_rng(0).normal(size=(15, 7, 3)).astype(np.float32)
    theirs = trained(keras.optimizers.Ftrl(0.1, **as_keras_names(settings)), gradients)
    ours = trained(tf_helen.GroupFTRL(0.1, **settings), gradients)
    np.testing.assert_allclose(ours, theirs, atol=1e-5)
    if settings:
        assert np.abs(ours - trained(tf_helen.GroupFTRL(0.1), gradients)).max() > 1e-3


def test_the_released_accumulator_is_another():
    gradients = np.random.default_rng(0).normal(size=(15, 7, 3)).astype(np.float32)
    one, other = (
        trained(tf_helen.GroupFTRL(0.1, l2_shrinkage=0.3, released=released), gradients)
        for released in (False, True)
    )
    assert np.abs(one - other).max() > 1e-3


def test_groups_go_to_zero_together_and_come_back():
    table = keras.Variable(np.zeros((3, 2)), name="table")
    optimizer = tf_helen.GroupFTRL(0.1, l21=1.0)

    def step(size):
        gradient = tf.IndexedSlices(tf.constant([[size, 0.1 * size]] * 2), tf.constant([1, 1]))
        optimizer.apply([gradient], [table])

    step(0.3)
    assert not table.numpy().any()
    step(2.0)
    assert table.numpy()[1].all()  # the small coordinate too: it is the row that counts
    assert not table.numpy()[[0, 2]].any()

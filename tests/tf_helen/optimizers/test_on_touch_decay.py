"""Decay of rows when they occur: where it acts, and with which rules it combines."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from optimizer_table import new_table

import tf_helen
from tf_helen.rules import AdamRule, GroupFTRLRule, GroupLasso, OnTouchDecay, SGDRule


def slices(ids, values):
    return tf.IndexedSlices(tf.constant(values, tf.float32), tf.constant(ids))


def test_dense_weights_do_not_decay():
    kernel, bias = keras.Variable(np.ones((2, 2))), keras.Variable(np.ones(3))
    gradients = [tf.constant([[7.0, 1.0], [0.0, 0.0]]), tf.constant([2.0, -4.0, 0.0])]
    optimizer = tf_helen.RowWiseRMSpropAR(0.1, alpha=9.0, beta=0.0, epsilon=0.0)
    optimizer.apply(gradients, [kernel, bias])
    np.testing.assert_allclose(kernel.numpy(), [[0.86, 0.98], [1, 1]], atol=1e-6)
    np.testing.assert_allclose(bias.numpy(), [0.9, 1.1, 1], atol=1e-6)


def test_the_decay_follows_the_rate_of_the_tables():
    rates = keras.optimizers.schedules.PiecewiseConstantDecay([0, 1], [0.5, 0.25, 0.0])
    rule = OnTouchDecay(SGDRule(), alpha=0.4)
    optimizer = tf_helen.RowSparseOptimizer(9.0, rule=rule, embedding_learning_rate=rates)
    table = keras.Variable(np.ones((2, 1)))
    left = []
    for _ in range(3):
        optimizer.apply([slices([1], [[0.0]])], [table])
        left.append(table.numpy()[1, 0])
    np.testing.assert_allclose(left, [0.8, 0.8 * 0.9, 0.8 * 0.9], rtol=1e-6)


def test_rows_that_a_dense_update_takes_along_do_not_decay():
    """`moments="dense"` updates absent rows with a zero gradient."""
    table = keras.Variable(np.ones((3, 1)))
    optimizer = tf_helen.RowWiseRMSpropAR(0.5, alpha=0.2, moments="dense")
    for ids in ([0], [1], [0]):
        optimizer.apply([slices(ids, [[0.0]])], [table])
    np.testing.assert_allclose(table.numpy().ravel(), [0.9 * 0.8, 0.9, 1.0], rtol=1e-6)


def test_it_stands_around_group_lasso_and_not_inside():
    rule = OnTouchDecay(GroupLasso(SGDRule(), l21=1.0), alpha=2.0)
    table, optimizer = new_table(), tf_helen.RowSparseOptimizer(0.1, rule=rule)
    rows = table.numpy().astype(np.float64)
    optimizer.apply([slices([1, 4], np.zeros((2, 3)))], [table])
    for row in (1, 4):
        kept = 0.8 * rows[row]  # D = 1: the threshold is lr * sqrt(3) on the row's norm
        shrunk = max(0, 1 - 0.1 * np.sqrt(3) / np.linalg.norm(kept)) * kept
        np.testing.assert_allclose(table.numpy()[row], shrunk, atol=1e-6)
    with pytest.raises(
        ValueError, match=r"OnTouchDecay defines an `update`.*OnTouchDecay\(GroupLasso"
    ):
        GroupLasso(tf_helen.rules.IntervalDecay(OnTouchDecay(AdamRule())), l21=1.0)
    with pytest.raises(ValueError, match="GroupFTRLRule"):
        GroupLasso(GroupFTRLRule(), l21=1.0)


def test_training_goes_on_alike_after_a_file(tmp_path):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((2,), dtype="int32")
    x = keras.layers.Flatten()(tf_helen.layers.Embedding([8, 8], 3)(inputs))
    model = tf_helen.Model(inputs, keras.layers.Dense(1)(x))
    model.compile(tf_helen.RowWiseRMSpropAR(0.05, alpha=3.0), "mse")
    ids = np.random.default_rng(0).integers(0, 8, (60, 2))

    def steps(one, first, last):
        for i in range(first, last):
            one.train_on_batch(ids[3 * i : 3 * i + 3], np.ones((3, 1)))
        return one.get_weights()

    steps(model, 0, 10)
    model.save(tmp_path / "m.keras")
    loaded = keras.saving.load_model(tmp_path / "m.keras")
    for one, other in zip(steps(model, 10, 20), steps(loaded, 10, 20), strict=True):
        np.testing.assert_array_equal(one, other)

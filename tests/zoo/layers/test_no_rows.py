"""Batches of no rows, which a replica gets where the last batch is short."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import zoo
from zoo.layers import BatchNorm
from zoo.layers.dice import Dice
from zoo.layers.tri_bce import part_losses


def test_tri_bce_of_no_rows_is_zero():
    none = tf.zeros((0, 1))
    assert float(part_losses(tf.zeros((0,)), none, [none, none])) == 0


@pytest.mark.parametrize("traced", [False, True])
@pytest.mark.parametrize("make", [BatchNorm, Dice])
def test_no_rows_leave_the_moving_averages(make, traced):
    layer = make()
    layer.build((None, 3))
    norm = layer if make is BatchNorm else layer.norm
    rng = np.random.default_rng(0)
    for weight in (norm.moving_mean, norm.moving_variance):
        weight.assign(rng.uniform(1, 2, 3))
    before = [weight.numpy() for weight in layer.weights]

    def step(rows):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(layer(rows, training=True))
        weights = [weight.value for weight in layer.trainable_weights]
        return tape.gradient(loss, weights)

    run = tf.function(step, input_signature=[tf.TensorSpec((None, 3))]) if traced else step
    for gradient in run(tf.zeros((0, 3))):
        assert (gradient.numpy() == 0).all()
    for weight, old in zip(layer.weights, before, strict=True):
        np.testing.assert_allclose(weight, old, rtol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize(
    ("shape", "settings"),
    [((7, 3), {}), ((7, 3), {"center": False, "scale": False}), ((5, 3, 4), {"axis": 1})],
)
def test_rows_are_normalized_as_keras_does(shape, settings, dtype):
    ours = BatchNorm(dtype=dtype, **settings)
    theirs = keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5, dtype=dtype, **settings)
    rng = np.random.default_rng(1)
    for _ in range(2):
        rows = rng.normal(2, 3, shape)
        np.testing.assert_array_equal(ours(rows, training=True), theirs(rows, training=True))
    np.testing.assert_array_equal(ours(rows), theirs(rows))
    for weight, other in zip(ours.weights, theirs.weights, strict=True):
        assert weight.path.split("/")[1:] == other.path.split("/")[1:]
        np.testing.assert_array_equal(weight, other)


def test_a_frozen_layer_keeps_its_averages():
    layer = BatchNorm(trainable=False)
    rows = np.ones((2, 3), np.float32)
    np.testing.assert_allclose(layer(rows, training=True), rows, rtol=1e-4)
    assert (layer.moving_mean.numpy() == 0).all()


def test_the_loss_of_a_model_of_no_rows_is_finite():
    schema = zoo.Schema("one", [zoo.Categorical("user", 5), zoo.Categorical("item", 4)])
    model = zoo.DCNv3(schema, 2, batch_norm=True, exponential_layers=1, linear_layers=1)
    model.compile("sgd", keras.losses.BinaryCrossentropy(from_logits=True))
    features = {"ids": tf.TensorSpec((None, 2), tf.int32)}

    @tf.function(input_signature=[features, tf.TensorSpec((None, 1))])
    def loss(features, label):
        return model.compute_loss(features, label, model(features, training=True))

    assert np.isfinite(loss({"ids": tf.zeros((0, 2), tf.int32)}, tf.zeros((0, 1))))
    assert all(np.isfinite(weight).all() for weight in model.weights)

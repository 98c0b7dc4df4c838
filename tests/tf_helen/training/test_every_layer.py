"""Every layer that has weights, losses or state, under every kind of training step."""

import keras
import numpy as np
import pytest
from optimizer_table import cases

import tf_helen

L = keras.layers
BATCH = 4
VECTOR, SEQUENCE, IMAGE, VOLUME = (6,), (4, 3), (4, 4, 2), (3, 3, 3, 2)
IDS = "ids"


class AddsLosses(L.Layer):
    """Adds a loss of its input and one of its weight, and has a metric."""

    def build(self, input_shape):
        self.scale = self.add_weight(shape=(), initializer="ones", regularizer="l2")
        self.seen = keras.metrics.Mean()

    def call(self, inputs):
        self.add_loss(keras.ops.mean(keras.ops.square(inputs * self.scale)))
        self.seen.update_state(keras.ops.abs(inputs))
        return inputs * self.scale


class DividesByCalls(L.Layer):
    """Reads what it has just written."""

    def build(self, input_shape):
        self.calls = self.add_weight(shape=(), initializer="zeros", trainable=False)

    def call(self, inputs):
        self.calls.assign_add(1.0)
        return inputs / self.calls


class Noisy(L.Layer):
    """Draws from its own generator."""

    def __init__(self):
        super().__init__()
        self.generator = keras.random.SeedGenerator(5)

    def call(self, inputs, training=False):
        noise = keras.random.normal(keras.ops.shape(inputs), seed=self.generator)
        return inputs + noise if training else inputs


def adapted():
    layer = L.Normalization()
    layer.adapt(np.arange(24.0).reshape(4, 6))
    return layer


def attention(cls):
    return lambda x: cls(2, 2)(x, x)


def frozen_embedding(x):
    layer = tf_helen.layers.Embedding([5, 5], 3)
    layer.trainable = False
    return layer(x)


REG = {"kernel_regularizer": "l2", "bias_regularizer": "l1", "activity_regularizer": "l2"}
RNN = {"kernel_regularizer": "l2", "recurrent_regularizer": "l2", "bias_regularizer": "l2"}
NORM = {"gamma_regularizer": "l2", "beta_regularizer": "l2"}
DEPTH = {"depthwise_regularizer": "l2", "bias_regularizer": "l2"}
SEPARABLE = {**DEPTH, "pointwise_regularizer": "l2"}

# Name: input shape, what to call on the input.
LAYERS = {
    "Dense": (VECTOR, lambda: L.Dense(3, **REG)),
    "Dense L1L2": (
        VECTOR,
        lambda: L.Dense(3, kernel_regularizer=keras.regularizers.L1L2(0.1, 0.1)),
    ),
    "Dense orthogonal": (VECTOR, lambda: L.Dense(3, kernel_regularizer="orthogonal_regularizer")),
    "Dense lora": (VECTOR, lambda: L.Dense(3, lora_rank=2)),
    "EinsumDense": (SEQUENCE, lambda: L.EinsumDense("abc,cd->abd", (4, 5), bias_axes="d", **REG)),
    "Embedding": (IDS, lambda: L.Embedding(5, 3, embeddings_regularizer="l2")),
    "Embedding, mask": (
        IDS,
        lambda: keras.Sequential([L.Embedding(5, 3, mask_zero=True), L.LSTM(2)]),
    ),
    "ReversibleEmbedding": (IDS, lambda: L.ReversibleEmbedding(5, 3, embeddings_regularizer="l2")),
    "tf_helen Embedding": (IDS, lambda: tf_helen.layers.Embedding([5, 5], 3, l2=0.1)),
    "tf_helen Embedding, frozen": (IDS, lambda: frozen_embedding),
    "ActivityRegularization": (VECTOR, lambda: L.ActivityRegularization(0.1, 0.1)),
    "PReLU": (VECTOR, lambda: L.PReLU(alpha_regularizer="l2")),
    "Conv1D": (SEQUENCE, lambda: L.Conv1D(2, 2, **REG)),
    "Conv1DTranspose": (SEQUENCE, lambda: L.Conv1DTranspose(2, 2, **REG)),
    "Conv2D": (IMAGE, lambda: L.Conv2D(2, 2, **REG)),
    "Conv2DTranspose": (IMAGE, lambda: L.Conv2DTranspose(2, 2, **REG)),
    "Conv3D": (VOLUME, lambda: L.Conv3D(2, 2, **REG)),
    "Conv3DTranspose": (VOLUME, lambda: L.Conv3DTranspose(2, 2, **REG)),
    "DepthwiseConv1D": (SEQUENCE, lambda: L.DepthwiseConv1D(2, **DEPTH)),
    "DepthwiseConv2D": (IMAGE, lambda: L.DepthwiseConv2D(2, **DEPTH)),
    "SeparableConv1D": (SEQUENCE, lambda: L.SeparableConv1D(2, 2, **SEPARABLE)),
    "SeparableConv2D": (IMAGE, lambda: L.SeparableConv2D(2, 2, **SEPARABLE)),
    "ConvLSTM1D": ((2, 3, 2), lambda: L.ConvLSTM1D(2, 2, **RNN)),
    "ConvLSTM2D": ((2, 3, 3, 2), lambda: L.ConvLSTM2D(2, 2, dropout=0.5, seed=1, **RNN)),
    "ConvLSTM3D": ((2, 2, 2, 2, 2), lambda: L.ConvLSTM3D(2, 2, **RNN)),
    "SimpleRNN": (SEQUENCE, lambda: L.SimpleRNN(2, dropout=0.5, seed=1, **RNN)),
    "GRU": (SEQUENCE, lambda: L.GRU(2, recurrent_dropout=0.5, seed=1, **RNN)),
    "GRU, stateful": (SEQUENCE, lambda: L.GRU(2, stateful=True)),
    "LSTM": (SEQUENCE, lambda: L.LSTM(2, **RNN)),
    "LSTM, stateful": (SEQUENCE, lambda: L.LSTM(2, stateful=True, **RNN)),
    "RNN of cells": (SEQUENCE, lambda: L.RNN(L.StackedRNNCells([L.LSTMCell(2), L.GRUCell(3)]))),
    "RNN, stateful": (SEQUENCE, lambda: L.RNN(L.SimpleRNNCell(2), stateful=True)),
    "Bidirectional": (SEQUENCE, lambda: L.Bidirectional(L.GRU(2, **RNN))),
    "TimeDistributed": (SEQUENCE, lambda: L.TimeDistributed(L.Dense(2, **REG))),
    "MultiHeadAttention": (SEQUENCE, lambda: attention(L.MultiHeadAttention)),
    "GroupQueryAttention": (SEQUENCE, lambda: lambda x: L.GroupQueryAttention(2, 2, 1)(x, x)),
    "Attention": (
        SEQUENCE,
        lambda: lambda x: L.Attention(use_scale=True, dropout=0.5, seed=1)([x, x]),
    ),
    "AdditiveAttention": (SEQUENCE, lambda: lambda x: L.AdditiveAttention()([x, x])),
    "BatchNormalization": (VECTOR, lambda: L.BatchNormalization(momentum=0.5, **NORM)),
    "LayerNormalization": (VECTOR, lambda: L.LayerNormalization(**NORM)),
    "GroupNormalization": (IMAGE, lambda: L.GroupNormalization(2, **NORM)),
    "RMSNormalization": (VECTOR, lambda: L.RMSNormalization()),
    "UnitNormalization": (VECTOR, lambda: L.UnitNormalization()),
    "Normalization": (VECTOR, adapted),
    "SpectralNormalization": (VECTOR, lambda: L.SpectralNormalization(L.Dense(3, **REG))),
    "Dropout": (VECTOR, lambda: L.Dropout(0.5, seed=1)),
    "AlphaDropout": (VECTOR, lambda: L.AlphaDropout(0.5, seed=1)),
    "GaussianDropout": (VECTOR, lambda: L.GaussianDropout(0.5, seed=1)),
    "GaussianNoise": (VECTOR, lambda: L.GaussianNoise(0.5, seed=1)),
    "SpatialDropout1D": (SEQUENCE, lambda: L.SpatialDropout1D(0.5, seed=1)),
    "SpatialDropout2D": (IMAGE, lambda: L.SpatialDropout2D(0.5, seed=1)),
    "SpatialDropout3D": (VOLUME, lambda: L.SpatialDropout3D(0.5, seed=1)),
    "RandomFlip": (IMAGE, lambda: L.RandomFlip(seed=1)),
    "RandomTranslation": (IMAGE, lambda: L.RandomTranslation(0.5, 0.5, seed=1)),
    "losses of its own": (VECTOR, AddsLosses),
    "reads its state": (VECTOR, DividesByCalls),
    "seeds of its own": (VECTOR, Noisy),
}


# One layer for each kind of loss and state: penalties of weights and outputs, masks, tables, states
# that stay between batches, nested layers, dropout inside and outside, statistics, generators.
KINDS = (
    *(
        "Dense",
        "Embedding, mask",
        "tf_helen Embedding",
        "tf_helen Embedding, frozen",
        "ActivityRegularization",
        "Conv2D",
    ),
    *("ConvLSTM2D", "GRU", "LSTM, stateful", "RNN of cells", "Bidirectional", "TimeDistributed"),
    *("MultiHeadAttention", "Attention", "BatchNormalization", "SpectralNormalization"),
    *("Normalization", "Dropout", "RandomFlip", "losses of its own", "reads its state"),
    "seeds of its own",
)
every_layer = pytest.mark.parametrize("name", cases(LAYERS, KINDS))


def input_of(shape, name=None):
    if shape == IDS:
        return keras.Input(batch_shape=(BATCH, 2), dtype="int32", name=name)
    return keras.Input(batch_shape=(BATCH, *shape), name=name)


def model_of(name, optimizer, cls=tf_helen.Model, **compile_arguments):
    """A model of a `Dense` or table, the layer, and a `Dense`; drawn alike for every optimizer."""
    keras.utils.set_random_seed(0)
    shape, make = LAYERS[name]
    inputs = input_of(shape)
    x = inputs if shape == IDS else L.Dense(shape[-1], name="before")(inputs)
    x = L.Flatten()(make()(x))
    model = cls(inputs, L.Dense(1, name="after")(x))
    model.compile(optimizer, "mse", **compile_arguments)
    return model


def batches(name, steps):
    shape, _ = LAYERS[name]
    rng = np.random.default_rng(1)
    for _ in range(steps):
        if shape == IDS:
            x = rng.integers(0, 5, (BATCH, 2)).astype("int32")
        else:
            x = rng.normal(size=(BATCH, *shape)).astype("float32")
        yield x, rng.normal(size=(BATCH, 1)).astype("float32")


def variables(model):
    """All the model's variables, with what Keras does not list: states and metrics of layers."""
    found = list(model.variables)
    for layer in model.layers:
        states = keras.tree.flatten(getattr(layer, "states", None) or [])
        found += [*states, *(v for v in layer.metrics_variables)]
    return found


def trained(model, name, steps=2):
    """The loss of each step and all variables after the last one."""
    logs = [model.train_on_batch(x, y, return_dict=True) for x, y in batches(name, steps)]
    losses = [float(log["loss"]) for log in logs]
    model.get_weights()  # settles the tables
    return np.array(losses), [np.array(v.value) for v in variables(model)]


def assert_alike(one, other):
    np.testing.assert_allclose(one[0], other[0], atol=1e-5, rtol=1e-5)
    for a, b in zip(one[1], other[1], strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5, rtol=1e-5)


def sgd():
    return tf_helen.SGD(0.1)


def per_variable():
    return tf_helen.PerVariable({"*after*": sgd(), "*": tf_helen.Momentum(0.1, momentum=0.0)})


# With a radius of 0 each of them takes SGD's step.
AS_SGD = {
    "plain": sgd,
    "SAM": lambda: tf_helen.SAM(rho=0.0, base_optimizer=sgd()),
    "Helen": lambda: tf_helen.Helen(rho=0.0, base_optimizer=per_variable(), frequency="running"),
}


@every_layer
def test_every_kind_of_step_trains_every_layer_as_keras_does(name):
    stock = keras.optimizers.SGD(0.1)
    expected = trained(model_of(name, stock, keras.Model, run_eagerly=True), name)
    assert np.isfinite(expected[0]).all()
    for make in AS_SGD.values():
        found = trained(model_of(name, make(), run_eagerly=True), name)
        assert_alike(found, expected)


@every_layer
def test_a_perturbation_and_a_curvature_leave_the_state_as_one_pass_does(name):
    stock = keras.optimizers.SGD(0.0)
    once = trained(model_of(name, stock, keras.Model, run_eagerly=True), name, 1)
    for optimizer in (tf_helen.AdaHessian(0.0), tf_helen.ASAM(0.0, rho=0.5, base_optimizer="sgd")):
        assert_alike(trained(model_of(name, optimizer, run_eagerly=True), name, 1), once)


TOGETHER = (
    *(
        "Dense L1L2",
        "Embedding",
        "tf_helen Embedding",
        "tf_helen Embedding, frozen",
        "LSTM, stateful",
        "BatchNormalization",
    ),
    *("Dropout", "reads its state"),
)
# Keras itself fails on losses that layers add in half precision.
IN_SINGLE_PRECISION = (*TOGETHER, "SpectralNormalization", "losses of its own")


def several(names, optimizer):
    """One model of several layers side by side."""
    keras.utils.set_random_seed(0)
    inputs, parts = {}, []
    for number, name in enumerate(names):
        shape, make = LAYERS[name]
        key, is_ids = f"x{number}", shape == IDS
        inputs[key] = x = input_of(shape, name=key)
        parts.append(L.Flatten()(make()(x if is_ids else L.Dense(shape[-1])(x))))
    model = tf_helen.Model(
        inputs, L.Dense(1, dtype="float32", name="after")(L.Concatenate()(parts))
    )
    model.compile(optimizer, "mse")
    return model


@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
def test_compiled_steps_train_several_layers_as_one_pass_does(policy):
    """In mixed precision Keras wraps the optimizer in one that scales the loss."""
    names = IN_SINGLE_PRECISION if policy == "float32" else TOGETHER
    data = [list(batches(name, 4)) for name in names]
    x = {f"x{i}": np.concatenate([x for x, _ in steps]) for i, steps in enumerate(data)}
    y = np.concatenate([y for _, y in data[0]])
    found = []
    keras.config.set_dtype_policy(policy)
    try:
        for make in (AS_SGD["plain"], AS_SGD["Helen"]):
            model = several(names, make())
            losses = model.fit(x, y, batch_size=BATCH, shuffle=False, verbose=0).history["loss"]
            found.append((losses, [np.array(v.value) for v in variables(model)]))
    finally:
        keras.config.set_dtype_policy("float32")
    assert np.isfinite(found[0][0]).all()
    assert_alike(*found)


def test_regularized_losses_in_numbers():
    """Losses of two epochs; one penalty more or less, and they differ in the third digit."""
    rng = np.random.default_rng(0)
    ids, y = rng.integers(0, 9, (64, 2)), rng.integers(0, 2, (64, 1)).astype("float32")
    for optimizer in (tf_helen.SGD(0.1), tf_helen.SAM(rho=0.0, base_optimizer=tf_helen.SGD(0.1))):
        keras.utils.set_random_seed(1)
        inputs = keras.Input((2,), dtype="int32")
        x = L.Flatten()(tf_helen.layers.Embedding([9, 9], 4)(inputs))
        model = tf_helen.Model(inputs, L.Dense(1, kernel_regularizer="l2")(x))
        model.compile(optimizer, keras.losses.BinaryCrossentropy(from_logits=True))
        losses = model.fit(ids, y, epochs=2, shuffle=False, verbose=0).history["loss"]
        np.testing.assert_allclose(losses, [0.70333928, 0.70167458], atol=1e-6)


def test_the_second_pass_sees_the_perturbed_weight_in_its_penalty():
    """Loss w + w^2 at w = 1 with rho 1: the gradient is taken at 2 and is 1 + 2 * 2."""
    inputs = keras.Input((1,))
    x = L.Dense(
        1, use_bias=False, kernel_initializer="ones", kernel_regularizer=keras.regularizers.L2(1.0)
    )(inputs)
    model = tf_helen.Model(inputs, x)
    model.compile(tf_helen.SAM(rho=1.0, base_optimizer=tf_helen.SGD(0.1)), loss=lambda y, p: p)
    loss = model.train_on_batch(np.ones((4, 1)), np.ones((4, 1)))
    assert float(loss) == 2.0
    np.testing.assert_allclose(model.get_weights()[0], [[1 - 0.1 * 5]], atol=1e-6)


def test_a_pass_leaves_no_table_whole_for_the_sake_of_state():
    """A frozen table is not copied: a step of two passes reads only its rows."""
    inputs = keras.Input((2,), dtype="int32")
    table = tf_helen.layers.Embedding(1000, 4)
    table.trainable = False
    x = L.BatchNormalization()(L.Flatten()(table(inputs)))
    model = tf_helen.Model(inputs, L.Dense(1)(x))
    assert [v.name for v in tf_helen.training.forward_states(model)] == [
        "moving_mean",
        "moving_variance",
    ]

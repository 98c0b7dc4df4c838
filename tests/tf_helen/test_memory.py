"""The memory of a deleted model is freed."""

import gc
import weakref

import keras
import numpy as np
import pytest
from optimizer_table import ENTRIES, cases

import tf_helen

# Between them every kind of step; the others run eagerly, because tracing takes longer.
TRACED = ("AdamAR", "AdaHessian", "Helen running", "Helen(AdamAR)", "PerVariable")
IDS = np.array([[1, 3, 4, -1], [1, 0, 2, 2], [5, 3, -1, -1], [0, 1, 1, -1]], np.int32)
LABELS = np.array([[1.0], [0.0], [1.0], [0.0]], np.float32)


def trained(optimizer, rows=6, width=2, **arguments):
    """A model with one id and several ids per field, and with random layers, after a step."""
    inputs = keras.Input((4,), dtype="int32")
    layer = tf_helen.layers.Embedding({"a": rows, "b": 5}, width, lengths={"b": 3}, l2=0.01)
    x = keras.layers.Dropout(0.5)(keras.layers.Flatten()(layer(inputs)))
    x = keras.layers.BatchNormalization()(keras.layers.Dense(3)(x))
    model = tf_helen.Model(inputs, keras.layers.Dense(1)(x))
    model.compile(optimizer, "mse", metrics=[tf_helen.metrics.AUC()], **arguments)
    model.fit(IDS, LABELS, epochs=2, verbose=0, validation_data=(IDS, LABELS))
    model.predict(IDS, verbose=0)
    return model


def assert_dies(make):
    """Fails if the model that `make` returns, its optimizer, or a variable of them outlives it."""
    model = make()
    optimizer = model.optimizer
    variables = [v.value for v in (*model.variables, *optimizer.variables)]
    alive = [weakref.ref(one) for one in (model, optimizer, *variables)]
    del model, optimizer, variables
    keras.backend.clear_session()
    gc.collect()
    left = [ref() for ref in alive if ref() is not None]
    assert not left, f"{len(left)} of {len(alive)}: {[getattr(one, 'name', one) for one in left]}"


@pytest.mark.parametrize("name", cases(ENTRIES, ("AdamAR", "AdaHessian", "Helen(AdamAR)")))
def test_a_dropped_model_dies_with_its_optimizer_and_variables(name):
    eagerly = name not in TRACED
    assert_dies(lambda: trained(ENTRIES[name].make(), run_eagerly=eagerly))


@pytest.mark.slow
def test_loss_scaling_keeps_no_model():
    def make():
        inner = tf_helen.Helen(base_optimizer=tf_helen.AdamAR())
        return trained(keras.optimizers.LossScaleOptimizer(inner))

    assert_dies(make)


def test_an_optimizer_that_lost_its_table_dies_before_the_model():
    model = trained(tf_helen.AdamAR(), run_eagerly=True)
    first = weakref.ref(model.optimizer)
    model.compile(tf_helen.AdamAR(), "mse", run_eagerly=True)
    model.fit(IDS, LABELS, verbose=0)
    gc.collect()
    assert first() is None


def resident_megabytes():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096 / 2**20


@pytest.mark.slow
def test_models_in_turn_take_the_memory_of_one():
    def train():
        inputs = keras.Input((1,), dtype="int32")
        x = keras.layers.Flatten()(tf_helen.layers.Embedding({"a": 1_000_000}, 8)(inputs))
        model = tf_helen.Model(inputs, keras.layers.Dense(1)(x))
        model.compile(tf_helen.AdamAR(), "mse")
        model.train_on_batch(IDS[:, :1], LABELS)

    megabytes = []
    for _ in range(7):
        train()  # 104 MB with the slots
        keras.backend.clear_session()
        gc.collect()
        megabytes.append(resident_megabytes())
    assert megabytes[-1] - megabytes[2] < 150, megabytes

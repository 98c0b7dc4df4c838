"""`clock="event"`: absent rows decay by the times of the batches, not by the number of steps."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from properties import examples

import tf_helen

ROWS, ALPHA, RATE = 6, 0.03, 0.1
CLASSES = {
    "adam": tf_helen.AdamAR,
    "adagrad": tf_helen.AdagradAR,
    "group": tf_helen.GroupAdamAR,
}


def initial():
    return np.linspace(-1, 1, 2 * ROWS, dtype=np.float32).reshape(ROWS, 2)


def slices(ids):
    values = np.arange(1, 2 * len(ids) + 1, dtype=np.float32).reshape(-1, 2) / 10
    return tf.IndexedSlices(tf.constant(values), tf.constant(ids), tf.constant([ROWS, 2]))


def trained(optimizer, batches, times=None, freeze=()):
    """The table after steps with given ids, and as each step read it."""
    layer = tf_helen.layers.Embedding(ROWS, 2)
    layer.build()
    layer.embeddings.assign(initial())
    dense, read = keras.Variable([1.0]), []
    optimizer.build([layer.embeddings, dense])
    for number, ids in enumerate(batches):
        if times is not None:
            optimizer.advance_clock(times[number])
        optimizer.attach([layer.embeddings])
        read.append(layer(np.arange(ROWS)).numpy())
        if number in freeze:
            optimizer.apply([tf.constant([0.5])], [dense])
        else:
            optimizer.apply([slices(ids), tf.constant([0.5])], [layer.embeddings, dense])
    optimizer.finalize_variable_values([layer.embeddings])
    return read, layer.embeddings.numpy()


id_lists = st.lists(st.lists(st.integers(0, ROWS - 1), min_size=1, max_size=4), max_size=8)


@pytest.mark.parametrize("kind", CLASSES)
@pytest.mark.parametrize("decay", ["continuous", "on_occurrence"])
@examples(5)
@given(batches=id_lists, freeze=st.sets(st.integers(0, 7)))
def test_times_that_are_step_numbers_give_the_same_bits(kind, decay, batches, freeze):
    results = []
    for clock in ({}, {"clock": "event"}):
        optimizer = CLASSES[kind](RATE, alpha=ALPHA, decay=decay, **clock)
        times = range(1, len(batches) + 1) if clock else None
        results.append(trained(optimizer, batches, times, freeze))
    (read, last), (read_by_time, last_by_time) = results
    np.testing.assert_array_equal(read_by_time, read)
    np.testing.assert_array_equal(last_by_time, last)


def by_formula(batches, times, unit):
    """SGD-like steps of Adagrad in float64, with the decay of each unit of time applied in turn."""
    w, g2, last = initial().astype(np.float64), np.zeros((ROWS, 2)), np.zeros(ROWS)
    clock, passed, read = 0, 0, []
    origin = np.floor(times[0] / unit)

    def decay_to(end):
        nonlocal passed
        for now in range(passed + 1, end + 1):
            w[:] *= 1 - np.minimum(1, ALPHA * np.maximum(now - last - 1, 0))[:, None]
        passed = max(passed, end)

    for ids, time in zip(batches, times, strict=True):
        clock = max(clock, int(np.floor(time / unit) - origin) + 1, 1)
        decay_to(clock - 1)
        read.append(w.copy())
        decay_to(clock)
        gradient = np.zeros((ROWS, 2))
        np.add.at(gradient, ids, slices(ids).values.numpy())
        hit = np.unique(ids)
        g2[hit] += gradient[hit] ** 2
        w[hit] -= RATE * gradient[hit] / (np.sqrt(g2[hit]) + 1e-10)
        last[hit] = clock
    return read, w


@examples(10)
@given(
    steps=st.lists(
        st.tuples(st.lists(st.integers(0, ROWS - 1), min_size=1, max_size=3), st.integers(-3, 40)),
        min_size=1,
        max_size=8,
    )
)
def test_every_unit_of_time_decays_once(steps):
    batches = [ids for ids, _ in steps]
    times = 1.7e9 + np.cumsum([gap for _, gap in steps]) * 900.0  # also several steps in an hour
    optimizer = tf_helen.AdagradAR(RATE, alpha=ALPHA, clock="event", time_unit=3600)
    read, last = trained(optimizer, batches, times)
    expected_read, expected = by_formula(batches, times, 3600)
    np.testing.assert_allclose(read, expected_read, atol=2e-6)
    np.testing.assert_allclose(last, expected, atol=2e-6)


@pytest.mark.parametrize("steps_between", [0, 3, 30])
def test_a_week_is_a_week_whatever_the_traffic(steps_between):
    times = [0.0, *np.linspace(1, 100, steps_between), 168.0]
    batches = [[2], *[[0]] * steps_between, [2]]
    optimizer = tf_helen.AdagradAR(RATE, alpha=1e-4, clock="event")
    read, _ = trained(optimizer, batches, times)
    after_one_step = by_formula([[2]], [0.0], 1)[1][2]
    factor = np.prod(1 - 1e-4 * np.arange(0, 167))
    np.testing.assert_allclose(read[-1][2], after_one_step * factor, rtol=1e-5)


def model_with(optimizer, **inputs):
    ids = keras.Input((1,), dtype="int32", name="ids")
    x = keras.layers.Flatten()(tf_helen.layers.Embedding({"user": ROWS}, 2)(ids))
    model = tf_helen.Model({"ids": ids}, keras.layers.Dense(1)(x))
    model.compile(optimizer, "mse")
    return model


def test_fit_reads_the_time_of_each_batch_and_exports_settle(tmp_path):
    optimizer = tf_helen.AdamAR(RATE, alpha=0.01, clock="event", time_unit=60)
    model = model_with(optimizer)
    x = {"ids": np.array([[1], [1], [2], [1]]), "time": np.array([0.0, 0.0, 30.0, 600.0])}
    model.fit(x, np.ones((4, 1)), batch_size=1, shuffle=False, verbose=0)
    table = model.layers[1].embeddings
    history = optimizer.row_history(table)
    assert history["last_step"].tolist() == [0, 11, 1, 0, 0, 0]
    assert history["idle"].tolist() == [11, 0, 10, 11, 11, 11]
    before = table.numpy()[2]
    optimizer.advance_clock(1200.0)  # ten minutes without any row
    tf_helen.settle(model)
    factor = np.prod(1 - 0.01 * np.arange(10, 19))
    np.testing.assert_allclose(table.numpy()[2], before * factor, rtol=1e-5)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.optimizer.get_config() == optimizer.get_config()
    loaded.optimizer.advance_clock(1260.0)
    optimizer.advance_clock(1260.0)
    for each in (loaded, model):
        tf_helen.settle(each)
    np.testing.assert_array_equal(loaded.layers[1].embeddings.numpy(), table.numpy())


def test_a_wrapper_passes_the_time_on():
    base = tf_helen.AdamAR(RATE, alpha=0.01, clock="event")
    model = model_with(tf_helen.Helen(rho=0.01, base_optimizer=base))
    x = {"ids": np.array([[1], [2]]), "time": np.array([5, 9])}
    model.fit(x, np.ones((2, 1)), batch_size=1, shuffle=False, verbose=0)
    assert base.row_history(model.layers[1].embeddings)["last_step"].tolist() == [0, 1, 5, 0, 0, 0]


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"clock": "event", "alpha": "auto"}, "steps of an epoch"),
        ({"clock": "hours"}, "clock"),
        ({"time_unit": 60}, "time_unit.*clock='event'"),
        ({"clock": "event", "time_unit": 0}, "time_unit.*above 0"),
    ],
)
def test_arguments_that_do_not_fit(arguments, message):
    with pytest.raises(ValueError, match=message):
        tf_helen.AdamAR(**arguments)


def test_optimizers_without_decay_refuse_a_clock():
    with pytest.raises(ValueError, match=r"Adam has no decay.*clock='event'"):
        tf_helen.Adam(clock="event")


def test_missing_times_and_rules_that_count_steps():
    model = model_with(tf_helen.AdamAR(clock="event"))
    with pytest.raises(ValueError, match="key 'time'"):
        model.fit({"ids": np.array([[1]])}, np.ones((1, 1)), verbose=0)
    optimizer = tf_helen.AdamAR(clock="event")
    with pytest.raises(tf.errors.InvalidArgumentError, match="advance_clock"):
        optimizer.apply([slices([1])], [keras.Variable(initial())])
    optimizer = tf_helen.FrequencyAware(base_optimizer=tf_helen.AdamAR(clock="event"))
    with pytest.raises(ValueError, match="FrequencyAware, which counts steps"):
        optimizer.build([keras.Variable(initial())])

"""`decay_unseen=False`: rows keep their initial values until they first occur."""

import golden
import keras
import numpy as np
import pytest
import tensorflow as tf

import tf_helen

INPUTS = golden.load("rows/inputs.npz")
STEPS = len(INPUTS["offsets"]) - 1
ALPHA, RATE = 0.02, 0.05
NEVER = slice(47, 50)


def batch(step):
    return np.unique(INPUTS["ids_flat"][slice(*INPUTS["offsets"][step : step + 2])])


def moments(name, g, state, t):
    """The update of Adagrad, or lazy Adam, of some rows."""
    if name == "adagrad":
        state["G"] += g**2
        return g / (np.sqrt(state["G"]) + 1e-10)
    state["m"] = 0.9 * state["m"] + 0.1 * g
    state["v"] = 0.999 * state["v"] + 0.001 * g**2
    return state["m"] / (1 - 0.9**t) / (np.sqrt(state["v"] / (1 - 0.999**t)) + 1e-8)


def by_formula(name, decay, decay_unseen, fed="slices"):
    """The table as each step read it, and after the last one, in float64."""
    w, last = INPUTS["w0"].astype(np.float64), np.zeros(50)
    state = {key: np.zeros_like(w) for key in "Gmv"}
    read = []
    for t in range(1, STEPS + 1):
        read.append(w.copy())
        gradient = INPUTS["grads_dense"][t - 1].astype(np.float64)
        occurs = np.abs(gradient).sum(1) > 0
        rows = np.flatnonzero(occurs) if fed == "dense" else batch(t - 1)
        decays = np.ones(50, bool) if decay == "continuous" else np.isin(np.arange(50), rows)
        if not decay_unseen:
            decays &= last > 0
        w[decays] *= 1 - np.minimum(1, ALPHA * (t - last[decays] - 1))[:, None]
        of_rows = {key: value[rows] for key, value in state.items()}
        w[rows] -= RATE * moments(name, gradient[rows], of_rows, t)
        for key, value in of_rows.items():
            state[key][rows] = value
        last[occurs] = t
    return read, w


def optimizer_of(name, decay, decay_unseen, **kwargs):
    cls = tf_helen.AdagradAR if name == "adagrad" else tf_helen.AdamAR
    return cls(RATE, alpha=ALPHA, decay=decay, decay_unseen=decay_unseen, **kwargs)


@pytest.mark.parametrize("decay_unseen", [True, False])
@pytest.mark.parametrize("decay", ["continuous", "on_occurrence"])
@pytest.mark.parametrize(
    "name,fed", [("adam", "slices"), ("adagrad", "slices"), ("adagrad", "dense")]
)
def test_every_step_is_the_formula(name, fed, decay, decay_unseen):
    read, end = by_formula(name, decay, decay_unseen, fed)
    layer = tf_helen.layers.Embedding(50, 4)
    layer.build()
    table, optimizer = layer.embeddings, optimizer_of(name, decay, decay_unseen)
    table.assign(INPUTS["w0"])
    optimizer.build([table])
    for step in range(STEPS):
        np.testing.assert_allclose(layer(np.arange(50)).numpy(), read[step], atol=5e-6)
        gradient = golden.row_gradient(INPUTS, step, "float32")
        if fed == "dense":
            gradient = tf.constant(INPUTS["grads_dense"][step])
        optimizer.apply([gradient], [table])
        if step == 13:
            optimizer.finalize_variable_values([table])
    optimizer.finalize_variable_values([table])
    np.testing.assert_allclose(table.numpy(), end, atol=5e-6)
    if not decay_unseen:
        np.testing.assert_array_equal(table.numpy()[NEVER], INPUTS["w0"][NEVER])


def test_it_makes_a_difference():
    for decay in ("continuous", "on_occurrence"):
        ends = [by_formula("adagrad", decay, unseen)[1] for unseen in (True, False)]
        assert np.abs(ends[0] - ends[1]).max() > 1e-2


def test_with_dense_moments_only_rows_of_the_batch_decay_on_occurrence():
    table = keras.Variable(np.ones((3, 1)), name="table")
    optimizer = optimizer_of("adagrad", "on_occurrence", True, moments="dense")
    for ids in ([0], [1], [0], [0]):
        values = tf.zeros((len(ids), 1))
        optimizer.apply([tf.IndexedSlices(values, tf.constant(ids))], [table])
    expected = [1 * (1 - 2 * ALPHA) * (1 - 3 * ALPHA), 1 - ALPHA, 1]
    np.testing.assert_allclose(table.numpy().ravel(), expected, rtol=1e-6)


def test_reinitialized_rows_are_unseen_again():
    table = keras.Variable(np.ones((3, 1)), name="table")
    optimizer = optimizer_of("adagrad", "continuous", False)
    gradient = tf.IndexedSlices(tf.ones((1, 1)), tf.constant([0]))
    for _ in range(3):
        optimizer.apply([gradient], [table])
    table.assign(np.ones((3, 1)))
    optimizer.reset_slots(table)
    other = tf.IndexedSlices(tf.ones((1, 1)), tf.constant([1]))
    for _ in range(3):
        optimizer.apply([other], [table])
    optimizer.finalize_variable_values([table])
    assert table.numpy()[0] == table.numpy()[2] == 1


def test_alpha_that_is_found_spares_unseen_rows():
    table = keras.Variable(np.ones((3, 1)), name="table")
    optimizer = tf_helen.AdagradAR(0.0, alpha="auto", decay_unseen=False)
    optimizer.build([table])
    for epoch in range(2):
        optimizer.begin_epoch()
        for step in range(6):
            row = 0 if epoch == step == 0 else 1
            gradient = tf.IndexedSlices(tf.ones((1, 1)), tf.constant([row]))
            optimizer.apply([gradient], [table])
        optimizer.end_epoch()
    optimizer.finalize_variable_values([table])
    assert table.numpy()[0] < 1e-6 and table.numpy()[2] == 1


@pytest.mark.parametrize("cls", [tf_helen.AdamAR, tf_helen.AdagradAR, tf_helen.GroupAdamAR])
def test_configurations_without_the_argument_decay_unseen_rows(cls):
    config = cls(decay_unseen=False).get_config()
    assert config["decay_unseen"] is False
    assert cls.from_config(config).decay_unseen is False
    del config["decay_unseen"]
    assert cls.from_config(config).decay_unseen is True
    rule = tf_helen.rules.IntervalDecay(tf_helen.rules.SGDRule())
    config = keras.saving.serialize_keras_object(rule)
    del config["config"]["decay_unseen"]
    assert keras.saving.deserialize_keras_object(config) == rule

"""An alpha for every row: against NumPy, with each decay, through files, and errors."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from optimizer_table import new_table

import tf_helen

FIELDS = {"user": 6, "item": 4}
ROWS = sum(FIELDS.values())
ALPHAS = np.array([0, 0.002, 0.02, 0.02, 0.3, 0, 1, 0.05, 1e-4, 0.01])
BY_FIELD = {"user": ALPHAS[:6], "item": ALPHAS[6:]}
RATE = 0.05


def stream(steps=30, seed=0):
    rng = np.random.default_rng(seed)
    for _ in range(steps):
        yield (rng.zipf(1.4, 4) - 1) % ROWS, rng.normal(size=(4, 3))


def by_formula(w, decay, unseen=True):
    """Adagrad with the decay of every row at every step: as each step reads it, and the end."""
    w, last, total = w.astype(np.float64), np.zeros(ROWS), np.zeros((ROWS, 3))
    read = []
    for t, (ids, values) in enumerate(stream(), 1):
        read.append(w.copy())
        away = t - last - 1
        if decay == "continuous":
            factor = np.exp(-ALPHAS * away)
        else:
            factor = np.where(np.isin(np.arange(ROWS), ids), 1 - np.minimum(1, ALPHAS * away), 1)
        w *= np.where((last > 0) | unseen, factor, 1)[:, None]
        for row in np.unique(ids):
            g = values[ids == row].sum(0)
            total[row] += g**2
            w[row] -= RATE * g / (np.sqrt(total[row]) + 1e-10)
            last[row] = t
    return read, w


def slices(ids, values):
    return tf.IndexedSlices(tf.constant(values, tf.float32), tf.constant(ids))


def layer_of(fields=FIELDS):
    keras.utils.set_random_seed(0)
    layer = tf_helen.layers.Embedding(fields, 3, embeddings_initializer="normal", name="features")
    layer.build()
    layer.embeddings.assign(np.random.default_rng(1).normal(size=(ROWS, 3)))
    return layer


@pytest.mark.parametrize("unseen", [True, False])
@pytest.mark.parametrize("decay", ["continuous", "on_occurrence"])
@pytest.mark.parametrize("keys", ["fields", "path", "its end"])
def test_every_step_is_the_formula(keys, decay, unseen):
    alpha = {"fields": BY_FIELD, "path": {"features/embeddings": ALPHAS}}.get(
        keys, {"embeddings": ALPHAS}
    )
    layer = layer_of()
    read, end = by_formula(layer.embeddings.numpy(), decay, unseen)
    optimizer = tf_helen.AdagradAR(RATE, alpha=alpha, decay=decay, decay_unseen=unseen)
    optimizer.build([layer.embeddings])
    for step, (ids, values) in enumerate(stream()):
        table = tf_helen.core.tables.of(layer.embeddings)
        found = table.read(layer.embeddings, tf.range(ROWS)).numpy()
        np.testing.assert_allclose(found, read[step], atol=1e-5)
        optimizer.apply([slices(ids, values)], [layer.embeddings])
        if step == 11:
            optimizer.finalize_variable_values([layer.embeddings])
    optimizer.finalize_variable_values([layer.embeddings])
    np.testing.assert_allclose(layer.embeddings.numpy(), end, atol=1e-5)


def test_rows_with_alpha_zero_are_those_of_the_base_optimizer():
    alpha = np.where(np.arange(ROWS) < 5, 0.1, 0.0)
    results = []
    for optimizer in (tf_helen.AdamAR(RATE, alpha={"*": 0.0, "table": alpha}), tf_helen.Adam(RATE)):
        table = new_table(ROWS)
        for ids, values in stream():
            optimizer.apply([slices(ids, values)], [table])
        optimizer.finalize_variable_values([table])
        results.append(table.numpy())
    np.testing.assert_array_equal(results[0][5:], results[1][5:])
    assert np.abs(results[0][:5] - results[1][:5]).max() > 1e-2


def test_one_alpha_for_all_rows_is_nearly_the_number():
    results = []
    for alpha in (1e-3, {"table": 1e-3}, {"table": np.full(ROWS, 1e-3)}):
        table, optimizer = new_table(ROWS), tf_helen.AdamAR(RATE, alpha=alpha)
        for ids, values in stream():
            optimizer.apply([slices(ids, values)], [table])
        optimizer.finalize_variable_values([table])
        results.append(table.numpy())
    np.testing.assert_array_equal(results[1], results[2])
    np.testing.assert_allclose(results[0], results[1], atol=1e-3)


def test_dense_weights_have_none_and_do_not_decay():
    table, kernel = new_table(ROWS), keras.Variable(np.ones((2, 3)), name="kernel")
    optimizer = tf_helen.AdamAR(RATE, alpha={"*": 0.5})
    for ids, values in stream(5):
        optimizer.apply([slices(ids, values), tf.zeros((2, 3))], [table, kernel])
    optimizer.finalize_variable_values([table, kernel])
    np.testing.assert_array_equal(kernel.numpy(), 1)


# Files.


def compiled(alpha, cls=tf_helen.AdamAR):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((2,), dtype="int32")
    x = keras.layers.Flatten()(tf_helen.layers.Embedding(FIELDS, 3, name="features")(inputs))
    model = tf_helen.Model(inputs, keras.layers.Dense(1)(x))
    model.compile(cls(RATE, alpha=alpha), "mse")
    return model


def trained(model, first, last):
    rng = np.random.default_rng(0)
    ids = np.stack([(rng.zipf(1.4, 60) - 1) % size for size in FIELDS.values()], axis=1)
    for i in range(first, last):
        model.train_on_batch(ids[3 * i : 3 * i + 3], np.ones((3, 1)))
    return model.get_weights()


@pytest.mark.parametrize("form", ["keras", "weights", "checkpoint"])
def test_training_goes_on_alike_after_a_file(form, tmp_path):
    model = compiled(BY_FIELD)
    trained(model, 0, 10)
    if form == "keras":
        model.save(tmp_path / "m.keras")
        loaded = keras.saving.load_model(tmp_path / "m.keras")
        assert loaded.optimizer.alpha == "per_row"
    else:
        loaded = compiled("per_row" if form == "checkpoint" else BY_FIELD)
        loaded.optimizer.build(loaded.trainable_variables)
        if form == "weights":
            model.save_weights(tmp_path / "m.weights.h5")
            loaded.load_weights(tmp_path / "m.weights.h5")
        else:
            path = tf.train.Checkpoint(model).save(str(tmp_path / "m"))
            tf.train.Checkpoint(loaded).restore(path).assert_consumed()
    for one, other in zip(trained(model, 10, 20), trained(loaded, 10, 20), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_configuration_does_not_hold_the_alphas():
    for cls in (tf_helen.AdamAR, tf_helen.AdagradAR, tf_helen.GroupAdamAR):
        config = cls(alpha=BY_FIELD).get_config()
        assert config["alpha"] == "per_row"
        with pytest.raises(ValueError, match=r"features/embeddings.*Load the optimizer with its"):
            trained(compiled("per_row", cls), 0, 1)
        table, optimizer = new_table(ROWS), cls.from_config(config)
        with pytest.raises(ValueError, match=r"table.*configuration.*pass `alpha`"):
            optimizer.apply([slices(*next(stream()))], [table])
    numbers = {"user": 0.25, "*": 0.0}
    config = tf_helen.AdamAR(alpha=numbers).get_config()
    assert config["alpha"] == tf_helen.AdamAR.from_config(config).alpha == numbers
    rule = tf_helen.rules.IntervalDecay(tf_helen.rules.SGDRule(), alpha=BY_FIELD)
    serialized = keras.saving.serialize_keras_object(rule)
    assert keras.saving.deserialize_keras_object(serialized) == rule


def test_inside_wrappers():
    """A wrapper that changes the rule of a step leaves the alphas where they are."""
    rows = []
    for rho in (0.0, None):
        base = tf_helen.AdamAR(RATE, alpha=BY_FIELD)
        if rho is not None:
            base = tf_helen.FrequencyAware(base_optimizer=base, rho=rho)
        layer, optimizer = layer_of(), base
        for ids, values in stream():
            optimizer.apply([slices(ids, values)], [layer.embeddings])
        optimizer.finalize_variable_values([layer.embeddings])
        rows.append(layer.embeddings.numpy())
    np.testing.assert_array_equal(*rows)


# What is refused.

REFUSED = [
    ({}, "empty"),
    ({"embeddings": [-0.1] * ROWS}, r"alpha\['embeddings'\].*-0\.1"),
    ({"embeddings": 1.5}, r"alpha\['embeddings'\].*1\.5"),
    ({"embeddings": [1e-12] * ROWS}, r"1e-09.*1e-12"),
    ({"embeddings": [float("nan")] * ROWS}, "nan"),
    ({"embeddings": [[0.1] * ROWS]}, r"one per row.*\[1, 10\]"),
    ({"embeddings": [0.1] * 9}, r"\[10\].*\[9\]"),
    ({"user": [0.1] * 6, "item": [0.1] * 3}, r"alpha\['item'\].*\[4\].*\[3\]"),
    ({"user": 0.1}, r"no entry.*features/embeddings.*user, item.*'\*'"),
    ({"embeding": 0.1, "*": 0.1}, "without a table.*embeding.*features/embeddings"),
    ({"*": [0.1] * ROWS}, r"alpha\['\*'\].*number"),
]


@pytest.mark.parametrize("alpha,message", REFUSED, ids=range(len(REFUSED)))
def test_alphas_that_fit_no_table(alpha, message):
    with pytest.raises(ValueError, match=message):
        tf_helen.AdamAR(alpha=alpha).build([layer_of().embeddings])


def test_steps_per_epoch_is_for_auto():
    with pytest.raises(ValueError, match="steps_per_epoch"):
        tf_helen.AdamAR(alpha={"*": 0.1}, steps_per_epoch=9)

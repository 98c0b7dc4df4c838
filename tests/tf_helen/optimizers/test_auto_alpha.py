"""alpha="auto": Adam in the first epoch, from then on the decay that forgets within an epoch."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tf_helen
from tf_helen.rules.interval_decay import alpha_for

FIELDS = {"user": 40, "item": 12}
STEPS, BATCH = 20, 8


def data(steps=STEPS, seed=0):
    rng = np.random.default_rng(seed)
    ids = np.stack([rng.integers(0, size, steps * BATCH) for size in FIELDS.values()], axis=1)
    return ids.astype(np.int32), rng.normal(size=(steps * BATCH, 1)).astype(np.float32)


def compiled(optimizer):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((2,), dtype="int32")
    x = keras.layers.Flatten()(tf_helen.layers.Embedding(FIELDS, 3, name="features")(inputs))
    model = tf_helen.Model(inputs, keras.layers.Dense(1)(x))
    model.compile(optimizer, "mse")
    return model


def fitted(optimizer, epochs, **kwargs):
    model = compiled(optimizer)
    model.fit(*data(), batch_size=BATCH, epochs=epochs, shuffle=False, verbose=0, **kwargs)
    return model


def assert_equal(one, other, atol=0.0):
    for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=atol, rtol=0)


@pytest.mark.parametrize("steps", [2, 10, 563, 100_000])
def test_a_row_of_once_per_epoch_is_left_with_the_rounding_of_float32(steps):
    away = steps - 1
    left = np.exp(-alpha_for(steps) * away * (away + 1) / 2)
    assert left == pytest.approx(2.0**-24)


def test_the_first_epoch_is_that_of_adam():
    assert_equal(fitted(tf_helen.AdamAR(alpha="auto"), 1), fitted(tf_helen.Adam(), 1))


def literal(table, steps, alpha_from, alpha):
    """Adagrad with the decay of every row at every step, in NumPy; what each step read."""
    table = table.astype(np.float64)
    squares, last = np.zeros_like(table), np.zeros(len(table))
    read = []
    for t, (ids, gradient) in enumerate(steps, start=1):
        if t == alpha_from + 1:  # rows forget what they had while alpha was not known
            away = np.maximum(t - 2 - last, 0)
            table *= np.exp(-alpha * away * (away + 1) / 2)[:, None]
        read.append(table.copy())
        if t > alpha_from:
            table *= np.exp(-alpha * (t - 1 - last))[:, None]
        summed = np.zeros_like(table)
        np.add.at(summed, ids, gradient)
        squares += summed**2
        table -= 0.1 * summed / (np.sqrt(squares) + 1e-10)
        last[np.unique(ids)] = t
    return read, table


def test_later_epochs_are_the_literal_decay_of_every_row():
    rng = np.random.default_rng(1)
    steps = [(rng.integers(0, 30, 6), rng.normal(size=(6, 2))) for _ in range(60)]
    layer = tf_helen.layers.Embedding(30, 2, embeddings_initializer="normal")
    layer.build()
    alpha = alpha_for(20)
    read, expected = literal(layer.embeddings.numpy(), steps, 20, alpha)
    optimizer = tf_helen.AdagradAR(0.1, alpha="auto")
    optimizer.build([layer.embeddings])
    for t, (ids, gradient) in enumerate(steps):
        if t % 20 == 0:
            if t:
                optimizer.end_epoch()
            optimizer.begin_epoch()
        np.testing.assert_allclose(layer(np.arange(30)), read[t], atol=1e-5)
        values = tf.constant(gradient, tf.float32)
        optimizer.apply([tf.IndexedSlices(values, tf.constant(ids))], [layer.embeddings])
        if t == 33:
            optimizer.finalize_variable_values([layer.embeddings])
    optimizer.finalize_variable_values([layer.embeddings])
    np.testing.assert_allclose(layer.embeddings, expected, atol=1e-5)


def test_an_evaluation_between_epochs_does_not_change_the_training():
    one = fitted(tf_helen.AdamAR(alpha="auto"), 3)
    other = fitted(tf_helen.AdamAR(alpha="auto"), 3, validation_data=data(seed=5))
    assert_equal(one, other, atol=1e-7)


@pytest.mark.parametrize("form", ["keras", "checkpoint"])
def test_a_training_that_stops_after_the_first_epoch_goes_on_as_if_it_had_not(form, tmp_path):
    whole = fitted(tf_helen.AdamAR(alpha="auto"), 3)
    first = fitted(tf_helen.AdamAR(alpha="auto"), 1)
    if form == "keras":
        first.save(tmp_path / "first.keras")
        second = keras.models.load_model(tmp_path / "first.keras")
    else:
        path = tf.train.Checkpoint(first).save(str(tmp_path / "first"))
        second = compiled(tf_helen.AdamAR(alpha="auto"))
        second.optimizer.build(second.trainable_variables)
        tf.train.Checkpoint(second).restore(path).assert_consumed()
    second.fit(*data(), batch_size=BATCH, epochs=2, shuffle=False, verbose=0)
    assert_equal(whole, second, atol=1e-6)


def test_steps_per_epoch_may_be_given():
    given = tf_helen.AdamAR(alpha="auto", steps_per_epoch=2 * STEPS)
    model = compiled(given)
    found = []
    for _ in range(4):
        model.fit(*data(), batch_size=BATCH, verbose=0)
        found.append(next(float(v.numpy()) for v in given.variables if "alpha" in v.name))
    assert found[:2] == [0, 0]  # known when the third begins
    assert found[2:] == pytest.approx([alpha_for(2 * STEPS)] * 2)


def test_wrappers_pass_the_epochs_on():
    ar = tf_helen.GroupAdamAR(alpha="auto")
    inner = tf_helen.PerVariable({"embedding": ar, "*": "adam"})
    fitted(tf_helen.Helen(base_optimizer=tf_helen.CowClip(base_optimizer=inner)), 2)
    found = next(float(v.numpy()) for v in ar.variables if "alpha" in v.name)
    assert found == pytest.approx(alpha_for(STEPS))


def alpha_of(optimizer):
    return next(float(v.numpy()) for v in optimizer.variables if v.name == "alpha")


def test_a_trial_of_one_batch_is_no_epoch():
    model = compiled(tf_helen.AdamAR(alpha="auto"))
    ids, labels = data()
    model.fit(ids[:BATCH], labels[:BATCH], batch_size=BATCH, verbose=0)
    model.fit(ids, labels, batch_size=BATCH, verbose=0)
    assert alpha_of(model.optimizer) == 0
    model.fit(ids, labels, batch_size=BATCH, verbose=0)
    assert alpha_of(model.optimizer) == pytest.approx(alpha_for(STEPS))


def test_a_longer_epoch_corrects_alpha():
    model = compiled(tf_helen.AdamAR(alpha="auto"))
    ids, labels = data()
    model.fit(ids[: 6 * BATCH], labels[: 6 * BATCH], batch_size=BATCH, epochs=2, verbose=0)
    assert alpha_of(model.optimizer) == pytest.approx(alpha_for(6))
    model.fit(ids, labels, batch_size=BATCH, epochs=2, verbose=0)
    assert alpha_of(model.optimizer) == pytest.approx(alpha_for(STEPS))


def test_a_checkpoint_restored_before_the_optimizer_is_built_counts(tmp_path):
    whole = fitted(tf_helen.AdamAR(alpha="auto"), 2)
    first = fitted(tf_helen.AdamAR(alpha="auto"), 1)
    path = tf.train.Checkpoint(first).save(str(tmp_path / "first"))
    second = compiled(tf_helen.AdamAR(alpha="auto"))
    status = tf.train.Checkpoint(second).restore(path)
    second.fit(*data(), batch_size=BATCH, shuffle=False, verbose=0)
    status.assert_consumed()
    assert alpha_of(second.optimizer) == pytest.approx(alpha_for(STEPS))
    assert_equal(whole, second, atol=1e-6)


@pytest.mark.parametrize(
    "arguments",
    [{"alpha": "automatic"}, {"alpha": "auto", "decay": "on_occurrence"}, {"steps_per_epoch": 0}],
)
def test_bad_arguments(arguments):
    with pytest.raises(ValueError, match=next(reversed(arguments)) + "|alpha"):
        tf_helen.AdamAR(**arguments)

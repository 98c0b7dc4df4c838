"""`use_ema`: dense weights are averaged as by Keras, tables keep their own values."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from kinds import some
from optimizer_table import new_table

import tf_helen

FIELDS = {"user": 9, "item": 5}
EMA = {"use_ema": True, "ema_momentum": 0.8}


def data(seed=0, rows=96):
    rng = np.random.default_rng(seed)
    ids = np.stack([(rng.zipf(1.5, rows) - 1) % size for size in FIELDS.values()], axis=1)
    return ids.astype(np.int32), (ids[:, :1] % 2).astype(np.float32)


def compiled(optimizer, stock=False, **kwargs):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((2,), dtype="int32")
    layer = tf_helen.layers.Embedding(FIELDS, 3, name="embedding")
    layer = keras.layers.Embedding(9, 3, name="embedding") if stock else layer
    x = keras.layers.Flatten()(layer(inputs))
    x = keras.layers.Dense(4, activation="tanh", name="hidden")(x)
    model = tf_helen.Model(inputs, keras.layers.Dense(1, name="logit")(x))
    model.compile(optimizer, keras.losses.BinaryCrossentropy(from_logits=True), **kwargs)
    return model


def steps(model, first, last):
    ids, labels = data()
    for i in range(first, last):
        model.train_on_batch(ids[8 * i : 8 * i + 8], labels[8 * i : 8 * i + 8])
    return model


def weights(model):
    return [variable.numpy() for variable in model.trainable_variables]


def averages(optimizer):
    return [v.numpy() for v in optimizer.variables if v.name.endswith("average")]


@pytest.mark.parametrize("frequency", [None, 1, 3])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_dense_weights_are_averaged_as_by_keras(frequency, dtype):
    rng, ends = np.random.default_rng(0), []
    start = [rng.normal(size=shape) for shape in ((3, 2), (2,), ())]
    gradients = [[rng.normal(size=one.shape) for one in start] for _ in range(7)]
    for cls in (tf_helen.SGD, keras.optimizers.SGD):
        optimizer = cls(0.1, **EMA, ema_overwrite_frequency=frequency)
        variables = [keras.Variable(one, dtype=dtype) for one in start]
        seen = []
        for gradient in gradients:
            optimizer.apply([tf.constant(g, dtype) for g in gradient], variables)
            seen += [v.numpy() for v in variables] + averages(optimizer)
        optimizer.finalize_variable_values(variables)
        ends.append(seen + [v.numpy() for v in variables])
    for one, other in zip(*ends, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-7)
    assert np.abs(ends[0][-3] - ends[0][-9]).max() > 1e-3 or frequency == 1


def test_the_averages_are_the_formula():
    model = compiled(tf_helen.Adam(0.05, **EMA))
    plain = compiled(tf_helen.Adam(0.05))
    mean = None
    for i in range(8):
        steps(model, i, i + 1)
        steps(plain, i, i + 1)
        dense = weights(plain)[1:]
        pairs = zip(mean or dense, dense, strict=True)
        mean = [0.8 * average + 0.2 * weight for average, weight in pairs]
    for one, other in zip(weights(model), weights(plain), strict=True):
        np.testing.assert_array_equal(one, other)  # training does not depend on averages
    model.optimizer.finalize_variable_values(model.trainable_variables)
    np.testing.assert_array_equal(weights(model)[0], weights(plain)[0])
    for found, expected in zip(weights(model)[1:], mean, strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-6)
    assert np.abs(weights(model)[1] - weights(plain)[1]).max() > 1e-3


@pytest.mark.parametrize("stock", [False, True])
def test_tables_have_no_average(stock):
    model = steps(compiled(tf_helen.AdamAR(0.05, **EMA), stock), 0, 2)
    shapes = [v.shape for v in averages(model.optimizer)]
    assert shapes == [(6, 4), (4,), (4, 1), (1,)]


def test_fit_ends_with_averages_and_evaluation_does_not_apply_them():
    (ids, labels), found = data(), []
    models = [compiled(tf_helen.AdamAR(0.05, **kwargs)) for kwargs in (EMA, {})]
    looks = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: found.append(weights(model))
    )
    for model in models:
        # an evaluation applies what is pending
        model.fit(
            ids, labels, batch_size=16, epochs=2, shuffle=False, verbose=0,
            validation_data=(ids, labels), callbacks=[looks],
        )  # fmt: skip
    for epoch in range(2):
        for one, other in zip(found[epoch], found[2 + epoch], strict=True):
            np.testing.assert_array_equal(one, other)
    averaged, plain = map(weights, models)
    np.testing.assert_array_equal(averaged[0], plain[0])
    for one, other, mean in zip(
        averaged[1:], plain[1:], averages(models[0].optimizer), strict=True
    ):
        np.testing.assert_array_equal(one, mean)
        assert np.abs(one - other).max() > 1e-4


FORMS = [(form, n) for form in ("keras", "weights", "checkpoint") for n in (None, 5)]


@pytest.mark.parametrize("form,frequency", some(FORMS, [("keras", 5), ("checkpoint", None)]))
def test_training_goes_on_alike_after_a_file(form, frequency, tmp_path):
    def made():
        return compiled(tf_helen.AdamAR(0.05, **EMA, ema_overwrite_frequency=frequency))

    model = steps(made(), 0, 6)
    if form == "keras":
        model.save(tmp_path / "m.keras")
        loaded = keras.saving.load_model(tmp_path / "m.keras")
        assert loaded.optimizer.use_ema and loaded.optimizer.ema_momentum == 0.8
        assert loaded.optimizer.get_config() == model.optimizer.get_config()
    else:
        loaded = made()
        loaded.optimizer.build(loaded.trainable_variables)
        if form == "weights":
            model.save_weights(tmp_path / "m.weights.h5")
            loaded.load_weights(tmp_path / "m.weights.h5")
        else:
            path = tf.train.Checkpoint(model).save(str(tmp_path / "m"))
            tf.train.Checkpoint(loaded).restore(path).assert_consumed()
    for one in (steps(model, 6, 12), steps(loaded, 6, 12)):
        one.optimizer.finalize_variable_values(one.trainable_variables)
    for one, other in zip(weights(model), weights(loaded), strict=True):
        np.testing.assert_array_equal(one, other)


AROUND = {
    "Helen": lambda base: tf_helen.Helen(base_optimizer=base),
    "CowClip": lambda base: tf_helen.CowClip(base_optimizer=base),
    "PerVariable": lambda base: tf_helen.PerVariable({"embedding": "adagrad", "*": base}),
}


@pytest.mark.parametrize("name", AROUND)
def test_inside_wrappers(name):
    model = steps(compiled(AROUND[name](tf_helen.Adam(0.05, **EMA))), 0, 8)
    before = weights(model)
    model.optimizer.finalize_variable_values(model.trainable_variables)
    np.testing.assert_array_equal(weights(model)[0], before[0])
    for one, other in zip(weights(model)[1:], before[1:], strict=True):
        assert np.abs(one - other).max() > 1e-4


def test_a_table_of_no_layer_keeps_its_values():
    table, kernel = new_table(), keras.Variable(np.ones((2, 2)), name="kernel")
    optimizer = tf_helen.SGD(0.1, **EMA, ema_overwrite_frequency=1)
    slices = tf.IndexedSlices(tf.ones((1, 3)), tf.constant([2]))
    start = table.numpy().copy()
    for _ in range(3):
        optimizer.apply([slices, tf.ones((2, 2))], [table, kernel])
    optimizer.finalize_variable_values([table, kernel])
    np.testing.assert_allclose(table.numpy()[2], start[2] - 0.3, atol=1e-6)
    np.testing.assert_array_equal(table.numpy()[[0, 1]], start[[0, 1]])
    # overwritten by its average after each step, so that it lags behind
    np.testing.assert_allclose(kernel.numpy(), 0.9 - 2 * 0.2 * 0.1, atol=1e-6)


def test_a_weight_that_is_trained_later_begins_with_its_value():
    first, later = (keras.Variable([1.0], name=name) for name in ("first", "later"))
    optimizer = tf_helen.SGD(0.5, **EMA)
    optimizer.build([first, later])
    for variables in ([first], [first, later]):
        optimizer.apply([tf.ones(1) for _ in variables], variables)
    optimizer.finalize_variable_values([first, later])
    assert later.numpy()[0] == 0.5
    np.testing.assert_allclose(first.numpy(), 0.8 * 0.5 + 0.2 * 0.0)


@pytest.mark.parametrize("given", [{"ema_momentum": 1.5}, {"ema_overwrite_frequency": 0.5}])
def test_what_keras_refuses(given):
    with pytest.raises(ValueError, match=next(iter(given))):
        tf_helen.Adam(use_ema=True, **given)

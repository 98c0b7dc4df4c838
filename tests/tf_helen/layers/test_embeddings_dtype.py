"""Tables that store rows in half precision train in float32, and resume with the same bits."""

import keras
import numpy as np
import pytest
from kinds import some
from optimizer_table import ENTRIES

import tf_helen

FIELDS = {"user": 40, "item": 20}
RNG = np.random.default_rng(0)
IDS = np.minimum(RNG.geometric(0.2, (256, 2)) - 1, [39, 19]).astype("int32")
LABELS = RNG.integers(0, 2, (256, 1)).astype("float32")
CASES = ("Adam", "AdamAR", "Helen(AdamAR)", "GroupAdam", "AdaHessian", "Adagrad", "CowClip")


def model_of(optimizer, dtype="bfloat16", **arguments):
    keras.utils.clear_session()
    keras.utils.set_random_seed(0)
    inputs = keras.Input((2,), dtype="int32")
    layer = tf_helen.layers.Embedding(FIELDS, 4, embeddings_dtype=dtype, name="ids", **arguments)
    x = keras.layers.Flatten()(layer(inputs))
    model = tf_helen.Model(inputs, keras.layers.Dense(1)(x))
    model.compile(optimizer, keras.losses.BinaryCrossentropy(from_logits=True), jit_compile=False)
    return model


def fit(model, epochs=2, first=0, callbacks=()):
    model.fit(
        IDS, LABELS, batch_size=32, shuffle=False, verbose=0, epochs=epochs, initial_epoch=first,
        callbacks=[*callbacks],
    )  # fmt: skip
    return model


def table(model):
    return model.get_layer("ids").embeddings.numpy().astype("float32")


@pytest.mark.parametrize("name", some(CASES, ("Helen(AdamAR)",)))
def test_training_follows_that_in_float32(name):
    half, full = (model_of(ENTRIES[name].make(), dtype) for dtype in ("bfloat16", None))
    layer, drawn = half.get_layer("ids"), table(full)
    layer.embeddings.assign(drawn)  # numbers are drawn otherwise in bfloat16
    for model in (half, full):
        fit(model)
    assert layer.embeddings.dtype == "bfloat16"
    assert half.output.dtype == layer(IDS[:2]).dtype.name == "float32"
    moved = [(table(model) - drawn).ravel() for model in (half, full)]
    assert np.corrcoef(*moved)[0, 1] > 0.98
    scores = [model.evaluate(IDS, LABELS, verbose=0) for model in (half, full)]
    assert scores[0] == pytest.approx(scores[1], abs=0.01)


def test_updates_below_the_distance_of_neighbors_are_not_lost():
    ids, ones = np.zeros((512, 1), "int32"), np.ones((512, 1), "float32")
    moved = {}
    for rounding in ("stochastic", "nearest"):
        inputs = keras.Input((1,), dtype="int32")
        layer = tf_helen.layers.Embedding(
            3, 64, embeddings_dtype="bfloat16", rounding=rounding, embeddings_initializer="ones"
        )
        outputs = keras.ops.mean(layer(inputs), axis=-1)
        model = tf_helen.Model(inputs, outputs)
        # Each step adds 1e-3 to values whose next neighbor is 7.8e-3 away.
        model.compile(tf_helen.SGD(0.064), lambda y, p: -keras.ops.mean(p, axis=-1))
        model.fit(ids, ones, batch_size=1, epochs=1, steps_per_epoch=100, verbose=0)
        moved[rounding] = table_of(layer)[0].mean() - 1
        np.testing.assert_array_equal(table_of(layer)[1:], 1)
    assert moved["nearest"] == 0
    assert abs(moved["stochastic"] - 0.1) < 0.02


def table_of(layer):
    return layer.embeddings.numpy().astype("float32")


def test_the_gradients_of_a_frequent_row_are_summed_in_float32():
    ids = np.zeros((1024, 1), "int32")
    inputs = keras.Input((1,), dtype="int32")
    layer = tf_helen.layers.Embedding(
        2, 1, embeddings_dtype="bfloat16", embeddings_initializer="zeros"
    )
    model = tf_helen.Model(inputs, keras.layers.Flatten()(layer(inputs)))
    model.compile(tf_helen.SGD(1.0), lambda y, p: -keras.ops.sum(p, axis=-1))
    model.train_on_batch(ids, np.ones((1024, 1)))
    # In bfloat16 a sum of ones ends at 256. The loss is a mean: the sum of 1024 times 1/1024.
    assert table_of(layer)[0, 0] == pytest.approx(1, rel=2**-7)


class Interrupts(keras.callbacks.Callback):
    """Ends the training in the middle of the second epoch, in which rows have decays pending."""

    def on_train_batch_end(self, batch, logs=None):
        self.seen = getattr(self, "seen", 0) + 1
        if self.seen == 11:
            raise KeyboardInterrupt


@pytest.mark.parametrize("optimizer", some(["AdamAR", "Helen(AdamAR)"], ["AdamAR"]))
def test_a_resumed_training_has_the_same_bits(optimizer, tmp_path):
    make = ENTRIES[optimizer].make
    whole = fit(model_of(make()))
    resume = lambda: tf_helen.callbacks.ExactResume(tmp_path, minutes=0, verbose=0)  # noqa: E731
    with pytest.raises(KeyboardInterrupt):
        fit(model_of(make()), callbacks=[resume(), Interrupts()])
    resumed = fit(model_of(make()), callbacks=[resume()])
    for one, other in zip(whole.weights, resumed.weights, strict=True):
        assert np.asarray(one.numpy()).tobytes() == np.asarray(other.numpy()).tobytes()
    again, other = (fit(model_of(make(), rounding_seed=seed)) for seed in (0, 1))
    np.testing.assert_array_equal(table(again), table(whole))
    assert not np.array_equal(table(other), table(whole))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_models_are_saved_and_loaded(dtype, tmp_path):
    model = fit(model_of(tf_helen.AdamAR(alpha=0.01), dtype, shards=3, rounding="nearest"))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    layer = loaded.get_layer("ids")
    assert (layer.embeddings.dtype, layer.rounding) == (dtype, "nearest")
    np.testing.assert_array_equal(table(loaded), table(model))
    np.testing.assert_array_equal(loaded.predict(IDS, verbose=0), model.predict(IDS, verbose=0))


@pytest.mark.slow
def test_a_decay_below_the_distance_of_neighbors_is_not_lost():
    means = {}
    for name, arguments in {
        "float32": {"dtype": None},
        "stochastic": {},
        "nearest": {"rounding": "nearest"},
    }.items():
        # Rows of absences of a few steps shrink by less than 2^-9 when they are read.
        optimizer = tf_helen.AdamAR(0.0, alpha=5e-4)
        model = model_of(optimizer, embeddings_initializer="ones", **arguments)
        means[name] = table(fit(model, epochs=8))[:10].mean()
    assert 1 - means["float32"] > 5e-3
    assert means["stochastic"] == pytest.approx(means["float32"], abs=1e-3)
    assert abs(means["nearest"] - means["float32"]) > 2e-3

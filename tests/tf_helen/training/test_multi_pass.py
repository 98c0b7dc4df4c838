"""The multi-pass trainer: state changes once per step; supported models."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tf_helen


class Tower(tf_helen.Model):
    """A subclassed model."""

    def __init__(self):
        super().__init__()
        self.table = tf_helen.layers.Embedding({"a": 6}, 4)
        self.dense = keras.layers.Dense(1)

    def call(self, inputs):
        return self.dense(self.table(inputs)[:, 0])


class Stock(keras.Model):
    """A subclassed Keras model without `tf_helen.Model`."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.table = keras.layers.Embedding(6, 4)
        self.dense = keras.layers.Dense(1)

    def call(self, inputs):
        return self.dense(self.table(inputs)[:, 0])


def functional(cls=tf_helen.Model):
    inputs = keras.Input((1,), dtype="int32")
    x = keras.layers.Flatten()(tf_helen.layers.Embedding({"a": 6}, 4)(inputs))
    return cls(inputs, keras.layers.Dense(1)(x))


def sequential():
    layers = [tf_helen.layers.Embedding({"a": 6}, 4), keras.layers.Flatten(), keras.layers.Dense(1)]
    return tf_helen.Sequential([keras.Input((1,), dtype="int32"), *layers])


MODELS = {
    "functional": functional,
    "sequential": sequential,
    "subclassed": Tower,
    "enabled functional": lambda: tf_helen.enable(functional(keras.Model)),
    "enabled subclassed": lambda: tf_helen.enable(Stock()),
}
IDS = np.array([[0], [1], [1], [2], [3], [5], [5], [5]], np.int32)
LABELS = np.array([[0], [1], [1], [0], [0], [1], [1], [1]], np.float32)


@pytest.mark.parametrize(
    "arguments", [{}, {"run_eagerly": True}, {"steps_per_execution": 2}], ids=str
)
@pytest.mark.parametrize("name", MODELS)
def test_helen_trains_every_kind_of_model(name, arguments):
    keras.utils.set_random_seed(0)
    model = MODELS[name]()
    assert isinstance(model, keras.Model)
    model.compile(tf_helen.Helen(learning_rate=0.1), "mse", **arguments)
    losses = model.fit(IDS, LABELS, batch_size=4, epochs=8, verbose=0).history["loss"]
    assert losses[-1] < losses[0]


def test_kinds_of_models_do_not_disturb_each_other():
    """Keras makes a class functional for good when it is once called with inputs and outputs."""
    functional(), Tower(), functional(), Tower()
    with pytest.raises(TypeError, match="received inputs and outputs"):

        class Odd(tf_helen.Model):
            pass

        inputs = keras.Input((1,))
        Odd(inputs, inputs)
    assert Tower()(IDS).shape == (8, 1)


class CountCalls(keras.layers.Layer):
    """Counts its calls in a variable, as batch norm keeps its statistics."""

    def build(self, _):
        self.calls = self.add_weight(shape=(), initializer="zeros", trainable=False)

    def call(self, x):
        self.calls.assign_add(1.0)
        return x


def test_state_of_layers_and_metrics_counts_a_step_once():
    inputs = keras.Input((3,))
    x = keras.layers.BatchNormalization(momentum=0.9)(CountCalls()(inputs))
    model = tf_helen.Model(inputs, keras.layers.Dense(1)(x))
    model.compile(tf_helen.SAM(learning_rate=0.1), "mse", metrics=["mae"])
    x = np.random.default_rng(0).normal(2.0, 3.0, (32, 3)).astype(np.float32)
    y = np.zeros((32, 1), np.float32)
    logged = model.train_on_batch(x, y, return_dict=True)
    assert float(model.layers[1].calls.numpy()) == 1
    mean = model.layers[2].moving_mean.numpy()
    np.testing.assert_allclose(mean, 0.1 * x.mean(0), rtol=1e-4)
    assert set(logged) == {"loss", "mae"}


def test_both_passes_drop_the_same_units():
    """With rho 0 both passes are one function, if their dropout masks are alike."""
    weights = {}
    for make in (
        lambda: tf_helen.SGD(0.1),
        lambda: tf_helen.SAM(0.1, rho=0.0, base_optimizer="sgd"),
    ):
        keras.utils.set_random_seed(0)
        inputs = keras.Input((20,))
        x = keras.layers.Dropout(0.5, seed=3)(keras.layers.Dense(20)(inputs))
        model = tf_helen.Model(inputs, keras.layers.Dense(1)(x))
        model.compile(make(), "mse")
        data = np.random.default_rng(1).normal(size=(64, 20)).astype(np.float32)
        model.fit(data, data[:, :1], batch_size=8, verbose=0, shuffle=False)
        weights[len(weights)] = model.get_weights()
    for one, other in zip(*weights.values(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_added_losses_reach_both_passes():
    model = functional()
    layer = model.layers[1]
    layer.l2 = 10.0
    model.compile(tf_helen.SAM(0.05, base_optimizer="sgd"), "mse")
    before = np.abs(layer.embeddings.numpy()[IDS[:, 0]]).sum()
    model.fit(IDS, LABELS * 0, epochs=5, verbose=0)
    assert np.abs(layer.embeddings.numpy()[IDS[:, 0]]).sum() < 0.5 * before


def test_enable_refuses_what_it_would_break():
    class Own(keras.Model):
        def train_step(self, data):
            return {}

    with pytest.raises(TypeError, match="custom `train_step`"):
        tf_helen.enable(Own())
    with pytest.raises(TypeError, match="needs a Keras model"):
        tf_helen.enable(3)
    model = functional()
    assert tf_helen.enable(model) is model


def test_enabled_subclass_saves_as_its_own_class(tmp_path):
    model = tf_helen.enable(Stock())
    model.compile(tf_helen.Adam(), "mse")
    model.fit(IDS, LABELS, verbose=0)
    model.save(tmp_path / "m.keras")
    loaded = keras.saving.load_model(tmp_path / "m.keras", custom_objects={"Stock": Stock})
    np.testing.assert_array_equal(np.array(loaded(IDS)), np.array(model(IDS)))


def test_plain_keras_model_with_decay_exports_and_saves_what_it_reads(tmp_path):
    """AdamAR needs no second pass, so any Keras model may train with it."""
    model = functional(keras.Model)
    model.compile(tf_helen.AdamAR(0.05, alpha=0.1), "mse")
    for start in range(0, 8, 2):
        model.train_on_batch(IDS[start : start + 2], LABELS[start : start + 2])
    expected = np.array(model(IDS))
    model.export(tmp_path / "saved", verbose=False)
    served = tf.saved_model.load(str(tmp_path / "saved"))
    np.testing.assert_allclose(served.serve(IDS), expected, atol=1e-6)
    model.save(tmp_path / "m.keras")
    loaded = keras.saving.load_model(tmp_path / "m.keras", compile=False)
    np.testing.assert_allclose(np.array(loaded(IDS)), expected, atol=1e-6)


def test_recompiling_settles_what_the_old_optimizer_owed():
    model = functional()
    model.compile(tf_helen.AdamAR(0.05, alpha=0.1), "mse")
    for start in range(0, 8, 2):
        model.train_on_batch(IDS[start : start + 2], LABELS[start : start + 2])
    expected = np.array(model(IDS))
    model.compile(tf_helen.AdamAR(0.0, alpha=0.0), "mse")
    model.train_on_batch(IDS[:1], LABELS[:1])
    np.testing.assert_allclose(np.array(model(IDS)), expected, atol=1e-6)


def test_foreign_embedding_is_swept_every_so_many_steps():
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((1,), dtype="int32"), keras.layers.Embedding(4, 2)])
    model.compile(tf_helen.AdamAR(0.0, alpha=0.25, sweep_every=3), "mse")
    table = model.layers[0].embeddings
    start = table.numpy().copy()
    ids, y = np.array([[0]], np.int32), np.ones((1, 1, 2), np.float32)
    for step in range(3):
        np.testing.assert_array_equal(table.numpy()[1:], start[1:], err_msg=f"before step {step}")
        model.train_on_batch(ids, y)
    np.testing.assert_allclose(table.numpy()[1:], start[1:] * 0.75 * 0.5, rtol=1e-5)
    np.testing.assert_array_equal(table.numpy()[0], start[0])


def test_minimize_in_a_custom_loop_inside_a_function():
    table = keras.Variable(np.ones((5, 2)), name="table")
    optimizer = tf_helen.Helen(0.1, base_optimizer="sgd")

    @tf.function
    def step(ids):
        return optimizer.minimize(lambda: tf.reduce_sum(tf.gather(table.value, ids) ** 2), [table])

    first = float(step(tf.constant([1, 1, 3])))
    assert float(step(tf.constant([1, 1, 3]))) < first
    np.testing.assert_array_equal(table.numpy()[[0, 2, 4]], 1)


@pytest.mark.parametrize("optimizer", ["Adam", "AdamAR", "Helen"])
def test_the_end_of_data_of_unknown_size_is_no_step(optimizer):
    inputs = keras.Input((2,), dtype="int64")
    rows = keras.layers.Flatten()(tf_helen.layers.Embedding(5, 3)(inputs))
    model = tf_helen.Model(inputs, keras.layers.Dense(1)(rows))
    model.compile(getattr(tf_helen, optimizer)(), "mse")
    data = tf.data.Dataset.from_tensor_slices((np.zeros((30, 2), "int64"), np.zeros((30, 1))))
    model.fit(data.batch(10).filter(lambda *_: True), epochs=2, verbose=0)
    assert model.optimizer.iterations.numpy() == 6


def test_a_step_is_traced_before_the_optimizer_is_built():
    inputs = keras.Input((2,), dtype="int64")
    rows = keras.layers.Flatten()(tf_helen.layers.Embedding(5, 3)(inputs))
    model = tf_helen.Model(inputs, keras.layers.Dense(1)(rows))
    model.compile(tf_helen.AdamAR(), "mse")
    batch = tf.TensorSpec([None, 2], tf.int64), tf.TensorSpec([None, 1], tf.float32)
    step = tf.function(model.train_step).get_concrete_function(batch)
    assert np.isfinite(step((tf.zeros([3, 2], tf.int64), tf.zeros([3, 1])))["loss"])

"""tf_keras models under the optimizers of `tf_helen.legacy`: fit, callbacks, files, precision."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from kinds import some
from tensorflow.python.framework import function_def_to_graph
from tf_keras_model import ROWS, MixinModel, assert_equal_weights, build, data, tf_keras, train

import tf_helen
from tf_helen import legacy
from tf_helen.core import whole_reads

STOCK = tf_keras.layers.Embedding
MAKES = {
    "AdamAR": lambda: legacy.AdamAR(0.02, alpha=0.01),
    "Helen": lambda: legacy.Helen(0.02, frequency="running"),
    "Helen(AdamAR)": lambda: legacy.Helen(base_optimizer=legacy.AdamAR(0.02, alpha=0.01)),
}


KINDS_OF_FILE = (".keras", ".h5", "weights")
FILES = [(name, kind) for name in MAKES for kind in KINDS_OF_FILE]
CHECKPOINTS = [(name, built) for name in MAKES for built in (True, False)]


def keras_3_weights(optimizer, start):
    """The model of `build` in Keras 3, trained as `train` does."""
    inputs = keras.Input((2,), dtype="int32")
    x = keras.layers.Flatten()(tf_helen.layers.Embedding(ROWS, 4)(inputs))
    model = tf_helen.Model(inputs, keras.layers.Dense(1)(x))
    model.compile(optimizer, keras.losses.BinaryCrossentropy(from_logits=True))
    model.set_weights(start)
    model.fit(*data(), batch_size=32, epochs=3, shuffle=False, verbose=0)
    return model.get_weights()


@pytest.mark.parametrize("name", MAKES)
def test_fit_is_that_of_keras_3(name):
    model = build(MAKES[name]())
    expected = keras_3_weights(MAKES[name]().inner, model.get_weights())
    history = train(model, epochs=3)
    assert history["loss"][-1] < history["loss"][0]
    for got, want in zip(model.get_weights(), expected, strict=True):
        np.testing.assert_allclose(got, want, atol=1e-6)


class OneHot(tf_keras.layers.Dense):
    """An embedding without lookups."""

    def __init__(self, rows, width):
        super().__init__(width, use_bias=False, kernel_initializer="uniform")
        self.rows = rows

    def build(self, input_shape):
        super().build((*input_shape, self.rows))
        self.input_spec = None

    def call(self, ids):
        return super().call(tf.one_hot(ids, self.rows))


@pytest.mark.parametrize("embedding", [STOCK, legacy.Embedding])
@pytest.mark.parametrize("name", ["Momentum", "Adagrad", "Adam"])
def test_repeated_ids_train_as_one_hot_inputs(name, embedding):
    def make():
        # absent rows of one-hot inputs have a gradient, of zero
        return getattr(legacy, name)(0.05, moments="dense")

    models = [build(make(), layer, tf_keras.Model) for layer in (embedding, OneHot)]
    models[1].set_weights(models[0].get_weights())
    for model in models:
        train(model, epochs=2)
    assert_equal_weights(*models, atol=1e-5)


READERS = {
    "stock layer": (STOCK, tf_keras.Model),
    "our layer": (legacy.Embedding, tf_keras.Model),
    "our layer and the mixin": (legacy.Embedding, MixinModel),
}


@pytest.mark.parametrize("reader", READERS)
def test_absent_rows_decay_when_read_or_in_sweeps(reader):
    """The decay is large enough to see: row 19 never occurs, and is read after 5 steps."""
    layer, model_class = READERS[reader]
    ids, y = np.full((32, 2), 3, np.int32), np.ones((32, 1), np.float32)
    optimizer = legacy.AdamAR(0.0, alpha=0.1, sweep_every=5)
    model = build(optimizer, layer, model_class)
    table = model.layers[1]
    before = table.embeddings.numpy()[19]
    for _ in range(5):
        model.train_on_batch(ids, y)
    expected = before * np.prod(1 - 0.1 * np.arange(5))
    np.testing.assert_allclose(table(np.array([19])).numpy()[0], expected, rtol=1e-5)
    stored = whole_reads.raw(table.embeddings).numpy()[19]
    np.testing.assert_allclose(stored, expected if layer is STOCK else before, rtol=1e-5)
    np.testing.assert_allclose(table.get_weights()[0][19], expected, rtol=1e-5)
    if model_class is MixinModel:
        np.testing.assert_allclose(model.get_weights()[0][19], expected, rtol=1e-5)


@pytest.mark.parametrize("make", [legacy.Adam, legacy.AdamAR])
def test_training_reads_absent_rows_decayed(make):
    """Two batches of disjoint ids in turn: the loss of a batch shows what was read for it."""
    losses = []
    for model_class, eager in itertools.product((tf_keras.Model, MixinModel), (True, False)):
        optimizer = make(0.01, **({"alpha": 0.3} if make is legacy.AdamAR else {}))
        # Under tf_keras's own step the optimizer is built after the first forward pass.
        model = build(optimizer, None, model_class, run_eagerly=eager)
        y = np.ones((32, 1), np.float32)
        ids = [np.full((32, 2), row, np.int32) for row in (3, 3, 4, 4, 4, 3)]
        losses.append([model.train_on_batch(batch, y)[0] for batch in ids])
    for others in losses[1:]:
        np.testing.assert_allclose(others, losses[0], rtol=1e-5)


def test_helen_takes_counts_by_layer_or_path():
    counts = np.arange(ROWS)
    for key in ("table", "table/embeddings"):
        inputs = tf_keras.Input((2,), dtype="int32")
        x = tf_keras.layers.Flatten()(legacy.Embedding(ROWS, 4, name="table")(inputs))
        model = MixinModel(inputs, tf_keras.layers.Dense(1)(x))
        model.compile(legacy.Helen(frequency={key: counts}), "mse")
        train(model)
        (slot,) = [v for v in model.optimizer.variables if v.shape == (ROWS, 1)]
        np.testing.assert_array_equal(slot.numpy()[:, 0], counts)


@pytest.mark.parametrize("embedding", [STOCK, legacy.Embedding])
@pytest.mark.parametrize("name", MAKES)
def test_no_op_of_a_train_step_is_as_large_as_the_table(name, embedding, rows=1000):
    if embedding is STOCK and "AdamAR" in name:
        pytest.skip("AdamAR sweeps tables of the stock layer, as documented")
    optimizer = MAKES[name]()
    inputs = tf_keras.Input((1,), dtype="int32")
    x = tf_keras.layers.Flatten()(embedding(rows, 4)(inputs))
    model = MixinModel(inputs, tf_keras.layers.Dense(1)(x))
    model.compile(optimizer, "mse")
    optimizer.build(model.trainable_variables)
    step = tf.function(lambda x, y: model.train_step((x, y)))
    graph = step.get_concrete_function(tf.TensorSpec([8, 1], tf.int32), tf.TensorSpec([8, 1])).graph
    branches = graph.as_graph_def().library.function
    graphs = [graph, *map(function_def_to_graph.function_def_to_graph, branches)]
    outputs = [
        (operation.name, output.shape)
        for each in graphs
        for operation in each.get_operations()
        for output in operation.outputs
    ]
    assert not [name for name, shape in outputs if shape.rank and shape[0] == rows]


def resumed(model, again):
    assert_equal_weights(model, again)
    assert int(again.optimizer.iterations) == int(model.optimizer.iterations)
    for each in (model, again):
        train(each)
    assert_equal_weights(model, again)


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
@pytest.mark.parametrize(
    "name,kind", some(FILES, [("Helen(AdamAR)", kind) for kind in KINDS_OF_FILE])
)
def test_files_hold_the_state(name, kind, tmp_path):
    model = build(MAKES[name]())
    train(model)
    path = str(tmp_path / f"model{kind}")
    if kind == "weights":  # in TensorFlow's format
        model.save_weights(path)
        again = build(MAKES[name]())
        again.load_weights(path)
    else:
        model.save(path)
        again = tf_keras.models.load_model(path, custom_objects={"MixinModel": MixinModel})
        assert type(again.optimizer) is type(model.optimizer)
    resumed(model, again)


@pytest.mark.parametrize(
    "name,built", some(CHECKPOINTS, [("AdamAR", True), ("Helen(AdamAR)", False)])
)
def test_checkpoints_resume_bit_for_bit(name, built, tmp_path):
    model, again = build(MAKES[name]()), build(MAKES[name]())
    for _ in range(3):
        model.train_on_batch(*data(16))
    path = tf.train.Checkpoint(model=model, optimizer=model.optimizer).save(tmp_path / "ckpt")
    if built:
        again.optimizer.build(again.trainable_variables)
    tf.train.Checkpoint(model=again, optimizer=again.optimizer).restore(path)
    again.optimizer.build(again.trainable_variables)
    resumed(model, again)


@pytest.mark.parametrize("model_class", [tf_keras.Model, MixinModel])
def test_a_saved_model_serves_up_to_date_rows(model_class, tmp_path):
    model = build(legacy.AdamAR(0.02, alpha=0.05), None, model_class)
    for _ in range(5):
        model.train_on_batch(*data(4))
    model.save(str(tmp_path / "served"), save_format="tf")
    served = tf.saved_model.load(str(tmp_path / "served"))
    scores = served.signatures["serving_default"](tf.constant(data()[0]))
    model.optimizer.finalize_variable_values(model.trainable_variables)
    expected = model.predict(data()[0], verbose=0)
    np.testing.assert_allclose(next(iter(scores.values())), expected, atol=1e-6)


def test_learning_rates_follow_callbacks_and_schedules():
    callback = tf_keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2)
    model = build(legacy.Helen(0.1))
    assert train(model, epochs=2, callbacks=[callback])["lr"] == pytest.approx([0.05, 0.025])
    model.optimizer.learning_rate = 0.5
    assert float(model.optimizer.lr) == 0.5

    schedule = tf_keras.optimizers.schedules.ExponentialDecay(0.1, 4, 0.5)
    model = build(legacy.Helen(schedule))
    train(model, epochs=2)
    assert float(model.optimizer.learning_rate) == pytest.approx(0.025)
    again = tf_keras.optimizers.deserialize(tf_keras.optimizers.serialize(model.optimizer))
    assert again.inner.base_optimizer._learning_rate.schedule.get_config() == schedule.get_config()


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
@pytest.mark.slow
def test_mixed_precision(policy):
    plain = {name: train(build(make()), epochs=2)["loss"] for name, make in MAKES.items()}
    tf_keras.mixed_precision.set_global_policy(policy)
    try:
        for name, make in MAKES.items():
            model = build(make())
            np.testing.assert_allclose(train(model, epochs=2)["loss"], plain[name], rtol=2e-2)
            assert int(model.optimizer.iterations) == 8
    finally:
        tf_keras.mixed_precision.set_global_policy("float32")

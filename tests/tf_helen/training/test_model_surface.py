"""Keras's operations on models, with tf_helen.Model: clones, copies, files, inputs."""

import copy
import pickle

import keras
import numpy as np
import pytest
import tensorflow as tf
from versions import KERAS

import tf_helen

IDS = np.array([[0], [1], [1], [2], [3], [5], [5], [5]], np.int32)
LABELS = np.array([[0], [1], [1], [0], [0], [1], [1], [1]], np.float32)
WEIGHTS = np.arange(1.0, 9.0)


def layers():
    dropout = keras.layers.Dropout(0.1, seed=1)
    table = tf_helen.layers.Embedding({"a": 6}, 4)
    return [table, keras.layers.Flatten(), dropout, keras.layers.Dense(1)]


def functional(cls=tf_helen.Model):
    x = inputs = keras.Input((1,), dtype="int32")
    for layer in layers():
        x = layer(x)
    return cls(inputs, x)


def sequential(cls=tf_helen.Sequential):
    return cls([keras.Input((1,), dtype="int32"), *layers()])


@keras.saving.register_keras_serializable("test_model_surface")
class Tower(tf_helen.Model):
    """A subclassed model."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.stack = layers()

    def call(self, inputs, training=False):
        for layer in self.stack[:-2]:
            inputs = layer(inputs)
        return self.stack[-1](self.stack[-2](inputs, training=training))

    def get_config(self):
        return {"name": self.name}


@keras.saving.register_keras_serializable("test_model_surface")
class Stock(keras.Model):
    """A subclassed Keras model with a tf_helen.layers.Embedding."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.table = tf_helen.layers.Embedding({"a": 6}, 4)
        self.dense = keras.layers.Dense(1)

    def call(self, inputs):
        return self.dense(self.table(inputs)[:, 0])

    def get_config(self):
        return {"name": self.name}


class Own(tf_helen.training.model.FunctionalModel):
    """A functional model with its own constructor, which Keras clones as `Functional`."""

    def __init__(self, width=4):
        inputs = keras.Input((1,), dtype="int32")
        x = keras.layers.Flatten()(tf_helen.layers.Embedding({"a": 6}, width)(inputs))
        super().__init__(inputs, keras.layers.Dense(1)(x))


MODELS = {
    "functional": functional,
    "sequential": sequential,
    "subclassed": Tower,
    "enabled functional": lambda: tf_helen.enable(functional(keras.Model)),
    "enabled sequential": lambda: tf_helen.enable(sequential(keras.Sequential)),
    "enabled subclassed": lambda: tf_helen.enable(Stock()),
}
COPIES = {
    "clone": keras.models.clone_model,
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": lambda model: pickle.loads(pickle.dumps(model)),
    "config": lambda model: type(model).from_config(model.get_config()),
}
NEW_WEIGHTS = ("clone", "config")


def made(name, compiled=False):
    model = MODELS[name]()
    model(IDS)
    if compiled:
        model.compile(tf_helen.Helen(base_optimizer=tf_helen.AdamAR(0.01)), "mse", run_eagerly=True)
        model.train_on_batch(IDS, LABELS)
    return model


def assert_trains_with_helen(model):
    model.compile(tf_helen.Helen(), "mse", run_eagerly=True)
    model.train_on_batch(IDS, LABELS)  # a step of one pass raises


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("how", COPIES)
@pytest.mark.parametrize("name", MODELS)
def test_copies_keep_the_training_step(name, how, compiled):
    model = made(name, compiled)
    found = COPIES[how](model)
    if how not in NEW_WEIGHTS:
        np.testing.assert_allclose(found(IDS), model(IDS), rtol=1e-6)
    if compiled and how != "config":
        assert isinstance(found.optimizer, tf_helen.Helen)
        found.train_on_batch(IDS, LABELS)
    assert_trains_with_helen(found)
    assert isinstance(found, tf_helen.Model) == isinstance(model, tf_helen.Model)


def test_clones_of_clones_and_of_parts():
    kinds = tf_helen.Sequential, tf_helen.training.model.FunctionalModel
    for make, kind in zip((sequential, functional), kinds, strict=True):
        model = make()
        model.compile(tf_helen.Helen(), "mse")
        again = keras.models.clone_model(keras.models.clone_model(model))
        assert type(again) is kind and isinstance(again.optimizer, tf_helen.Helen)
        clone = keras.models.clone_model(model, input_tensors=keras.Input((1,), dtype="int64"))
        assert type(clone) is kind
        clone = keras.models.clone_model(model, clone_function=lambda layer: layer)
        np.testing.assert_array_equal(clone(IDS), model(IDS))
    inputs = keras.Input((1,), dtype="int32")
    outer = tf_helen.Model(inputs, sequential()(functional()(inputs) > 0))
    for recursive in (False, True):
        clone = keras.models.clone_model(outer, recursive=recursive)
        nested = [type(layer) for layer in clone.layers if isinstance(layer, keras.Model)]
        assert nested == list(kinds)[::-1]
    clone = keras.models.clone_model(functional(), call_function=lambda f, *a, **k: f(*a, **k))
    assert type(clone) is kinds[1]
    assert_trains_with_helen(keras.models.clone_model(Own(), clone_function=lambda layer: layer))


def test_clones_of_keras_own_models_are_keras_own():
    for make in (lambda: sequential(keras.Sequential), lambda: functional(keras.Model)):
        model = make()
        assert type(keras.models.clone_model(model)) is type(model)


def test_functional_models_and_sequentials_are_tf_helen_models():
    for make in (functional, sequential, Tower):
        assert isinstance(make(), tf_helen.Model)
    assert not isinstance(functional(keras.Model), tf_helen.Model)
    assert tf_helen.Sequential(layers(), False, "named").name == "named"
    assert not tf_helen.Sequential([keras.layers.Dense(1)], trainable=False).trainable


@pytest.mark.parametrize("name", ["functional", "sequential", "subclassed"])
@pytest.mark.parametrize("zipped", [True, False])
def test_files_load_as_they_were(name, zipped, tmp_path):
    model = made(name, compiled=True)
    path = tmp_path / ("model.keras" if zipped else "model")
    model.save(path, zipped=zipped)
    found = keras.saving.load_model(path)
    np.testing.assert_array_equal(found(IDS), model(IDS))
    assert type(found) is type(model) and isinstance(found.optimizer, tf_helen.Helen)
    found.save_weights(tmp_path / "m.weights.h5")
    other = made(name)
    other.load_weights(tmp_path / "m.weights.h5")
    np.testing.assert_array_equal(other(IDS), model(IDS))


def test_a_model_of_keras_with_our_table_loads_from_its_file(tmp_path):
    """Keras builds it from shapes alone, with inputs of floats."""
    model = Stock()
    expected = model(IDS)
    model.save(tmp_path / "m.keras")
    found = keras.saving.load_model(tmp_path / "m.keras")
    np.testing.assert_array_equal(found(IDS), expected)
    with pytest.raises(TypeError, match=r"integer ids.*float32"):
        found(IDS.astype("float32"))


def test_json_and_summary():
    model = functional()
    found = keras.models.model_from_json(model.to_json())
    assert type(found) is type(model)
    lines = []
    model.summary(print_fn=lambda line, **_: lines.append(line), show_trainable=True)
    assert "Embedding" in "".join(lines)


@pytest.mark.parametrize("mode", ["int8", "int4", "float8"])
@pytest.mark.parametrize("name", ["functional", "sequential", "subclassed"])
def test_quantize_names_the_tables_before_it_changes_a_layer(name, mode):
    if mode == "int4" and KERAS < (3, 11):
        pytest.skip("needs Keras 3.11")
    model = made(name)
    before = [w.dtype for w in model.weights]
    with pytest.raises(ValueError, match=rf"(?s){mode}.*'embedding.*filters="):
        model.quantize(mode)
    assert [w.dtype for w in model.weights] == before


@pytest.mark.skipif(KERAS < (3, 13), reason="needs `filters` of Keras 3.13")
def test_quantize_of_the_other_layers():
    model = made("functional")
    expected = np.array(model(IDS))
    model.quantize("int8", filters=lambda x: not isinstance(x, tf_helen.layers.Embedding))
    assert "int8" in [w.dtype for w in model.weights]
    np.testing.assert_allclose(model(IDS), expected, atol=0.01)
    plain = functional(keras.Model)
    with pytest.warns(UserWarning, match=r"Embedding 'embedding.*remains float32"):
        plain.quantize("int8")


def test_layers_in_float8_are_refused_by_our_optimizers():
    """Their scales take their new values as gradients."""
    inputs = keras.Input((4,))
    model = tf_helen.Model(inputs, keras.layers.Dense(4)(inputs))
    model.quantize("float8")
    x = np.ones((4, 4), np.float32)
    for optimizer in (tf_helen.Adam(), tf_helen.SAM(base_optimizer="sgd")):
        model.compile(optimizer, "mse", run_eagerly=True)
        with pytest.raises(ValueError, match=r"float8.*inputs_scale.*optimizer of Keras"):
            model.train_on_batch(x, x)


def dataset(*parts):
    return tf.data.Dataset.from_tensor_slices(parts).batch(4)


class Batches(keras.utils.PyDataset):
    def __len__(self):
        return 2

    def __getitem__(self, i):
        return tuple(part[4 * i : 4 * i + 4] for part in (IDS, LABELS))


def generator():
    yield from zip(IDS.reshape(2, 4, 1), LABELS.reshape(2, 4, 1), strict=True)


# Arguments of `fit`; a generator can be used once only.
INPUTS = {
    "arrays": lambda: {"x": IDS, "y": LABELS},
    "tensors": lambda: {"x": tf.constant(IDS), "y": tf.constant(LABELS)},
    "list": lambda: {"x": [IDS], "y": [LABELS]},
    "dict": lambda: {"x": {"ids": IDS}, "y": LABELS},
    "dataset": lambda: {"x": dataset(IDS, LABELS)},
    "sequence": lambda: {"x": Batches()},
    "generator": lambda: {"x": generator(), "steps_per_epoch": 2},
    "weights": lambda: {"x": IDS, "y": LABELS, "sample_weight": WEIGHTS},
    "weights of a dataset": lambda: {"x": dataset(IDS, LABELS, WEIGHTS)},
    "classes": lambda: {"x": IDS, "y": LABELS, "class_weight": {0: 1.0, 1: 2.0}},
}


@pytest.mark.parametrize("how", INPUTS)
def test_every_kind_of_input_trains_as_under_keras(how):
    sam = tf_helen.SAM(rho=0.0, base_optimizer=tf_helen.SGD(0.1))
    found = []
    for cls, optimizer in ((keras.Model, keras.optimizers.SGD(0.1)), (tf_helen.Model, sam)):
        keras.utils.set_random_seed(0)
        inputs = keras.Input((1,), dtype="int32", name="ids")
        x = keras.layers.Flatten()(tf_helen.layers.Embedding({"a": 6}, 4)(inputs))
        model = cls(inputs, keras.layers.Dense(1)(x))
        model.compile(optimizer, "mse", run_eagerly=True)
        given = INPUTS[how]()
        cut = {"batch_size": 4, "shuffle": False} if "y" in given else {"shuffle": False}
        valid = (IDS, LABELS, WEIGHTS)
        logs = model.fit(**given, **cut, verbose=0, validation_data=valid).history
        found.append([*logs["loss"], *logs["val_loss"], *np.ravel(model.get_weights()[0])])
    np.testing.assert_allclose(found[1], found[0], atol=1e-6)


def test_parts_of_fit_and_single_batches():
    model = functional()
    model.compile(tf_helen.Helen(), "mse", metrics=["mae"], run_eagerly=True)
    logs = model.fit(IDS, LABELS, validation_split=0.5, epochs=3, initial_epoch=2, verbose=0)
    assert set(logs.history) == {"loss", "mae", "val_loss", "val_mae"} and logs.epoch == [2]
    model.train_on_batch(IDS, LABELS, sample_weight=WEIGHTS)
    model.train_on_batch(IDS, LABELS, class_weight={0: 1.0, 1: 2.0})
    model.reset_metrics()  # `test_on_batch` of older Keras does not
    loss, mae = model.test_on_batch(IDS, LABELS)
    np.testing.assert_allclose(mae, np.abs(model.predict_on_batch(IDS) - LABELS).mean(), rtol=1e-5)
    model.reset_metrics()
    assert float(model.metrics[0].result()) == 0 and np.isfinite(loss)


@pytest.mark.parametrize(
    "arguments", [{"jit_compile": True}, {"auto_scale_loss": False}, {"steps_per_execution": 4}]
)
def test_options_of_compile(arguments):
    """Without XLA if a layer does not support it, with Keras's warning."""
    model = sequential()
    model.compile(tf_helen.Helen(0.1), "mse", **arguments)
    losses = model.fit(IDS, LABELS, batch_size=2, epochs=4, verbose=0).history["loss"]
    assert losses[-1] < losses[0]


def test_frozen_parts_stay_and_the_rest_trains():
    model = functional()
    table, dense = model.layers[1], model.layers[-1]
    table.trainable = False
    model.compile(tf_helen.Helen(0.1), "mse", run_eagerly=True)
    before = table.embeddings.numpy(), dense.kernel.numpy()
    model.train_on_batch(IDS, LABELS)
    np.testing.assert_array_equal(table.embeddings.numpy(), before[0])
    assert (dense.kernel.numpy() != before[1]).any()
    model.trainable = False
    model.compile(tf_helen.Helen(0.1), "mse", run_eagerly=True)
    assert np.isfinite(model.train_on_batch(IDS, LABELS))


@pytest.mark.parametrize("format", ["torch", "unknown"])
def test_formats_that_cannot_be_had_are_named_by_keras(format, tmp_path):
    with pytest.raises(ValueError, match=r"PyTorch|Unrecognized format"):
        functional().export(tmp_path / "out", format=format, verbose=False)

"""Tables in several shards train, load and are analyzed as tables of one variable."""

import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from kinds import some
from optimizer_table import ENTRIES, KINDS, cases

import tf_helen
from tf_helen.callbacks.state_files import StateFiles
from tf_helen.callbacks.training_state import TrainingState
from tf_helen.core.whole_state import whole_variables

ROOT = Path(__file__).parents[2]
PROGRAM = ROOT / "tests" / "support" / "sharded_runs.py"
PATH = f"{ROOT}:{PROGRAM.parent}"
FIELDS = {"user": 10, "genre": 5, "item": 7}
COUNTS = {name: np.arange(size) + 1 for name, size in FIELDS.items()}
RNG = np.random.default_rng(0)
IDS = np.minimum(RNG.geometric(0.3, size=(4, 12, 3)) - 1, [9, 4, 6])
LABELS = RNG.integers(0, 2, size=(4, 12, 1)).astype("float32")

# What depends on all rows of a table: norms, maxima of fields, values given for every row.
OF_WHOLE_TABLES = {
    "Adam, clipnorm": lambda: tf_helen.Adam(0.05, clipnorm=0.01),
    "Adam, global_clipnorm": lambda: tf_helen.Adam(0.05, global_clipnorm=0.01),
    "Helen, norms of tables": lambda: tf_helen.Helen(0.05, norm="table", dense_norm="last_table"),
    "Helen, adaptive": lambda: tf_helen.Helen(0.05, adaptive=True, dense_norm="global"),
    "Helen, counts by field": lambda: tf_helen.Helen(0.05, frequency=COUNTS),
    "Helen, counts by path": lambda: tf_helen.Helen(0.05, frequency={"embeddings": np.arange(22)}),
    "Helen, running, around Keras": lambda: tf_helen.Helen(
        frequency="running", base_optimizer=keras.optimizers.Adam(0.05)
    ),
    "AdamAR, alphas by field": lambda: tf_helen.AdamAR(
        0.05, alpha={name: counts / 30 for name, counts in COUNTS.items()}
    ),
    "AdamAR, dense moments": lambda: tf_helen.AdamAR(0.05, alpha=0.01, moments="dense"),
    "AdamAR, on occurrence": lambda: tf_helen.AdamAR(0.05, alpha=0.01, decay="on_occurrence"),
}
FAST = (
    "Adam, clipnorm",
    "Helen, norms of tables",
    "Helen, counts by field",
    "Helen, running, around Keras",
    "AdamAR, alphas by field",
)


def parts_of_a_model(shards, **arguments):
    initializer = keras.initializers.RandomNormal(stddev=0.5, seed=3)
    layer = tf_helen.layers.Embedding(
        FIELDS, 4, shards=shards, embeddings_initializer=initializer, name="ids", **arguments
    )
    layer.build()
    kernel = np.random.default_rng(1).normal(size=(12, 1)) / 4
    return layer, keras.Variable(kernel, dtype="float32", name="kernel")


def loss_of(layer, kernel, step):
    vectors = tf.cast(tf.reshape(layer(IDS[step]), [-1, 12]), tf.float32)
    logits = vectors @ kernel
    return tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(LABELS[step], logits))


def trained(shards, make, steps=4, **arguments):
    """Trains in a loop without a graph; returns the layer, its weights and the state."""
    layer, kernel = parts_of_a_model(shards, **arguments)
    optimizer, variables = make(), [*layer.trainable_variables, kernel]
    for step in range(steps):
        optimizer.minimize(lambda step=step: loss_of(layer, kernel, step), variables)
    optimizer.finalize_variable_values(variables)
    weights = [layer.embeddings.numpy(), kernel.numpy()]
    return layer, optimizer, weights, [v.numpy() for v in whole_variables(optimizer.variables)]


def model_of(shards, optimizer=None, width=4):
    keras.utils.clear_session()
    inputs = keras.Input((3,), dtype="int32")
    initializer = keras.initializers.RandomNormal(stddev=0.5, seed=3)
    layer = tf_helen.layers.Embedding(
        FIELDS, width, shards=shards, embeddings_initializer=initializer, name="ids"
    )
    x = keras.layers.Flatten()(layer(inputs))
    seeded = keras.initializers.GlorotUniform(seed=5)
    model = tf_helen.Model(inputs, keras.layers.Dense(1, kernel_initializer=seeded)(x))
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    model.compile(optimizer or tf_helen.Adam(0.05), loss, jit_compile=False, run_eagerly=True)
    return model


def fit(model, **arguments):
    x, y = IDS.reshape(-1, 3), LABELS.reshape(-1, 1)
    model.fit(x, y, batch_size=12, shuffle=False, verbose=0, **arguments)
    return model


def whole_state(model):
    return [v.numpy() for v in whole_variables([*model.weights, *model.optimizer.variables])]


def assert_alike(first, second, atol=1e-6):
    assert len(first) == len(second)
    for a, b in zip(first, second, strict=True):
        np.testing.assert_allclose(a.astype(float), b.astype(float), atol=atol)


@pytest.mark.parametrize("name", cases())
def test_one_shard_equals_many(name):
    _, _, *one = trained(1, ENTRIES[name].make)
    _, _, *many = trained(4, ENTRIES[name].make)
    for first, second in zip(one, many, strict=True):
        assert_alike(first, second)


@pytest.mark.parametrize("name", some([*OF_WHOLE_TABLES], fast=FAST))
def test_one_shard_equals_many_if_a_step_depends_on_whole_tables(name):
    make = OF_WHOLE_TABLES[name]
    _, _, one, state = trained(1, make)
    _, _, many, sharded_state = trained(3, make)
    assert_alike(one, many)
    if "Keras" not in name:
        assert_alike(state, sharded_state)


@pytest.mark.slow
@pytest.mark.parametrize("name", ENTRIES)
@pytest.mark.parametrize("shards", [2, 7, 22])
def test_fit_with_any_number_of_shards_equals_one(name, shards):
    one, many = (model_of(n, ENTRIES[name].make()) for n in (1, shards))
    for model in (one, many):
        model.run_eagerly = False
        fit(model, epochs=2)
    # The Hessian-vector product of a graph is rounded differently: in float64, 3e-17 differ.
    bound = 1e-5 if "Hessian" in name else 1e-6
    assert_alike(whole_state(one), whole_state(many), bound)


@pytest.mark.parametrize("shards", [1, 3, 22])
@pytest.mark.parametrize("initializer", ["uniform", "glorot_normal", "zeros"])
def test_initial_values_do_not_depend_on_the_shards(shards, initializer):
    initializer = keras.initializers.get(initializer)
    layer = tf_helen.layers.Embedding(FIELDS, 4, shards=shards, embeddings_initializer=initializer)
    layer.build()
    np.testing.assert_array_equal(layer.embeddings.numpy(), initializer((22, 4)))


def test_large_tables_are_drawn_alike_in_chunks(monkeypatch):
    from tf_helen.layers import initializing

    monkeypatch.setattr(initializing, "_LARGE", 20)
    monkeypatch.setattr(initializing, "CHUNK_ROWS", 8)
    one, many = parts_of_a_model(1)[0], parts_of_a_model(5)[0]
    np.testing.assert_array_equal(one.embeddings.numpy(), many.embeddings.numpy())
    assert len(np.unique(many.embeddings.numpy())) == 22 * 4


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_tables(dtype):
    _, _, one, _ = trained(1, lambda: tf_helen.AdamAR(0.05, alpha=0.01), dtype=dtype)
    layer, _, many, _ = trained(4, lambda: tf_helen.AdamAR(0.05, alpha=0.01), dtype=dtype)
    assert layer.embeddings.dtype == dtype
    assert_alike(one, many)


def test_multi_valued_fields_and_the_penalty():
    rows = []
    for shards in (1, 3):
        layer = parts_of_a_model(shards, lengths={"genre": 2}, l2=0.1)[0]
        ids = np.array([[1, 4, 4, 0], [1, 3, -1, 6]])
        rows.append([layer(ids, training=True).numpy(), np.array(layer.losses)])
    assert_alike(*rows)


def test_frozen_tables_do_not_change():
    model = model_of(3)
    model.get_layer("ids").trainable = False
    model.compile(tf_helen.AdamAR(alpha=0.5), "mse", run_eagerly=True)
    before = model.get_layer("ids").embeddings.numpy()
    fit(model)
    np.testing.assert_array_equal(model.get_layer("ids").embeddings.numpy(), before)


def test_reads_of_a_table_apply_its_pending_decay():
    tables = []
    for shards in (1, 4):
        model = model_of(shards, tf_helen.AdamAR(0.05, alpha=0.1))
        for step in range(3):
            model.train_on_batch(IDS[step], LABELS[step])
        tables.append([model(IDS[3]).numpy(), model.get_layer("ids").embeddings.numpy()])
    assert_alike(*tables)


@pytest.mark.parametrize(("written", "read"), some([(4, 1), (1, 7), (4, 7)], fast=[(4, 7)]))
def test_files_do_not_depend_on_the_shards(written, read, tmp_path):
    def optimizer():
        base = tf_helen.AdamAR(0.05, alpha=0.01)
        return tf_helen.Helen(frequency="running", base_optimizer=base)

    model = fit(model_of(written, optimizer()))
    state = whole_state(model)
    for name in ("model.keras", "model.weights.h5"):
        path = tmp_path / name
        model.save(path) if name == "model.keras" else model.save_weights(path)
        other = model_of(read, optimizer())
        other.optimizer.build(other.trainable_variables)
        other.load_weights(path)
        assert_alike(whole_state(other), state, atol=0)
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.get_layer("ids").shards == written
    assert_alike(whole_state(loaded), state, atol=0)


@pytest.mark.parametrize(("written", "read"), some([(4, 1), (1, 7), (4, 7)], fast=[(4, 7)]))
def test_a_training_resumes_with_another_number_of_shards(written, read, tmp_path):
    def optimizer():
        return tf_helen.AdamAR(0.05, alpha=0.01)

    model = model_of(written, optimizer())
    model.train_on_batch(IDS[0], LABELS[0])
    files = StateFiles(str(tmp_path))
    files.write(TrainingState(model).checkpoint(1), epoch=1)  # rows are not up to date
    other = model_of(read, optimizer())
    other.train_on_batch(IDS[1], LABELS[1])  # another state, with a pending decay
    TrainingState(other).load(files.newest()[0])
    assert_alike(whole_state(other)[3:], whole_state(model)[3:], atol=0)
    for each in (model, other):
        each.train_on_batch(IDS[2], LABELS[2])
    tf_helen.settle(model)
    tf_helen.settle(other)
    assert_alike(whole_state(other), whole_state(model))


@pytest.mark.slow
def test_exact_resume_with_another_number_of_shards(tmp_path):
    whole = fit(model_of(1, tf_helen.Helen(0.05)), epochs=2)
    for shards, epochs in ((4, 1), (3, 2)):
        resume = tf_helen.callbacks.ExactResume(tmp_path, verbose=0)
        model = fit(model_of(shards, tf_helen.Helen(0.05)), epochs=epochs, callbacks=[resume])
    assert_alike(whole_state(model), whole_state(whole))


def test_a_state_of_another_table_is_refused(tmp_path):
    model = model_of(4)
    files = StateFiles(str(tmp_path))
    files.write(TrainingState(model).checkpoint(1), epoch=1)
    with pytest.raises(ValueError, match=r"of shape \(22, 4\), the model has shape \(22, 6\)"):
        TrainingState(model_of(3, width=6)).load(files.newest()[0])


def test_exports_serve_the_rows_of_all_shards(tmp_path):
    model = fit(model_of(4, tf_helen.AdamAR(0.05, alpha=0.1)))
    expected = model.predict(IDS[0], verbose=0)
    model.export(tmp_path, verbose=False)
    served = tf.saved_model.load(str(tmp_path))
    np.testing.assert_allclose(served.serve(IDS[0]), expected, atol=1e-6)


def test_row_history_is_that_of_the_whole_table():
    found = []
    for shards in (1, 4):
        layer, optimizer, _, _ = trained(shards, lambda: tf_helen.SGD(track_rows=True))
        found.append(optimizer.row_history(layer.embeddings))
    assert found[0].keys() == found[1].keys() == {"count", "last_step", "idle"}
    assert_alike(*(list(history.values()) for history in found))


@pytest.mark.parametrize("callback", ["MEDA", "MagnitudePruning"])
def test_callbacks_that_set_rows(callback):
    states = []
    for shards in (1, 4):
        made = getattr(tf_helen.callbacks, callback)()
        model = fit(model_of(shards), epochs=2, callbacks=[made])
        states.append(whole_state(model))
    assert_alike(*states)


@pytest.mark.slow
def test_analysis_of_whole_tables():
    found = []
    for shards in (1, 4):
        model = fit(model_of(shards, tf_helen.AdamAR(0.05, alpha=0.1)))
        data = [(IDS[0], LABELS[0])]
        sharpness = tf_helen.analysis.row_sharpness(model, data, "ids", rows="genre")
        norms = tf_helen.analysis.row_norms(tf_helen.analysis.tables_of(model)["ids"])
        zero = np.array(list(tf_helen.analysis.zero_rows(model).values()))
        found.append([norms, zero, sharpness.eigenvalues, sharpness.counts])
    assert_alike(*found)


def test_a_pattern_chooses_all_shards_of_a_table():
    def make():
        return tf_helen.PerVariable({"ids/embeddings": "adagrad", "*": "adam"})

    _, _, one, _ = trained(1, make)
    _, _, many, _ = trained(4, make)
    assert_alike(one, many)


@pytest.mark.parametrize(
    ("shards", "message"),
    [
        (0, "`shards` must be an integer >= 1. Received: shards=0"),
        ("all", "'auto'. Received: shards='all'"),
        (23, "more than the number of rows, 22. Received: shards=23"),
    ],
)
def test_refused_numbers_of_shards(shards, message):
    with pytest.raises(ValueError, match=message):
        tf_helen.layers.Embedding(FIELDS, 4, shards=shards)


def test_auto_is_one_shard_without_parameter_servers():
    layer = tf_helen.layers.Embedding(FIELDS, 4, shards="auto")
    layer.build()
    assert isinstance(layer.embeddings, keras.Variable)
    assert layer.get_config()["shards"] == "auto"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "names"),
    [("servers", KINDS), *(("replicas", [name]) for name in ("AdamAR", "AdaHessian", "Helen"))],
)
def test_shards_on_replicas_and_on_parameter_servers_train_as_one_table(how, names):
    done = subprocess.run(
        [sys.executable, str(PROGRAM), how, *names],
        # Servers in one process need several threads.
        env={**os.environ, "TF_NUM_INTEROP_THREADS": "8", "PYTHONPATH": PATH},
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found.keys() == set(names)
    assert max(found.values()) <= 1e-6, found

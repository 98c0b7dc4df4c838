"""`DynamicEmbedding` in models: equal to a static table, slots of new rows, files, wrong input."""

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
from optimizer_table import ENTRIES, cases
from tensorflow.python.framework import function_def_to_graph

import tf_helen
from tf_helen.layers import Admission, DynamicEmbedding, Eviction

FIELDS = {"user": 12, "item": 8}
RNG = np.random.default_rng(0)
RAW = {"user": RNG.integers(-(2**62), 2**62, 10), "item": RNG.integers(-(2**62), 2**62, 7)}
# Ids appear one after another, and repeat within a batch.
PLACES = np.stack([RNG.zipf(1.3, 24) % 10, RNG.zipf(1.3, 24) % 7], axis=1)
IDS = np.stack([RAW["user"][PLACES[:, 0]], RAW["item"][PLACES[:, 1]]], axis=1)
Y = RNG.integers(0, 2, (24, 1)).astype("float32")


def model_of(layer, optimizer=None, dtype="int64", eager=True, columns=2, **settings):
    inputs = keras.Input((columns,), dtype=dtype)
    x = keras.layers.Flatten()(layer(inputs))
    x = keras.layers.Dense(4, activation="tanh", kernel_initializer="ones")(x)
    model = tf_helen.Model(inputs, keras.layers.Dense(1, kernel_initializer="ones")(x))
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    model.compile(optimizer or tf_helen.Adam(0.05), loss, run_eagerly=eager, **settings)
    return model


def fit(model, ids=IDS, y=Y, batch=6, **settings):
    given = {"batch_size": batch, "shuffle": False, "verbose": 0, **settings}
    return model.fit(ids, y[: len(ids)], **given)


def dynamic(eviction="age", fields=FIELDS, **settings):
    given = {"embeddings_initializer": keras.initializers.RandomUniform(seed=3), **settings}
    return DynamicEmbedding(fields, 4, eviction=eviction, name="embedding", **given)


def state(model):
    """All weights and the optimizer's variables, by the end of their path."""
    return [np.array(v.numpy()) for v in model.trainable_variables + model.optimizer.variables]


def assert_equal_to_static(make, eager, **settings):
    """Trains on a stream without evictions, beside `Embedding` with the rows that it gives."""
    layer = dynamic(**settings)
    model = model_of(layer, make(), eager=eager)
    first = layer.embeddings.numpy()
    fit(model, epochs=2)
    static = tf_helen.layers.Embedding(
        {name: size + 1 for name, size in FIELDS.items()}, 4, name="embedding"
    )
    other = model_of(static, make(), eager=eager)
    static.embeddings.assign(first)
    rows = [layer.rows_of(name, IDS[:, i]) for i, name in enumerate(FIELDS)]
    assert all((row > 0).all() for row in rows)
    fit(other, np.stack(rows, axis=1).astype("int32"), epochs=2)
    for one, two in zip(state(model), state(other), strict=True):
        np.testing.assert_array_equal(one, two)
    assert [s["evicted"] for s in layer.table_state().values()] == [0, 0]


# Without those that only add slots or gradients to another: in `make test-all`.
FAST = ("RowWiseAdagrad", "AdamW by counter", "GroupAdamAR", "Helen", "PerVariable")


@pytest.mark.parametrize("name", cases(ENTRIES, FAST))
def test_without_evictions_it_equals_a_static_table_to_the_bit(name):
    assert_equal_to_static(ENTRIES[name].make, eager=True)


@pytest.mark.parametrize("name", cases(("AdamAR", "Helen(AdamAR)", "AdaHessian"), ["AdamAR"]))
def test_a_traced_step_equals_a_static_table_to_the_bit(name):
    assert_equal_to_static(ENTRIES[name].make, eager=False)


# Without those whose rows depend on the number of steps or on their place in the table.
PLACELESS = {
    name: entry
    for name, entry in ENTRIES.items()
    if not entry.decays and "running" not in name and "Hessian" not in name
}
RESETS = ("Momentum", "RowWiseAdagrad", "AdamW by counter")


@pytest.mark.parametrize("name", cases(PLACELESS, RESETS))
def test_a_row_that_is_given_to_another_id_trains_like_a_new_one(name):
    """Slots and records begin anew: the second id moves as if the first had never been."""
    make = ENTRIES[name].make
    rows = []
    for capacity in (1, 2):
        layer = DynamicEmbedding({"user": capacity}, 4, embeddings_initializer="ones")
        model = model_of(layer, make(), columns=1)
        for other in model.layers[2:]:
            other.trainable = False
        model.compile(make(), model.loss, run_eagerly=True)
        fit(model, np.repeat([[5], [6]], 12, axis=0))
        table = layer.table_state()["user"]
        row = int(layer.rows_of("user", [6])[0])
        assert (row, table["evicted"]) == ((1, 1) if capacity == 1 else (2, 0))
        owner = model.optimizer.record_owner(layer.embeddings)
        slots = owner.slots_of(layer.embeddings)
        rows.append([layer.embeddings.numpy()[row], *(s.numpy()[row] for s in slots.values())])
    for one, two in zip(*rows, strict=True):
        np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("decay_unseen", some([False, True], [True]))
def test_the_clock_of_absent_rows_begins_anew(decay_unseen):
    layer = DynamicEmbedding({"user": 1}, 4, embeddings_initializer="ones")
    optimizer = tf_helen.AdamAR(0.0, alpha=0.1, decay_unseen=decay_unseen, track_rows=True)
    model = model_of(layer, optimizer, columns=1)
    fit(model, np.repeat([[5]], 12, axis=0))
    fit(model, np.array([[6]]))
    history = optimizer.row_history(layer.embeddings)
    assert history["count"][1] == 1
    assert history["idle"][1] == 0
    tf_helen.settle(model)
    np.testing.assert_array_equal(layer.embeddings.numpy()[1], np.ones(4))  # has not been absent


@pytest.mark.parametrize("name", cases(("SAM", "Helen(AdamAR)"), ["SAM"]))
def test_the_second_pass_admits_nothing(name):
    layer = DynamicEmbedding({"user": 3}, 4, admission=Admission(min_count=2))
    model = model_of(layer, ENTRIES[name].make(), columns=1)
    fit(model, np.array([[5], [6], [6], [7]]), batch=4)
    state = layer.table_state()["user"]
    assert (state["id"].tolist(), state["count"].tolist()) == ([6], [2])
    assert (state["admitted"], state["refused"]) == (1, 2)


def test_inference_and_frozen_layers_admit_nothing():
    layer = dynamic()
    model = model_of(layer)
    model.predict(IDS, verbose=0)
    model.evaluate(IDS, Y, verbose=0)
    layer.trainable = False
    layer(IDS, training=True)
    assert all(len(s["id"]) == 0 for s in layer.table_state().values())
    np.testing.assert_array_equal(layer(IDS)[:, 1], layer.embeddings.numpy()[[13] * 24])


def test_two_calls_in_one_step_do_not_take_each_others_rows():
    layer = DynamicEmbedding(2, 2)
    optimizer = tf_helen.SGD(1.0)
    layer.build()
    optimizer.build(layer.trainable_variables)
    first, second = np.array([1, 2]), np.array([3, 4])
    optimizer.minimize(
        lambda: (
            tf.reduce_sum(layer(first, training=True)) + tf.reduce_sum(layer(second, training=True))
        ),
        layer.trainable_variables,
    )
    state = layer.table_state()["ids"]
    assert (state["id"].tolist(), state["refused"]) == ([1, 2], 2)


def test_multi_valued_and_shared_fields():
    layer = DynamicEmbedding(
        {"history": 5, "item": 5}, 2, lengths={"history": 3}, shared={"history": "item"}
    )
    ids = np.array([[70, 80, -1, 90], [-1, -1, -1, 70]])
    trained = layer(ids, training=True)
    texts = DynamicEmbedding(
        {"history": 5, "item": 5}, 2, id_dtype="string", lengths={"history": 3}
    )
    found = texts(np.where(ids < 0, "", ids.astype(str)), training=True)
    assert [s["id"].tolist() for s in texts.table_state().values()] == [
        [b"70", b"80"],
        [b"90", b"70"],
    ]
    np.testing.assert_array_equal(found[1, 0], [0, 0])
    table = layer.embeddings.numpy()
    assert (
        layer.rows_of("history", [70, 80, 90, -1]).tolist()
        == layer.rows_of("item", [70, 80, 90, -1]).tolist()
    )
    a, b, c = (table[layer.rows_of("item", [i])[0]] for i in (70, 80, 90))
    np.testing.assert_allclose(trained[0, 0], (a + b) / 2, rtol=1e-6)
    np.testing.assert_array_equal(trained[:, 1], [c, a])
    np.testing.assert_array_equal(trained[1, 0], [0, 0])
    assert layer.table_state()["item"]["id"].tolist() != []


def test_times_may_be_an_input_of_a_model():
    inputs = keras.Input((1,), dtype="int64"), keras.Input((), dtype="int64")
    layer = DynamicEmbedding({"user": 2}, 2, eviction=Eviction("age", unit="time"))
    x = keras.layers.Flatten()(layer(inputs[0], times=inputs[1]))
    model = tf_helen.Model(inputs, keras.layers.Dense(1)(x))
    model.compile(tf_helen.Adam(), "mse", run_eagerly=True)
    ids, times = np.array([[1], [2], [1], [3]]), np.array([10, 20, 30, 40])
    model.fit((ids, times), np.ones((4, 1)), batch_size=1, shuffle=False, verbose=0)
    state = layer.table_state()["user"]
    assert dict(zip(state["id"].tolist(), state["last_time"].tolist(), strict=True)) == {
        1: 30,
        3: 40,
    }


STRINGS = IDS.astype(str).astype(object)


@pytest.mark.parametrize("dtype", some(["int64", "string"], ["string"]))
def test_keras_files_and_exports_hold_the_ids(tmp_path, dtype):
    keras.utils.set_random_seed(0)
    layer = dynamic(Eviction("age"), {"user": 5, "item": 4}, id_dtype=dtype)
    model = model_of(layer, tf_helen.AdamAR(0.05), dtype=dtype)
    given = tf.constant(STRINGS) if dtype == "string" else IDS
    fit(model, given)
    unknown = tf.constant([["no\0", ""]]) if dtype == "string" else np.array([[1, -1]])
    asked = tf.concat([given[-10:], unknown], 0)
    expected = model.predict(asked, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded.predict(asked, verbose=0), expected)
    fit(loaded, given)
    model.export(tmp_path / "saved", verbose=False)
    fit(model, given)
    for one, two in zip(state(loaded), state(model), strict=True):
        np.testing.assert_array_equal(one, two)
    served = tf.saved_model.load(tmp_path / "saved")
    np.testing.assert_allclose(served.serve(asked), expected, rtol=1e-6)


def test_weights_of_a_capacity_load_into_another(tmp_path):
    layer = dynamic("count", admission=Admission(min_count=2))
    model = model_of(layer, tf_helen.AdamAR(0.05))
    fit(model)
    model.save_weights(tmp_path / "w.weights.h5")
    model.save(tmp_path / "m.keras")
    larger = dynamic("count", {"user": 24, "item": 16}, admission=Admission(min_count=2))
    other = model_of(larger, tf_helen.AdamAR(0.05))
    other.load_weights(tmp_path / "w.weights.h5")
    np.testing.assert_array_equal(other.predict(IDS, verbose=0), model.predict(IDS, verbose=0))
    keras.saving.load_model(tmp_path / "m.keras")
    smaller = model_of(dynamic("count", {"user": 2, "item": 2}, admission=Admission(min_count=2)))
    with pytest.raises(ValueError, match="has the capacities \\[2, 2\\], and the file has ids in"):
        smaller.load_weights(tmp_path / "w.weights.h5")


def test_a_checkpoint_of_tensorflow_restores_ids(tmp_path):
    first = model_of(dynamic())
    fit(first)
    path = tf.train.Checkpoint(model=first).save(str(tmp_path / "c"))
    second = model_of(dynamic())
    fit(second, IDS[::-1])
    tf.train.Checkpoint(model=second).restore(path).assert_existing_objects_matched()
    np.testing.assert_array_equal(first.predict(IDS, verbose=0), second.predict(IDS, verbose=0))


@pytest.mark.slow
def test_set_weights_restores_ids():
    first, second = model_of(dynamic()), model_of(dynamic())
    fit(first)
    fit(second, IDS[::-1])
    second.set_weights(first.get_weights())
    np.testing.assert_array_equal(first.predict(IDS, verbose=0), second.predict(IDS, verbose=0))


WRONG = [
    ({"capacity": 0}, "`capacity\\['ids'\\]` must be an integer >= 1. Received.*=0"),
    ({"capacity": {}}, "`capacity` must name at least one field"),
    ({"id_dtype": "int32"}, "`id_dtype` must be one of 'int64', 'string'.*int32"),
    ({"eviction": "oldest"}, "`policy` must be one of 'age', 'count', 'l2', 'score'.*oldest"),
    ({"eviction": "score"}, "`decay` is needed by the policy 'score'"),
    ({"eviction": {"policy": "age", "decay": 0.5}}, "`decay` is needed.*policy='age', decay=0.5"),
    ({"eviction": {"policy": "score", "decay": 1.5}}, "`decay` must be in \\(0, 1\\).*1.5"),
    ({"eviction": {"policy": "age", "unit": "days"}}, "`unit` must be one of 'steps', 'time'"),
    ({"eviction": {"sample": 0}}, "`sample` must be an integer >= 1"),
    ({"admission": {"min_count": 300}}, "`min_count` must be in \\[1, 255\\].*300"),
    ({"admission": {"probability": 0.0}}, "`probability` must be in \\(0, 1\\].*0.0"),
    ({"admission": {"min_count": 2, "probability": 0.5}}, "Use either"),
    (
        {"embeddings_initializer": "glorot_uniform"},
        "draws rows again.*GlorotUniform.*eviction=None",
    ),
]


@pytest.mark.parametrize(("arguments", "message"), WRONG)
def test_wrong_arguments_raise_an_error(arguments, message):
    with pytest.raises(ValueError, match=message):
        DynamicEmbedding(**{"capacity": 3, "output_dim": 2, **arguments})


@pytest.mark.parametrize("argument", ["admission", "eviction"])
def test_a_policy_of_another_type_raises_an_error(argument):
    with pytest.raises(TypeError, match=f"`{argument}` must be a `tf_helen.layers"):
        DynamicEmbedding(3, 2, **{argument: 5})


@pytest.mark.parametrize(
    ("dtype", "ids"),
    [
        ("int64", np.array([["a"]])),
        ("int64", np.array([[1.0]])),
        ("int64", np.array([[2**63]], np.uint64)),
        ("string", np.array([[1]])),
        ("int64", tf.constant([["a"]])),
        ("string", tf.constant([[1]])),
    ],
)
def test_ids_of_another_dtype_raise_an_error(dtype, ids):
    layer = DynamicEmbedding(3, 2, id_dtype=dtype)
    with pytest.raises(TypeError, match=f"takes ids of the dtype {dtype}. Received ids of the"):
        layer(ids)


def test_an_optimizer_of_keras_cannot_train_a_table_with_evictions():
    model = model_of(dynamic(), keras.optimizers.Adam())
    with pytest.raises(TypeError, match=r"Adam of Keras cannot reset the slots.*eviction=None"):
        fit(model)
    model = model_of(dynamic(None), keras.optimizers.Adam())
    fit(model)


def test_without_an_optimizer_no_row_is_taken():
    layer = DynamicEmbedding(2, 2)
    layer(np.array([1, 2]), training=True)
    layer(np.array([3]), training=True)
    assert layer.table_state()["ids"]["id"].tolist() == [1, 2]


def test_a_function_that_was_traced_before_another_optimizer_raises_an_error():
    layer = DynamicEmbedding(2, 2)
    layer.build()
    first = tf_helen.SGD(0.0)
    first.build(layer.trainable_variables)
    call = tf.function(lambda ids: layer(ids, training=True))
    call(tf.constant([1, 2], tf.int64))
    gradient = tf.IndexedSlices(tf.zeros([1, 2]), tf.constant([1]))
    first.apply([gradient], layer.trainable_variables)
    second = tf_helen.Adam()
    second.build(layer.trainable_variables)
    with pytest.raises(tf.errors.InvalidArgumentError, match="traced before another optimizer"):
        call(tf.constant([3, 4], tf.int64))


ROOT = Path(__file__).parents[3]


def run_dynamic(*arguments):
    """Runs `tests/support/dynamic_runs.py`, and returns what it prints."""
    paths = [str(ROOT), str(ROOT / "tests" / "support"), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        [sys.executable, str(ROOT / "tests" / "support" / "dynamic_runs.py"), *arguments],
        # Servers in one process need several threads.
        env={**os.environ, "TF_NUM_INTEROP_THREADS": "8", "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
def test_workers_that_admit_ids_at_the_same_time_give_each_row_to_one_id():
    for field in run_dynamic("contended", "Adam").values():
        assert field["ids"] == field["distinct"] > 10
        assert field["evicted"] > 0
        assert field["others"] == 0  # an evicted id is not found
        assert field["as_found"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "name"),
    [
        *(("replicas", name) for name in ("Adam", "Helen(AdamAR)", "AdaHessian")),
        ("servers", "AdamAR"),
    ],
)
def test_replicas_and_parameter_servers_give_the_same_rows_to_ids(how, name):
    found = run_dynamic(how, name)
    assert found["one"] == found["other"]
    assert found["one"]["user"]["evicted"] > 0
    assert found["difference"] <= 1e-6


@pytest.mark.parametrize("dtype", ["int64", "string"])
def test_it_may_be_the_first_layer_of_a_sequential_model(dtype):
    layer = DynamicEmbedding({"user": 3}, 2, id_dtype=dtype)
    model = tf_helen.Sequential([layer, keras.layers.Flatten(), keras.layers.Dense(1)])
    model.compile(tf_helen.Adam(), "mse", run_eagerly=True)
    ids = np.array([[2**60], [5]])
    model.fit(
        tf.constant(ids.astype(str)) if dtype == "string" else ids, np.ones((2, 1)), verbose=0
    )
    assert len(layer.table_state()["user"]["id"]) == 2


@pytest.mark.slow
def test_only_a_new_index_reads_whole_tables():
    """The index is made after a file was loaded; no other operation of a step has all rows."""
    rows, inputs = 1000, keras.Input((1,), dtype="int64")
    layer = DynamicEmbedding({"user": rows - 1}, 4, admission=Admission(min_count=2))
    model = tf_helen.Model(inputs, keras.layers.Dense(1)(keras.layers.Flatten()(layer(inputs))))
    model.compile(tf_helen.Helen(base_optimizer="adamar", frequency="running"), "mse")
    model.optimizer.build(model.trainable_variables)
    step = tf.function(lambda x, y: model.train_step((x, y)))
    specs = tf.TensorSpec([8, 1], tf.int64), tf.TensorSpec([8, 1])
    graph = step.get_concrete_function(*specs).graph
    branches = graph.as_graph_def().library.function
    graphs = [graph, *map(function_def_to_graph.function_def_to_graph, branches)]
    large = {
        "LookupTableImportV2" in {operation.type for operation in each.get_operations()}
        for each in graphs
        for operation in each.get_operations()
        for output in operation.outputs
        if output.shape.rank and output.shape[0] == rows
    }
    assert False not in large


def test_counts_by_id_do_not_fit_its_rows():
    layer = dynamic()
    counts = {name: np.ones(size + 1) for name, size in FIELDS.items()}
    model = model_of(layer, tf_helen.Helen(0.01, frequency=counts))
    with pytest.raises(ValueError, match=r"are given to ids in training.*frequency='running'"):
        fit(model)
    alphas = {name: np.zeros(size + 1) for name, size in FIELDS.items()}
    with pytest.raises(ValueError, match=r"`alpha\['user'\]` must be a number"):
        fit(model_of(dynamic(), tf_helen.AdamAR(0.01, alpha=alphas)))
    with pytest.raises(ValueError, match="belong to the ids that were admitted"):
        tf_helen.analysis.table_counts(layer, counts)
    assert tf_helen.analysis.table_counts(layer, np.arange(22)).tolist() == list(range(22))

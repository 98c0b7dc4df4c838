"""Every optimizer through `fit`: equal to one-hot inputs, resumed bit for bit, skipped whole."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from optimizer_table import ENTRIES, KINDS, cases

import tf_helen
from tf_helen.training.multi_pass import seed_states

every_kind = pytest.mark.parametrize("name", cases())
# Tracing a step takes longer than a short training: what does not depend on it runs eagerly, but
# for a few entries that between them have every kind of step.
TRACED = ("AdaHessian", "Helen(AdamAR)", "PerVariable")
every_traced_kind = pytest.mark.parametrize("name", cases(ENTRIES, TRACED))
FIELDS = {"user": 5, "item": 4}
ROWS = sum(FIELDS.values())


def table_batches(batches=20, batch=40, seed=0):
    """Ids with duplicates, every id in every batch equally often, and labels."""
    rng = np.random.default_rng(seed)
    ids = [
        np.stack([rng.permutation(np.arange(batch) % n) for n in FIELDS.values()], axis=1)
        for _ in range(batches)
    ]
    ids = np.concatenate(ids).astype(np.int32)
    labels = rng.integers(0, 2, (len(ids), 1)).astype(np.float32)
    return ids, labels


def embedding_model(optimizer, dim=4, tower=True, **compile_arguments):
    inputs = keras.Input((2,), dtype="int32")
    layer = tf_helen.layers.Embedding(FIELDS, dim, name="embedding")
    x = keras.layers.Flatten()(layer(inputs))
    return _finish(inputs, x, optimizer, tower, **compile_arguments)


def one_hot_model(optimizer, dim=4, tower=True, **compile_arguments):
    """The same function of one-hot inputs `[batch, 2, ROWS]`: one product with the table."""
    inputs = keras.Input((2, ROWS))
    x = keras.layers.Dense(dim, use_bias=False, name="embedding")(inputs)
    return _finish(inputs, keras.layers.Flatten()(x), optimizer, tower, **compile_arguments)


def _finish(inputs, x, optimizer, tower, **compile_arguments):
    if tower:
        x = keras.layers.Dense(8, activation="tanh", name="hidden")(x)
        x = keras.layers.Dense(1, name="logit")(x)
    else:
        x = keras.layers.Lambda(lambda x: tf.reduce_sum(x, -1, keepdims=True))(x)
    model = tf_helen.Model(inputs, x)
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    model.compile(optimizer, loss, **compile_arguments)
    return model


def one_hot(ids):
    rows = ids + np.array([0, FIELDS["user"]])
    return np.eye(ROWS, dtype=np.float32)[rows]


@every_kind
def test_fit_equals_fit_on_one_hot_inputs(name):
    entry = ENTRIES[name]
    # Helen treats tables and dense weights apart, so there the table is all there is.
    tower = entry.one_hot is None
    keras.utils.set_random_seed(0)
    make, eagerly = entry.one_hot or entry.make, name not in TRACED
    sparse = embedding_model(make(learning_rate=0.02), tower=tower, run_eagerly=eagerly)
    dense = one_hot_model(make(learning_rate=0.02), tower=tower, run_eagerly=eagerly)
    dense.set_weights(sparse.get_weights())
    if name.startswith("Helen"):
        # the dense twin has one norm for all fields, so here there is one field
        dense, sparse = _single_field(entry, dense=True), _single_field(entry, dense=False)
        dense.set_weights(sparse.get_weights())
    ids, labels = table_batches(10)
    start = sparse.get_weights()
    if name.startswith("Helen"):
        ids = ids[:, :1]
        inputs = np.eye(FIELDS["user"], dtype=np.float32)[ids]
    else:
        inputs = one_hot(ids)
    sparse.fit(ids, labels, batch_size=40, epochs=1, shuffle=False, verbose=0)
    dense.fit(inputs, labels, batch_size=40, epochs=1, shuffle=False, verbose=0)
    for one, other, first in zip(sparse.get_weights(), dense.get_weights(), start, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)
        if not name.startswith("Helen"):
            assert np.abs(one - first).max() > 2e-5


def _single_field(entry, dense):
    keras.utils.set_random_seed(0)
    size = FIELDS["user"]
    if dense:
        inputs = keras.Input((1, size))
        x = keras.layers.Dense(4, use_bias=False)(inputs)
    else:
        inputs = keras.Input((1,), dtype="int32")
        x = tf_helen.layers.Embedding({"user": size}, 4)(inputs)
    x = keras.layers.Flatten()(x)
    return _finish(inputs, x, entry.one_hot(learning_rate=0.01), tower=False)


def sparse_batches(rows=96, seed=3):
    """Ids of which most are absent from most batches."""
    rng = np.random.default_rng(seed)
    ids = np.stack([rng.zipf(1.5, rows) % size for size in FIELDS.values()], axis=1)
    return ids.astype(np.int32), rng.integers(0, 2, (rows, 1)).astype(np.float32)


def rich_model(name):
    """Dropout and batch norm, whose state must be resumed too."""
    inputs = keras.Input((2,), dtype="int32")
    x = keras.layers.Flatten()(tf_helen.layers.Embedding(FIELDS, 4)(inputs))
    x = keras.layers.Dense(8, activation="relu")(x)
    x = keras.layers.Dropout(0.3)(keras.layers.BatchNormalization()(x))
    model = tf_helen.Model(inputs, keras.layers.Dense(1)(x))
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    model.compile(ENTRIES[name].make(), loss, run_eagerly=name not in TRACED)
    return model


def train(model, ids, labels):
    for start in range(0, len(ids), 16):
        model.train_on_batch(ids[start : start + 16], labels[start : start + 16])


def everything(model):
    model.optimizer.finalize_variable_values(model.trainable_variables)
    return [v.numpy() for v in model.variables] + [v.numpy() for v in model.optimizer.variables]


def assert_bit_equal(one, other):
    assert len(one) == len(other)
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)


def checkpoint(model):
    # Keras leaves the state of dropout out of a checkpoint of a model.
    seeds = [v.value for v in seed_states(model)]
    return tf.train.Checkpoint(model=model, optimizer=model.optimizer, seeds=seeds)


@every_traced_kind
def test_checkpoint_in_the_middle_resumes_bit_for_bit(name, tmp_path):
    ids, labels = sparse_batches()
    keras.utils.set_random_seed(1)
    whole = rich_model(name)
    start = whole.get_weights()
    train(whole, ids, labels)

    keras.utils.set_random_seed(1)
    first = rich_model(name)
    first.set_weights(start)
    train(first, ids[:48], labels[:48])
    path = checkpoint(first).write(str(tmp_path / "ck"))
    keras.utils.set_random_seed(99)
    second = rich_model(name)
    second.optimizer.build(second.trainable_variables)
    checkpoint(second).read(path).assert_consumed()
    train(second, ids[48:], labels[48:])
    assert_bit_equal(everything(second), everything(whole))


@every_traced_kind
def test_keras_file_in_the_middle_resumes_bit_for_bit(name, tmp_path):
    ids, labels = sparse_batches()
    keras.utils.set_random_seed(1)
    model = rich_model(name)
    train(model, ids[:48], labels[:48])
    model.save(tmp_path / "m.keras")
    loaded = keras.saving.load_model(tmp_path / "m.keras")
    assert type(loaded.optimizer) is type(model.optimizer)
    train(model, ids[48:], labels[48:])
    train(loaded, ids[48:], labels[48:])
    assert_bit_equal(everything(loaded), everything(model))


# What an epoch's end writes into tables: nothing, decayed rows, those of the base.
AT_THE_END = ("Adam", "AdamAR", "Helen(AdamAR)")


@pytest.mark.parametrize("name", cases(fast=AT_THE_END))
def test_keras_file_between_epochs_equals_not_stopping(name, tmp_path):
    """The uninterrupted run does not save; the decay is applied at the end of each epoch."""
    ids, labels = sparse_batches(32)
    results = []
    for stop in (False, True):
        keras.utils.set_random_seed(1)
        model = rich_model(name)
        model.fit(ids, labels, batch_size=16, shuffle=False, verbose=0)
        if stop:
            model.save(tmp_path / "m.keras")
            model = keras.saving.load_model(tmp_path / "m.keras")
        model.fit(ids, labels, batch_size=16, shuffle=False, verbose=0)
        results.append(everything(model))
    assert_bit_equal(*results)


# Loss scaling is the longer way; the shorter one needs no more than the kinds of step.
MIXED = [("mixed_float16", name) for name in ENTRIES] + [("mixed_bfloat16", n) for n in TRACED]


FAST = [(p, n) for p, n in MIXED if n in (KINDS if p == "mixed_float16" else TRACED)]


@pytest.mark.parametrize("policy,name", cases(MIXED, FAST))
def test_mixed_precision_trains(policy, name):
    ids, labels = sparse_batches(512)
    labels = (ids[:, :1] % 2).astype(np.float32)
    keras.config.set_dtype_policy(policy)
    try:
        keras.utils.set_random_seed(0)
        model = embedding_model(ENTRIES[name].make())
        history = model.fit(ids, labels, batch_size=32, epochs=3, verbose=0).history["loss"]
        assert model.get_layer("embedding").embeddings.dtype == "float32"
    finally:
        keras.config.set_dtype_policy("float32")
    assert history[-1] < history[0]
    scaled = isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    assert scaled == (policy == "mixed_float16")


@every_kind
def test_a_non_finite_gradient_changes_nothing_under_loss_scaling(name):
    ids, labels = sparse_batches(64)
    keras.utils.set_random_seed(0)
    scaler = keras.optimizers.LossScaleOptimizer(ENTRIES[name].make())
    model = embedding_model(scaler, run_eagerly=name not in TRACED)
    train(model, ids, labels)  # not `fit`: tables are in the middle of an epoch
    variables = [*model.variables, *scaler.inner_optimizer.variables]
    before = [v.numpy().copy() for v in variables]
    scale = float(scaler.dynamic_scale.numpy())
    for bad in (np.nan, np.inf):
        model.train_on_batch(ids[:16], np.full_like(labels[:16], bad))
    metrics = {id(v) for v in model.metrics_variables}
    for variable, value in zip(variables, before, strict=True):
        if id(variable) not in metrics:
            np.testing.assert_array_equal(variable.numpy(), value, err_msg=variable.path)
    assert float(scaler.dynamic_scale.numpy()) == scale / 4
    model.train_on_batch(ids[:16], labels[:16])
    assert int(scaler.iterations.numpy()) == 5


@pytest.mark.parametrize("name", [n for n, e in ENTRIES.items() if e.multi_pass])
def test_a_plain_keras_model_raises_and_names_the_remedies(name):
    ids, labels = sparse_batches(16)
    model = keras.Sequential([keras.Input((2,), dtype="int32")])
    model.add(tf_helen.layers.Embedding(FIELDS, 2))
    model.add(keras.layers.Flatten())
    model.add(keras.layers.Dense(1))
    model.compile(ENTRIES[name].make(), "mse", run_eagerly=True)
    with pytest.raises(RuntimeError, match=r"tf_helen\.Model.*tf_helen\.enable"):
        model.fit(ids, labels, verbose=0)
    tf_helen.enable(model)
    model.compile(ENTRIES[name].make(), "mse", run_eagerly=True)
    model.fit(ids, labels, verbose=0)


@every_traced_kind
def test_weights_from_outside_are_never_stale(name, tmp_path):
    """What a lookup reads, `get_weights`, files and exports agree in the middle of an epoch."""
    ids, labels = sparse_batches(48)
    keras.utils.set_random_seed(0)
    model = embedding_model(ENTRIES[name].make(), run_eagerly=name not in TRACED)
    layer = model.get_layer("embedding")
    grid = np.stack([np.arange(5), np.arange(5) % 4], axis=1).astype(np.int32)
    model.predict_on_batch(grid)  # traced before there is an optimizer state
    train(model, ids, labels)
    logits = np.array(model(grid))
    read = np.array(layer(grid))
    np.testing.assert_allclose(model.predict_on_batch(grid), logits, atol=1e-6)
    table = model.get_weights()[0]
    np.testing.assert_allclose(table[grid + np.array([0, 5])], read, atol=1e-6)
    train(model, ids, labels)
    logits = np.array(model(grid))
    model.save(tmp_path / "m.keras")
    loaded = keras.saving.load_model(tmp_path / "m.keras", compile=False)
    np.testing.assert_allclose(np.array(loaded(grid)), logits, atol=1e-6)
    train(model, ids, labels)
    logits = np.array(model(grid))
    model.export(tmp_path / "saved", verbose=False)
    served = tf.saved_model.load(str(tmp_path / "saved"))
    np.testing.assert_allclose(served.serve(grid), logits, atol=1e-6)


@every_kind
def test_weights_set_in_the_middle_of_an_epoch_stay(name, tmp_path):
    ids, labels = sparse_batches(48)
    model = embedding_model(ENTRIES[name].make(), run_eagerly=name not in TRACED)
    model.save_weights(tmp_path / "start.weights.h5")
    start = model.get_weights()
    for put_back in (
        lambda: model.set_weights(start),
        lambda: model.load_weights(tmp_path / "start.weights.h5"),
    ):
        train(model, ids, labels)
        put_back()
        assert_bit_equal(model.get_weights(), start)


@pytest.mark.parametrize("other", [tf_helen.Adam, keras.optimizers.SGD, tf_helen.SAM])
def test_the_next_optimizer_is_free_of_the_decay_of_the_last(other):
    ids, labels = sparse_batches(48)
    model = embedding_model(tf_helen.AdamAR(0.05, alpha=1.0))
    train(model, ids, labels)
    model.compile(other(0.05), "mse")
    train(model, ids, labels)
    grid = np.stack([np.arange(5), np.arange(5) % 4], axis=1)
    read = np.array(model.get_layer("embedding")(grid))
    table = model.get_layer("embedding").embeddings.numpy()
    np.testing.assert_array_equal(read, table[grid + np.array([0, 5])])


def test_settling_a_settled_table_costs_nothing(monkeypatch):
    ids, labels = sparse_batches(48)
    optimizer = tf_helen.AdamAR(0.05)
    model = embedding_model(optimizer)
    train(model, ids, labels)
    sweeps = []
    absent = type(optimizer.absent_rows)
    sweep = absent._sweep
    monkeypatch.setattr(absent, "_sweep", lambda *args: (sweeps.append(1), sweep(*args))[1])
    model.predict_on_batch(ids)
    model.predict_on_batch(ids)
    assert len(sweeps) == 1
    train(model, ids[:16], labels[:16])
    model.predict_on_batch(ids)
    assert len(sweeps) == 2


def test_stock_optimizers_train_as_under_keras():
    ids, labels = table_batches(5)
    weights = []
    for cls in (keras.Model, tf_helen.Model):
        keras.utils.set_random_seed(0)
        inputs = keras.Input((2, ROWS))
        model = cls(inputs, keras.layers.Dense(1)(keras.layers.Flatten()(inputs)))
        model.compile(keras.optimizers.Adam(0.01), "mse", metrics=["mae"])
        history = model.fit(one_hot(ids), labels, batch_size=40, shuffle=False, verbose=0)
        weights.append([*model.get_weights(), history.history["loss"], history.history["mae"]])
    assert_bit_equal(*weights)

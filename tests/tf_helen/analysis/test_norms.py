"""Norms of rows by bucket, zero rows, and the Rademacher bound."""

import keras
import numpy as np
import pytest

import tf_helen
import zoo
from tf_helen import analysis


def tiny(width=4, optimizer=None):
    inputs = keras.Input((2,), dtype="int32")
    layer = tf_helen.layers.Embedding({"user": 6, "item": 4}, width, name="ids")
    x = keras.layers.Dense(3, activation="relu")(keras.layers.Flatten()(layer(inputs)))
    model = tf_helen.Model(inputs, keras.layers.Dense(1)(x))
    model.compile(optimizer or "sgd", keras.losses.BinaryCrossentropy(from_logits=True))
    return model, layer


def test_norms_by_bucket_are_those_of_numpy():
    rng = np.random.default_rng(0)
    table, counts = rng.normal(size=(50, 4)), rng.integers(0, 200, 50)
    buckets = analysis.frequency_buckets(counts, edges=[1, 5, 50, 1000])
    norms = np.linalg.norm(table, axis=1)
    by_buckets = analysis.embedding_norms(table, buckets)
    by_numbers = analysis.embedding_norms(table, buckets.assignment)
    for bucket in range(4):
        inside = norms[buckets.assignment == bucket]
        for found in (by_buckets, by_numbers):
            assert found["rows"][bucket] == len(inside)
            assert found["sum"][bucket] == pytest.approx(inside.sum())
            assert found["mean"][bucket] == pytest.approx(inside.mean() if len(inside) else 0.0)
    assert len(by_buckets["sum"]) == 5 and by_buckets["sum"][4] == by_buckets["mean"][4] == 0
    with pytest.raises(ValueError, match=r"\[50\].*\[3\]"):
        analysis.embedding_norms(table, [0, 1, 1])


def test_a_layer_a_variable_and_an_array_have_the_same_norms(monkeypatch):
    monkeypatch.setattr("tf_helen.analysis.tables.CHUNK_ROWS", 3)  # several chunks
    _, layer = tiny()
    expected = np.linalg.norm(layer.embeddings.numpy(), axis=1)
    for table in (layer, layer.embeddings, layer.embeddings.numpy()):
        np.testing.assert_allclose(analysis.row_norms(table), expected, rtol=1e-6)


def test_a_pending_decay_is_applied_first():
    model, layer = tiny(optimizer=tf_helen.AdamAR(0.0, alpha=0.2))
    before = analysis.row_norms(layer)
    ids, labels = np.array([[1, 2], [1, 3]]), np.array([[0.0], [1.0]])
    for _ in range(3):
        model.train_on_batch(ids, labels)
    after = analysis.row_norms(layer)
    left = (1 - 0.2) * (1 - 0.4)  # a row that was never in the batch
    np.testing.assert_allclose(after[0], left * before[0], rtol=1e-5)


def test_zero_rows_per_table(monkeypatch):
    monkeypatch.setattr("tf_helen.analysis.tables.CHUNK_ROWS", 4)
    schema = zoo.Schema("s", [zoo.Categorical("user", 6), zoo.Categorical("item", 4)])
    model = zoo.DeepFM(schema, embedding_dim=2, hidden_units=(4,))
    table = analysis.tables_of(model)["embedding/table"].embeddings
    rows = table.numpy()
    rows[[0, 5, 9]] = 0
    rows[1] = [0, 1e-30]  # not zero
    table.assign(rows)
    assert analysis.zero_rows(model) == {"embedding/table": 0.3, "linear/weights/table": 1.0}


def test_the_bound_is_the_formula():
    model, layer = tiny()
    kernels = [w for w in model.get_weights()[1:] if w.ndim == 2]
    product = np.prod([np.linalg.norm(kernel) for kernel in kernels])
    squares = np.square(layer.embeddings.numpy()).sum()
    depth = np.sqrt(2 * np.log(2)) * 2 + 1
    expected = np.sqrt(2 / 500) * product * np.sqrt(squares) * depth
    assert analysis.rademacher_bound(model, 500) == pytest.approx(expected, rel=1e-6)
    # As the embeddings, so the bound.
    layer.embeddings.assign(3 * layer.embeddings.numpy())
    assert analysis.rademacher_bound(model, 500) == pytest.approx(3 * expected, rel=1e-6)
    assert analysis.rademacher_bound(model, 2000) == pytest.approx(1.5 * expected, rel=1e-6)
    assert analysis.rademacher_bound(model, 500, fields=8) == pytest.approx(6 * expected, rel=1e-6)
    last = analysis.rademacher_bound(model, 500, layers=model.layers[-1:])
    depth_of_one = np.sqrt(2 * np.log(2)) + 1
    by_hand = 3 * expected * depth_of_one / depth / np.linalg.norm(kernels[0])
    assert last == pytest.approx(by_hand, rel=1e-6)


def test_fields_of_several_tables_count_once():
    schema = zoo.Schema("s", [zoo.Categorical("user", 6), zoo.Categorical("item", 4)])
    model = zoo.DeepFM(schema, embedding_dim=2, hidden_units=(4,))
    assert analysis.rademacher_bound(model, 10) == pytest.approx(
        analysis.rademacher_bound(model, 10, fields=2)
    )


def test_bounds_that_do_not_exist():
    inputs = keras.Input((1,), dtype="int32")
    x = keras.layers.Flatten()(tf_helen.layers.Embedding({"user": 3}, 1)(inputs))
    with pytest.raises(ValueError, match="needs dense layers"):
        analysis.rademacher_bound(keras.Model(inputs, x), 10)
    with pytest.raises(ValueError, match="`samples`"):
        analysis.rademacher_bound(tiny()[0], 0)


def test_tables_are_found_by_name():
    schema = zoo.Schema("s", [zoo.Categorical("user", 6), zoo.Categorical("item", 4)])
    model = zoo.DeepFM(schema, embedding_dim=2, hidden_units=(4,))
    tables = analysis.tables_of(model)
    data = [({"ids": np.array([[0, 1]])}, np.array([[1.0]]))]
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    by_part = analysis.gradient_norms(model, data, "weights/table", loss=loss)
    by_layer = analysis.gradient_norms(model, data, tables["linear/weights/table"], loss=loss)
    np.testing.assert_allclose(by_part, by_layer)
    with pytest.raises(ValueError, match=r"names 2 tables.*embedding/table, linear/weights/table"):
        analysis.gradient_norms(model, data, "table", loss=loss)
    other = tf_helen.layers.Embedding({"user": 3}, 1)
    other.build()
    with pytest.raises(ValueError, match="has 0 tables of the model"):
        analysis.gradient_norms(model, data, other, loss=loss)
    with pytest.raises(ValueError, match="has 2 tables of the model"):
        analysis.gradient_norms(model, data, model, loss=loss)

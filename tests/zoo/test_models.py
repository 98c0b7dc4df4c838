"""Two models in detail: formulas against NumPy, symmetries, serialization, errors."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from click_features import features_of

import tf_helen
import zoo

BOTH = zoo.Schema(
    "both",
    [
        zoo.Categorical("user", 10),
        zoo.Categorical("tags", 6, length=3),
        zoo.Categorical("words", 7, length=2, pooling="sum"),
    ],
    [zoo.Numeric("price", mean=2.0, std=0.5), zoo.Numeric("age", mean=-1.0, std=3.0)],
)
IDS_ONLY = zoo.Schema("ids", [zoo.Categorical("user", 10), zoo.Categorical("item", 8)])
NUMBERS_ONLY = zoo.Schema("numbers", [], [zoo.Numeric("a"), zoo.Numeric("b", 1.0, 2.0)])
SCHEMAS = {"both": BOTH, "ids": IDS_ONLY, "numbers": NUMBERS_ONLY}


def randomized(model, seed=1):
    """Weights far from their initial values, so that every term of a formula counts."""
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        drawn = rng.normal(0, 0.5, weight.shape)
        # A variance is positive.
        weight.assign(abs(drawn) + 0.5 if weight.path.endswith("moving_variance") else drawn)
    return model


def numpy_embedded(schema, features, table, vectors):
    """[B, fields, d], from the definition, row by row and value by value."""
    rows = len(next(iter(features.values())))
    columns, first_row, first_column = [], 0, 0
    for field in schema.categorical:
        pooled = np.zeros((rows, table.shape[1]))
        for row in range(rows):
            ids = features["ids"][row, first_column : first_column + field.length]
            values = [table[first_row + i] for i in ids if i >= 0]
            if values:
                pooled[row] = np.sum(values, 0) / (len(values) if field.pooling == "mean" else 1)
        columns.append(pooled)
        first_row += field.size
        first_column += field.length
    for place, column in enumerate(schema.numeric):
        value = (features["numeric"][:, place].astype(np.float64) - column.mean) / column.std
        columns.append(value[:, None] * vectors[place])
    return np.stack(columns, axis=1)


def numpy_weights(model):
    return {w.path.split("/", 1)[1]: w.numpy().astype(np.float64) for w in model.weights}


def numpy_deep(weights, embedded):
    x = embedded.reshape(len(embedded), -1)
    layer = 0
    while f"mlp/dense_{layer}/kernel" in weights:
        kernel, bias = (weights[f"mlp/dense_{layer}/{part}"] for part in ("kernel", "bias"))
        x = np.maximum(x @ kernel + bias, 0)
        layer += 1
    assert layer == 2
    return x @ weights["output_unit/kernel"] + weights["output_unit/bias"]


@pytest.mark.parametrize("schema", SCHEMAS.values(), ids=SCHEMAS)
@pytest.mark.parametrize("name", ["dnn", "deepfm"])
def test_output_equals_the_formula(name, schema):
    model = randomized(zoo.get(name)(schema, embedding_dim=4, hidden_units=(5, 3)))
    features = features_of(schema, 9)
    w = numpy_weights(model)
    embedded = numpy_embedded(
        schema, features, w.get("embedding/table/embeddings"), w.get("embedding/numeric_vectors")
    )
    expected = numpy_deep(w, embedded)
    if name == "deepfm":
        linear = numpy_embedded(
            schema,
            features,
            w.get("linear/weights/table/embeddings"),
            w.get("linear/weights/numeric_vectors"),
        )
        fields = embedded.shape[1]
        pairs = sum(
            np.sum(embedded[:, i] * embedded[:, j], axis=1, keepdims=True)
            for i in range(fields)
            for j in range(i + 1, fields)
        )
        expected = expected + pairs + linear.sum(axis=1) + w["linear/bias"]
    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(model(features).numpy(), expected, rtol=1e-4, atol=1e-5)


def test_the_order_of_values_and_their_padding_do_not_matter():
    model = randomized(zoo.DeepFM(BOTH, embedding_dim=4, hidden_units=(5,)))
    numeric = np.zeros((3, 2), np.float32)
    ids = np.array([[1, 2, 4, -1, 3, 5], [1, 4, 2, -1, 5, 3], [1, -1, 4, 2, 3, 5]], np.int32)
    output = model({"ids": ids, "numeric": numeric}).numpy()
    np.testing.assert_allclose(output, np.repeat(output[:1], 3, axis=0), rtol=1e-6)


@pytest.mark.parametrize("schema", [BOTH, NUMBERS_ONLY], ids=["both", "numbers"])
@pytest.mark.parametrize("name", ["dnn", "deepfm"])
def test_keras_file_gives_the_trained_model_back(name, schema, tmp_path):
    features = features_of(schema, 16)
    label = np.random.default_rng(0).integers(0, 2, (16, 1)).astype(np.float32)
    model = zoo.get(name)(
        schema, embedding_dim=4, hidden_units=(5, 3), activation="tanh", dropout=0.2,
        batch_norm=True, embedding_l2=1e-4,
        embeddings_initializer=keras.initializers.RandomUniform(-0.1, 0.1),
    )  # fmt: skip
    model.compile(tf_helen.AdamAR(0.1), keras.losses.BinaryCrossentropy(from_logits=True))
    model.fit(features, label, epochs=3, verbose=0)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert type(again) is type(model)
    assert again.schema == schema
    assert again.get_config() == model.get_config()
    np.testing.assert_array_equal(
        model.predict(features, verbose=0), again.predict(features, verbose=0)
    )
    assert int(again.optimizer.iterations.numpy()) == 3


def test_a_model_is_built_at_once_and_its_parameters_are_those_of_the_formula():
    model = zoo.DeepFM(BOTH, embedding_dim=4, hidden_units=(5, 3))
    rows, numbers, columns = 10 + 6 + 7, 2, 5
    mlp = (columns * 4 + 1) * 5 + (5 + 1) * 3 + (3 + 1)
    assert model.built
    assert model.count_params() == (rows + numbers) * (4 + 1) + 1 + mlp
    lines = []
    model.summary(print_fn=lines.append)
    assert "(None, 5, 4)" in "\n".join(lines)


def test_mixed_precision_keeps_tables_and_logits_in_float32():
    features = features_of(BOTH, 8)
    exact = randomized(zoo.DeepFM(BOTH, embedding_dim=4, hidden_units=(5,)))
    half = randomized(zoo.DeepFM(BOTH, embedding_dim=4, hidden_units=(5,), dtype="mixed_bfloat16"))
    assert half.embedding.compute_dtype == "bfloat16"
    assert {weight.dtype for weight in half.weights} == {"float32"}
    assert half(features).dtype == tf.float32
    np.testing.assert_allclose(half(features), exact(features), rtol=0.1, atol=0.15)
    assert type(half).from_config(half.get_config()).embedding.compute_dtype == "bfloat16"


def test_l2_counts_each_row_of_the_batch_once():
    schema = zoo.Schema("one", [zoo.Categorical("user", 5)])
    model = randomized(zoo.DNN(schema, embedding_dim=2, hidden_units=(3,), embedding_l2=0.5))
    model({"ids": np.array([[1], [3], [1]])}, training=True)
    table = model.embedding.tables[2].embeddings.numpy()
    expected = 0.5 * (np.square(table[1]).sum() + np.square(table[3]).sum())
    np.testing.assert_allclose(float(sum(model.losses)), expected, rtol=1e-5)


def test_unknown_model_names_the_nearest():
    with pytest.raises(ValueError, match=r"'depfm'.*Did you mean 'deepfm'\?.*dnn"):
        zoo.get("depfm")
    assert zoo.get("Deep_FM") is zoo.DeepFM


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"embedding_dim": 0}, "embedding_dim.*>= 1.*0"),
        ({"hidden_units": 200}, "hidden_units.*200"),
        ({"hidden_units": (4, 0)}, "hidden_units.*>= 1"),
        ({"batch_norm": "no"}, "batch_norm.*True or False.*'no'"),
        ({"dropout": 1.0}, r"dropout.*\[0, 1\).*1.0"),
        ({"embedding_l2": -1.0}, "l2.*-1"),
        ({"activation": "rellu"}, "rellu"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        zoo.DNN(IDS_ONLY, **arguments)


def test_features_that_do_not_fit_are_named():
    model = zoo.DNN(IDS_ONLY, embedding_dim=2, hidden_units=(3,))
    with pytest.raises(ValueError, match=r"keys \['ids'\].*\['user'\]"):
        model({"user": np.zeros((2, 1), np.int32)})
    with pytest.raises(ValueError, match=r"\[batch, 2\].*\(2, 3\)"):
        model({"ids": np.zeros((2, 3), np.int32)})
    with pytest.raises(ValueError, match=r"zoo\.Schema"):
        zoo.DNN("data/frappe")

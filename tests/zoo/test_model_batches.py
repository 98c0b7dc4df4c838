"""Batches with sample weights and groups, and schemas with every kind of column."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from click_features import features_of

import tf_helen
import zoo

# The contract covers all models; these two have no batch statistics and no loss of their own.
MODELS = ("dnn", "deepfm")
EVERY_KIND = zoo.Schema(
    "kinds",
    [
        zoo.Categorical("user", 10, missing="bucket", min_count=2),
        zoo.Categorical("words", 8, length=2, encoding="hash", separator=" "),
        zoo.Categorical("age", encoding="buckets", boundaries=(18, 65.5)),
        zoo.Categorical("I1", 7, encoding="log_square"),
    ],
    [
        zoo.Numeric("amount", mean=2.0, std=0.5, transform="log"),
        zoo.Numeric("share", transform="none"),
    ],
    label="click",
    weight="importance",
    group="session",
    time="seen",
)


@pytest.mark.parametrize("name", MODELS)
def test_weights_count_and_the_group_is_no_feature(name, tmp_path):
    features = features_of(EVERY_KIND, 24)
    rng = np.random.default_rng(0)
    label = rng.integers(0, 2, (24, 1)).astype(np.float32)
    weight = rng.integers(0, 3, (24, 1)).astype(np.float32)
    group = rng.integers(0, 2**62, (24, 1))

    def trained(*rows):
        keras.utils.set_random_seed(0)
        model = zoo.get(name)(EVERY_KIND, embedding_dim=4, hidden_units=(5,))
        model.compile(tf_helen.SGD(0.1), keras.losses.BinaryCrossentropy(from_logits=True))
        model.fit(
            tf.data.Dataset.from_tensor_slices(rows).batch(99), epochs=2, shuffle=False, verbose=0
        )
        return model

    plain = trained(features, label, weight)
    model = trained({**features, "group": group}, label, weight)
    for one, other in zip(plain.weights, model.weights, strict=True):
        np.testing.assert_array_equal(one, other)
    order = np.repeat(np.arange(24), weight[:, 0].astype(int))
    # Keras divides by the rows, not by the sum of the weights.
    scale = np.full((len(order), 1), len(order) / 24, np.float32)
    repeated = trained({key: value[order] for key, value in features.items()}, label[order], scale)
    np.testing.assert_allclose(repeated(features), model(features), rtol=1e-4, atol=1e-6)
    data = tf.data.Dataset.from_tensor_slices(({**features, "group": group}, label, weight))
    assert model.evaluate(data.batch(24), verbose=0) == pytest.approx(
        plain.evaluate(features, label, sample_weight=weight[:, 0], verbose=0), rel=1e-6
    )
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert again.schema == EVERY_KIND
    np.testing.assert_array_equal(again(features), model(features))


def test_a_schema_without_sizes_is_refused():
    raw = zoo.Schema("raw", [zoo.Categorical("user"), zoo.Categorical("item", 3)])
    with pytest.raises(zoo.SchemaError, match=r"field 'user' has no size yet; prepare the data"):
        zoo.DeepFM(raw)

"""Settings of models that raise errors, and the messages."""

import keras
import numpy as np
import pytest

import tf_helen
import zoo

SCHEMA = zoo.Schema("ids", [zoo.Categorical("user", 10), zoo.Categorical("item", 8)])


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("autoint", {"attention_layers": 0}, "attention_layers.*>= 1.*0"),
        ("autoint", {"attention_dim": 7, "heads": 2}, "divide.*7 units and 2 heads"),
        ("autoint", {"heads": 0}, "heads.*>= 1"),
        ("autoint", {"attention_dropout": 1.0}, r"dropout.*\[0, 1\).*1.0"),
        ("autoint", {"hidden_units": 5}, "hidden_units.*5"),
        ("edcn", {"cross_layers": 0}, "cross_layers.*>= 1.*0"),
        ("edcn", {"bridge": "products"}, "'product', 'sum'.*'products'.*Did you mean 'product'"),
        ("edcn", {"temperature": 0}, "temperature.*above 0"),
        ("edcn", {"dropout": -0.5}, r"dropout.*\[0, 1\).*-0.5"),
        ("afn", {"neurons": 0}, "neurons.*>= 1.*0"),
        ("afn", {"floor": 0.0}, "floor.*above 0.*0.0"),
        ("dcnv3", {"linear_layers": 0}, "linear_layers.*>= 1.*0"),
        ("dcnv3", {"exponential_layers": 1.5}, "exponential_layers.*>= 1.*1.5"),
        ("dcnv3", {"heads": -1}, "heads.*>= 1.*-1"),
        ("dcnv3", {"embedding_dim": 5}, "embedding_dim.*even.*5"),
        ("dcnv3", {"linear_dropout": 2}, r"dropout.*\[0, 1\).*2"),
        ("dnn", {"bias_initializer": "fan_in"}, "bias_initializer.*fan_in_uniform.*'fan_in'"),
        ("wukong", {"bias_initializer": None}, "bias_initializer.*None"),
    ],
)
def test_settings_out_of_range_are_named(name, settings, message):
    with pytest.raises(ValueError, match=message):
        zoo.get(name)(SCHEMA, **settings)


def test_embeddings_that_would_never_train_are_warned_of(caplog):
    schema = zoo.Schema("one", [zoo.Categorical("user", 5)])
    with caplog.at_level("WARNING"):
        zoo.DNN(schema, embeddings_initializer="zeros")
    assert caplog.text.count("start at zero") == 1
    assert "bias_initializer='fan_in_uniform'" in caplog.text
    caplog.clear()
    zoo.DNN(schema)
    zoo.DNN(schema, embeddings_initializer="zeros", bias_initializer="fan_in_uniform")
    zoo.DNN(schema, bias_initializer="zeros")
    assert not caplog.text
    zoo.DCN(schema, embeddings_initializer="zeros")
    assert "start at zero" in caplog.text and "bias_initializer" not in caplog.text


@pytest.mark.parametrize("name", ["dnn", "widedeep", "xdeepfm", "wukong"])
def test_embeddings_of_zeros_train_if_the_biases_are_not_zero(name):
    model = zoo.get(name)(
        SCHEMA, embedding_dim=4, embeddings_initializer="zeros", bias_initializer="fan_in_uniform",
        hidden_units=(64,),
    )  # fmt: skip
    model.compile(tf_helen.SGD(1.0), keras.losses.BinaryCrossentropy(from_logits=True))
    table = model.embedding.tables[4].embeddings
    assert not np.any(table)
    model.fit({"ids": np.array([[3, 5]])}, np.ones((1, 1)), verbose=0)
    assert np.count_nonzero(np.any(table, axis=1)) == 2  # of both fields the row that occurred
    again = type(model).from_config(model.get_config())
    assert again.settings["bias_initializer"] == "fan_in_uniform"

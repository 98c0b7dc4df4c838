"""The table of models, and their numbers of parameters."""

import keras
import numpy as np
import pytest

import zoo
from zoo.parameter_counts import parameter_counts

SCHEMA = zoo.Schema(
    "small",
    [zoo.Categorical("item", 10), zoo.Categorical("history", 10, length=3, shares="item")],
    [zoo.Numeric("price")],
)


def test_counts_are_those_of_the_weights():
    for entry in zoo.list_models(SCHEMA):
        model = entry.model(SCHEMA)
        total = sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)
        assert entry.embedding_parameters + entry.other_parameters == total, entry.name


def test_embeddings_grow_with_the_vocabulary_and_the_rest_does_not():
    larger = zoo.Schema("larger", [zoo.Categorical("item", 1000)])
    smaller = zoo.Schema("smaller", [zoo.Categorical("item", 10)])
    counts = [parameter_counts(zoo.DeepFM(schema, 8)) for schema in (smaller, larger)]
    assert [embedded for embedded, _ in counts] == [10 * 9, 1000 * 9]
    assert counts[0][1] == counts[1][1]


def test_fields_that_share_embeddings_count_once():
    embedded, _ = parameter_counts(zoo.DNN(SCHEMA, 4))
    assert embedded == 10 * 4


def test_the_table_prints_names_classes_years_and_papers():
    lines = str(zoo.list_models()).splitlines()
    assert lines[0].split() == ["name", "class", "year", "paper"]
    deepfm = next(line for line in lines if line.startswith("deepfm"))
    assert deepfm.split()[:3] == ["deepfm", "DeepFM", "2017"]
    assert len(lines) == 1 + len(zoo.list_models())


def test_a_schema_without_sizes_is_refused():
    with pytest.raises(ValueError, match="size"):
        zoo.list_models(zoo.Schema("raw", [zoo.Categorical("item")]))


def test_a_name_alone_gives_the_class():
    assert zoo.get("deepfm") is zoo.get_class("Deep-FM") is zoo.DeepFM


def test_a_name_and_a_schema_give_a_model():
    model = zoo.get("deepfm", SCHEMA, embedding_dim=4, name="mine")
    assert type(model) is zoo.DeepFM
    assert (model.schema, model.embedding_dim, model.name) == (SCHEMA, 4, "mine")


def test_a_serialized_model_gives_the_model_again_and_a_model_itself():
    model = zoo.get("dnn", SCHEMA, hidden_units=(3,))
    again = zoo.get(keras.saving.serialize_keras_object(model))
    assert type(again) is zoo.DNN and again.get_config() == model.get_config()
    assert zoo.get(model) is model


def test_what_is_no_model_is_named():
    with pytest.raises(ValueError, match=r"'depfm'\. Did you mean 'deepfm'\? Known: afn"):
        zoo.get("depfm", SCHEMA)
    with pytest.raises(ValueError, match=r"serialized form\. Received: 5"):
        zoo.get(5)
    with pytest.raises(ValueError, match=r"\['embedding_dim'\] cannot be passed without a schema"):
        zoo.get("deepfm", embedding_dim=4)
    with pytest.raises(ValueError, match=r"\['schema'\] cannot be passed with an instance of DNN"):
        zoo.get(zoo.get("dnn", SCHEMA), SCHEMA)

"""Columns as vectors: widths, initial values, errors."""

import keras
import numpy as np
import pytest
from zoo_cases import BCE, SCHEMA, batch, small

import tf_helen
import zoo
from tf_helen.core.whole_state import whole_variables
from zoo.layers import FieldEmbedding

NUMBERS = zoo.Schema("numbers", [], [zoo.Numeric("a"), zoo.Numeric("b")])


def test_numbers_alone_may_have_several_widths():
    layer = FieldEmbedding(NUMBERS, 4, dims={"a": 1}, flat=True)
    rows = np.array([[2.0, 3.0], [-1.0, 0.0]], np.float32)
    vectors = np.array(layer({"numeric": rows}))
    scale = np.array(layer.vectors)
    np.testing.assert_allclose(vectors, np.repeat(rows, [1, 4], axis=1) * scale, rtol=1e-6)
    model = zoo.FinalMLP(SCHEMA, 4, embedding_dims={"price": 1}, first_context=("price", "age"))
    assert np.isfinite(model(batch()[0])).all()


@pytest.mark.parametrize(
    ("name", "settings", "parts"),
    [
        ("afn", {"ensemble": True}, 4),
        ("dnn", {"embedding_dims": {"user": 2, "price": 2, "age": 2}}, 3),
    ],
)
def test_every_part_has_random_numbers_of_its_own_and_a_seed_repeats_them(name, settings, parts):
    def made():
        initializer = keras.initializers.RandomNormal(seed=1)
        model = zoo.get(name)(SCHEMA, 4, **settings, embeddings_initializer=initializer)
        return [np.array(w) for w in model.weights if "embedding/" in w.path]

    first = made()
    assert len({tuple(np.ravel(part)[:2]) for part in first}) == len(first) == parts
    for part, again in zip(first, made(), strict=True):
        np.testing.assert_array_equal(part, again)


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("lr", {"embedding_dims": {"nope": 3}}, r"'nope'; the columns are user, item"),
        ("dnn", {"embedding_dims": ["user"]}, r"`embedding_dims` must be a dict.*\['user'\]"),
        ("dnn", {"embeddings_initializer": np.ones}, r"must be an initializer of Keras"),
        ("dlrm", {"embedding_dims": {"price": 4}}, r"'price'.*bottom MLP. Remove it"),
        ("dcnv3", {"embedding_dims": {"user": 4}}, r"the same width.*remove the latter"),
    ],
)
def test_bad_settings_are_named(name, settings, message):
    with pytest.raises(ValueError, match=message):
        zoo.get(name)(SCHEMA, 4, **settings)


def test_numbers_enter_in_one_of_two_ways():
    with pytest.raises(ValueError, match="numeric"):
        FieldEmbedding(NUMBERS, 4, numeric="raw")


def test_shards_change_neither_the_initial_values_nor_the_outputs():
    def model(shards):
        keras.utils.set_random_seed(0)
        return zoo.DeepFM(SCHEMA, 4, hidden_units=(5,), shards=shards)

    one, many = model(1), model(5)
    np.testing.assert_allclose(one(batch()[0]), many(batch()[0]), atol=1e-6)
    # "item" and "seen" share 8 rows; a table has at most as many shards as rows.
    few = zoo.Schema("few", [zoo.Categorical("item", 3)])
    assert len(zoo.FM(few, 4, shards=20).embedding.trainable_variables) == 3
    assert len(many.embedding.trainable_variables) == 6  # and the vectors of the numbers
    assert many.get_config()["shards"] == 5
    with pytest.raises(ValueError, match="`shards` must be an integer >= 1"):
        zoo.DNN(SCHEMA, shards=0)


@pytest.mark.slow
@pytest.mark.parametrize("name", [entry.name for entry in zoo.list_models()])
def test_every_model_trains_shards_as_one_table(name):
    states = []
    for shards in (1, 5):
        keras.utils.set_random_seed(0)
        model = small(name, shards=1)  # with the weights of one table
        weights = [variable.numpy() for variable in whole_variables(model.weights)]
        model = small(name, shards=shards)
        for variable, value in zip(whole_variables(model.weights), weights, strict=True):
            variable.assign(value)
        # With the epsilon of Adam, rounding of a gradient near 0 would be most of a step.
        base = tf_helen.Adam(0.01, epsilon=1e-3)
        model.compile(tf_helen.Helen(base_optimizer=base), BCE)
        x, y = batch()
        keras.utils.set_random_seed(1)
        model.fit(x, y, batch_size=8, shuffle=False, verbose=0)
        states.append([variable.numpy() for variable in whole_variables(model.weights)])
    for one, many in zip(*states, strict=True):
        np.testing.assert_allclose(one, many, atol=1e-6)

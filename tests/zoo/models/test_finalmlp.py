"""FinalMLP: contexts of its gates, its fusion, and settings that raise errors."""

import keras
import numpy as np
import pytest
from click_features import features_of

import tf_helen
import zoo
from zoo.layers.column_subset import ColumnSubset
from zoo.layers.two_streams import BilinearFusion

SCHEMA = zoo.Schema(
    "s",
    [
        zoo.Categorical("item", 8),
        zoo.Categorical("tags", 6, length=3),
        zoo.Categorical("history", 8, length=2, shares="item"),
    ],
    [zoo.Numeric("price"), zoo.Numeric("age")],
)


def test_a_subset_takes_the_places_of_its_columns():
    subset = ColumnSubset(SCHEMA, ["age", "tags"])
    features = {"ids": np.arange(12).reshape(2, 6), "numeric": np.array([[1.0, 2.0], [3.0, 4.0]])}
    taken = {key: value.numpy().tolist() for key, value in subset(features).items()}
    assert taken == {"ids": [[1, 2, 3], [7, 8, 9]], "numeric": [[2.0], [4.0]]}
    assert subset.schema.field_sizes == {"tags": 6}
    assert [column.name for column in subset.schema.numeric] == ["age"]


def test_who_shares_with_a_column_left_out_has_its_own_vectors():
    assert ColumnSubset(SCHEMA, ["history"]).schema.categorical[0].shares is None
    assert ColumnSubset(SCHEMA, ["history", "item"]).schema.categorical[1].shares == "item"


def test_fusion_is_its_definition():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(5, 6)), rng.normal(size=(5, 4))
    layer = BilinearFusion(2)
    outputs = layer(x.astype(np.float32), y.astype(np.float32)).numpy()
    cubes = layer.kernel.numpy().reshape(2, 3, 2)
    expected = x @ layer.first.kernel.numpy() + y @ layer.second.kernel.numpy()
    for head in range(2):
        pieces = x[:, 3 * head : 3 * head + 3], y[:, 2 * head : 2 * head + 2]
        expected[:, 0] += np.einsum("bi,ij,bj->b", pieces[0], cubes[head], pieces[1])
    np.testing.assert_allclose(outputs, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("names", [("history",), ("price",), ("tags", "age"), ()])
def test_every_context_is_trained_from_the_start(names):
    model = zoo.FinalMLP(SCHEMA, 4, hidden_units=(6, 4), first_context=names)
    before = {weight.path: weight.numpy() for weight in model.trainable_weights}
    model.compile(tf_helen.SGD(1.0), keras.losses.BinaryCrossentropy(from_logits=True))
    label = np.random.default_rng(0).integers(0, 2, (64, 1)).astype(np.float32)
    model.fit(features_of(SCHEMA, 64), label, verbose=0)
    for weight in model.trainable_weights:
        assert np.abs(weight.numpy() - before[weight.path]).max() > 0, weight.path


def test_columns_of_several_widths_keep_them_in_a_context():
    model = zoo.FinalMLP(
        SCHEMA, 4, hidden_units=(4,), embedding_dims={"price": 3, "tags": 2},
        first_context=["tags", "age"], second_context=["item"],
    )  # fmt: skip
    assert [embedding.widths for embedding in model.context_embeddings] == [
        {"tags": 2, "age": 4},
        {"item": 4},
    ]
    assert model(features_of(SCHEMA, 3)).shape == (3, 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"heads": 3}, "`heads` must divide.*heads=3.*200"),
        ({"heads": 0}, "`heads` must be an integer >= 1"),
        ({"second_hidden_units": (8, 3), "heads": 2}, r"`heads` must divide.*\(8, 3\)"),
        ({"hidden_units": ()}, "`hidden_units` must be 1 or more widths"),
        ({"second_hidden_units": ()}, "`second_hidden_units` must be 1 or more widths"),
        ({"gate_units": 64}, "`gate_units` must be widths.*64"),
        ({"first_context": ["prize"]}, "no column 'prize'. Did you mean 'price'"),
        ({"second_context": "price"}, "`second_context` must be distinct names"),
        ({"second_context": ["age", "age"]}, "`second_context` must be distinct names"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        zoo.FinalMLP(SCHEMA, **arguments)

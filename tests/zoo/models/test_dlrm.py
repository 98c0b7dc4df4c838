"""DLRM with both kinds of columns, and with one."""

import numpy as np
import pytest

import zoo

FIELDS = [zoo.Categorical("user", 6), zoo.Categorical("item", 5)]
NUMBERS = [zoo.Numeric("price", mean=1.0, std=2.0), zoo.Numeric("age")]


def made(fields, numbers, **settings):
    return zoo.DLRM(
        zoo.Schema("s", fields, numbers), 4, bottom_units=(3,), hidden_units=(2,), **settings
    )


@pytest.mark.parametrize(
    ("fields", "numbers", "width"),
    [
        (FIELDS, NUMBERS, 4 + 3),
        (FIELDS, [], 1),
        ([], NUMBERS, 4),
        (FIELDS[:1], [], 4),
        (FIELDS[:1], NUMBERS[:1], 4 + 1),
    ],
    ids=["both", "fields", "numbers", "one field", "one of each"],
)
def test_the_top_takes_the_numbers_and_the_products(fields, numbers, width):
    model = made(fields, numbers)
    assert model.mlp.steps[0].kernel.shape == (width, 2)
    assert all(layer.built for layer in model.layers)


def test_the_formula_by_hand():
    model = made(FIELDS, NUMBERS)
    rng = np.random.default_rng(0)
    w = {}
    for weight in model.weights:
        weight.assign(rng.normal(0, 0.7, weight.shape))
        w[weight.path.split("/", 1)[1]] = weight.numpy()

    def dense(x, name):
        return x @ w[f"{name}/kernel"] + w[f"{name}/bias"]

    x = np.array([5.0, -1.0])
    z = np.maximum((x - [1, 0]) / [2, 1] @ w["bottom/dense_0/kernel"] + w["bottom/dense_0/bias"], 0)
    z = np.maximum(dense(z, "bottom_end"), 0)
    user, item = w["embedding/table/embeddings"][[3, 6 + 2]]
    top = np.concatenate([z, [user @ z, item @ z, item @ user]])
    expected = dense(np.maximum(dense(top, "mlp/dense_0"), 0), "output_unit")
    features = {"ids": np.array([[3, 2]], np.int32), "numeric": x[None].astype(np.float32)}
    np.testing.assert_allclose(model(features)[0], expected, rtol=1e-4)


def test_all_fields_may_have_another_width():
    model = made(FIELDS, NUMBERS, embedding_dims={"user": 3, "item": 3})
    assert model.bottom_end.units == 3


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match=r"dropout.*\[0, 1\).*1.5"):
        made(FIELDS, [], bottom_dropout=1.5)
    with pytest.raises(ValueError, match=r"hidden_units.*8"):
        zoo.DLRM(zoo.Schema("s", FIELDS), 4, bottom_units=8)

"""LR and FM compared with NumPy, and their errors."""

import numpy as np
import pytest

import zoo

SCHEMA = zoo.Schema(
    "s",
    [zoo.Categorical("user", 3), zoo.Categorical("tags", 4, length=2, pooling="sum")],
    [zoo.Numeric("price", mean=1.0, std=2.0)],
)
FEATURES = {
    "ids": np.array([[2, 0, 3], [1, 2, -1]], np.int32),
    "numeric": np.array([[5.0], [1.0]], np.float32),
}


def with_weights(model, **values):
    named = {weight.path.split("/", 1)[1]: weight for weight in model.weights}
    for name, value in values.items():
        named[name.replace("__", "/")].assign(value)
    return model


def test_lr_adds_one_weight_for_every_value():
    model = with_weights(
        zoo.LR(SCHEMA),
        linear__weights__table__embeddings=np.arange(7.0)[:, None],
        linear__weights__numeric_vectors=[[10.0]],
        linear__bias=[0.5],
    )
    # user 2 + tags 0 and 3 + 10 (5 - 1) / 2; then user 1 + tag 2 + 0.
    expected = [[0.5 + 2 + (3 + 6) + 20], [0.5 + 1 + 5 + 0]]
    np.testing.assert_allclose(model(FEATURES), expected)
    assert model.count_params() == 7 + 1 + 1


def test_fm_multiplies_all_pairs():
    model = zoo.FM(SCHEMA, embedding_dim=3)
    table = np.random.default_rng(0).normal(size=(7, 3)).astype(np.float32)
    with_weights(
        model, embedding__table__embeddings=table, embedding__numeric_vectors=[[1.0, -2.0, 3.0]]
    )
    user, tags, price = table[2], table[3] + table[6], 2 * np.array([1.0, -2.0, 3.0])
    expected = user @ tags + user @ price + tags @ price
    np.testing.assert_allclose(model(FEATURES)[0, 0], expected, rtol=1e-5)


def test_vectors_that_are_compared_have_one_width():
    for model in (zoo.FM, zoo.PNN, zoo.DLRM):
        with pytest.raises(ValueError, match=r"same width.*DNN or DCNv2"):
            model(SCHEMA, embedding_dim=4, embedding_dims={"user": 2})

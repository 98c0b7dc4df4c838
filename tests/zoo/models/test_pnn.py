"""PNN: products and errors."""

import numpy as np
import pytest
import tensorflow as tf

import zoo
from zoo.layers.products import outer_product

FIELDS = zoo.Schema("ids", [zoo.Categorical(name, 5) for name in ("a", "b", "c")])


def test_outer_products_are_those_of_all_pairs():
    x = np.random.default_rng(0).normal(size=(2, 3, 4)).astype(np.float32)
    expected = [sum(np.outer(p, q) for p in row for q in row).reshape(-1) for row in x]
    np.testing.assert_allclose(outer_product(tf.constant(x)), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("product", "width"), [("inner", 3), ("outer", 16), ("both", 19)])
def test_products_stand_beside_the_embeddings(product, width):
    model = zoo.PNN(FIELDS, embedding_dim=4, product=product, hidden_units=(2,))
    assert model.mlp.steps[0].kernel.shape == (3 * 4 + width, 2)


def test_a_field_alone_has_no_pairs():
    model = zoo.PNN(zoo.Schema("s", [zoo.Categorical("a", 1)]), embedding_dim=4, hidden_units=(2,))
    assert model.mlp.steps[0].kernel.shape == (4, 2)


def test_a_product_that_is_not_there_is_named():
    with pytest.raises(
        ValueError, match=r"`product` must be one of 'inner', 'outer', 'both'.*'dot'"
    ):
        zoo.PNN(FIELDS, product="dot")

"""FiBiNET's bilinear products and weights of fields against their definitions."""

import numpy as np
import pytest

import zoo
from zoo.layers.bilinear import BilinearInteraction
from zoo.layers.squeeze_excitation import SqueezeExcitation

SCHEMA = zoo.Schema("s", [zoo.Categorical("user", 10), zoo.Categorical("item", 8)])


@pytest.mark.parametrize("kind", ["all", "each", "interaction"])
def test_products_of_pairs_are_their_definition(kind):
    fields, d = 4, 3
    x = np.random.default_rng(0).normal(size=(5, fields, d)).astype(np.float32)
    layer = BilinearInteraction(kind)
    outputs = layer(x).numpy()
    matrices = np.split(layer.kernel.numpy(), layer.kernel.shape[1] // d, axis=1)
    assert len(matrices) == {"all": 1, "each": fields, "interaction": 6}[kind]
    expected = []
    for i in range(fields):
        for j in range(i + 1, fields):
            place = {"all": 0, "each": i, "interaction": len(expected)}[kind]
            expected.append(x[:, i] @ matrices[place] * x[:, j])
    np.testing.assert_allclose(outputs, np.concatenate(expected, axis=1), rtol=1e-5, atol=1e-6)
    assert layer.compute_output_shape(x.shape) == outputs.shape


@pytest.mark.parametrize(("reduction", "units"), [(3, 1), (2, 2), (1.5, 3), (100, 1)])
def test_fields_are_weighed(reduction, units):
    x = np.random.default_rng(0).normal(size=(6, 5, 4)).astype(np.float32)
    layer = SqueezeExcitation(reduction, "sigmoid")
    outputs = layer(x).numpy()
    squeeze, excite = layer.squeeze.kernel.numpy(), layer.excite.kernel.numpy()
    assert squeeze.shape == (5, units)
    weights = 1 / (1 + np.exp(-np.maximum(x.mean(axis=2) @ squeeze, 0) @ excite))
    np.testing.assert_allclose(outputs, x * weights[:, :, None], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"bilinear": "pairs"}, "`bilinear` must be one of 'all'.*'pairs'"),
        ({"reduction": 0}, "`reduction` must be a number > 0.*0"),
        ({"reduction": "3"}, "`reduction` must be a number > 0.*'3'"),
        ({"excitation": "rellu"}, "rellu"),
        ({"embedding_dims": {"user": 3}}, "vectors of the same width"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        zoo.FiBiNET(SCHEMA, **arguments)


def test_one_column_has_no_pairs():
    with pytest.raises(ValueError, match=r"schema 'one' has 1\. Use a model without pairs"):
        zoo.FiBiNET(zoo.Schema("one", [zoo.Categorical("user", 10)]))

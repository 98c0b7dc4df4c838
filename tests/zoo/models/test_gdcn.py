"""GDCN's gated cross layers against their definition."""

import numpy as np
import pytest

import zoo
from zoo.layers.gated_cross import GatedCross

SCHEMA = zoo.Schema(
    "s", [zoo.Categorical("user", 10), zoo.Categorical("item", 8)], [zoo.Numeric("price")]
)


def test_gated_cross_layers_are_their_definition():
    rng = np.random.default_rng(0)
    first = rng.normal(size=(6, 4)).astype(np.float32)
    layer = GatedCross(3)
    layer.build(first.shape)
    for weight in layer.weights:
        weight.assign(rng.normal(0, 0.5, weight.shape))
    x = first
    for cross, gate in zip(layer.crosses, layer.gates, strict=True):
        opened = 1 / (1 + np.exp(-x @ gate.kernel.numpy()))
        x = first * (x @ cross.kernel.numpy() + cross.bias.numpy()) * opened + x
    np.testing.assert_allclose(layer(first), x, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("structure", ["stacked", "parallel"])
def test_columns_may_have_several_widths(structure):
    model = zoo.GDCN(SCHEMA, 4, structure=structure, hidden_units=(5,), embedding_dims={"item": 2})
    rows = {"ids": np.array([[1, 2], [3, 4]]), "numeric": np.ones((2, 1), np.float32)}
    assert model.cross.crosses[0].kernel.shape == (4 + 2 + 4, 4 + 2 + 4)
    assert model(rows).shape == (2, 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"structure": "serial"}, "`structure` must be one of 'stacked', 'parallel'.*'serial'"),
        ({"cross_layers": 0}, "`cross_layers` must be an integer >= 1.*0"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        zoo.GDCN(SCHEMA, **arguments)

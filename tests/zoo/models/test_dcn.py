"""DCN and DCN-V2: cross layers compared with NumPy, structures, widths, errors."""

import numpy as np
import pytest
import tensorflow as tf

import zoo
from zoo.layers.cross import CrossNet, MatrixCross, MixtureCrossNet, VectorCross

SCHEMA = zoo.Schema(
    "s", [zoo.Categorical("user", 6), zoo.Categorical("item", 5)], [zoo.Numeric("price")]
)
FEATURES = {"ids": np.array([[1, 2], [5, 0]], np.int32), "numeric": np.array([[3.0], [-1.0]])}


def randomized(layer, seed=0):
    rng = np.random.default_rng(seed)
    for weight in layer.weights:
        weight.assign(rng.normal(0, 0.5, weight.shape))
    return {weight.name: weight.numpy() for weight in layer.weights}


def test_a_vector_cross_has_its_bias_outside_of_the_product():
    x0, x = np.array([[1.0, 2.0, 3.0]]), np.array([[0.5, -1.0, 2.0]])
    layer = VectorCross()
    layer.build((None, 3))
    w = randomized(layer)
    expected = [x0[0, i] * (x[0] @ w["kernel"][:, 0]) + w["bias"][i] + x[0, i] for i in range(3)]
    np.testing.assert_allclose(layer(x0, x)[0], expected, rtol=1e-5)


def test_two_vector_crosses_are_a_polynomial_of_degree_three():
    net = CrossNet([VectorCross(), VectorCross()])
    net.build((None, 2))
    randomized(net)
    for cross in net.crosses:
        cross.bias.assign([0.0, 0.0])
    values = net(tf.constant([[s, 2 * s] for s in np.arange(6.0)])).numpy()[:, 0]
    # Fourth differences of a cubic vanish; third ones do not.
    assert np.abs(np.diff(values, 3)).max() > 0.01
    np.testing.assert_allclose(np.diff(values, 4), 0, atol=1e-3)


def test_the_product_of_two_matrices_equals_the_full_one():
    x0, x = np.random.default_rng(1).normal(size=(2, 4, 5)).astype(np.float32)
    low, full = MatrixCross(projection_dim=2), MatrixCross()
    low.build((None, 5))
    full.build((None, 5))
    randomized(low)
    full.dense.kernel.assign(low.down_proj_dense.kernel @ low.dense.kernel)
    full.dense.bias.assign(low.dense.bias)
    np.testing.assert_allclose(low(x0, x), full(x0, x), rtol=1e-4, atol=1e-5)


def test_a_mixture_adds_gated_experts():
    x = np.random.default_rng(1).normal(size=(3, 5)).astype(np.float32)
    net = MixtureCrossNet(1, projection_dim=2, experts=3)
    net.build((None, 5))
    w = randomized(net)
    scores = np.exp(x @ w["gate"])
    gates = scores / scores.sum(axis=1, keepdims=True)
    expected = x.copy()
    for k in range(3):
        down, up = w["down_0"][:, 2 * k : 2 * k + 2], w["up_0"][2 * k : 2 * k + 2]
        expert = x * (np.tanh(np.tanh(x @ down) @ w["middle_0"][k]) @ up + w["bias_0"])
        expected += gates[:, k : k + 1] * expert
    np.testing.assert_allclose(net(x), expected, rtol=1e-4, atol=1e-5)


def test_weights_have_the_same_names_in_every_model():
    names = [
        [weight.path.split("/", 1)[1] for weight in zoo.DCNv2(SCHEMA, 4, projection_dim=2).weights]
        for _ in range(2)
    ]
    assert names[0] == names[1]
    assert "cross/layer_2/down/kernel" in names[0]


@pytest.mark.parametrize(
    ("name", "settings", "width"),
    [("dcn", {}, 7 + 3), ("dcnv2", {}, 7 + 3), ("dcnv2", {"structure": "stacked"}, 3)],
)
def test_columns_may_have_widths_of_their_own(name, settings, width):
    dims = {"user": 2, "price": 1}
    model = zoo.get(name)(SCHEMA, 4, embedding_dims=dims, hidden_units=(3,), **settings)
    assert model.output_unit.kernel.shape == (width, 1)
    assert model(FEATURES).shape == (2, 1)


@pytest.mark.parametrize("name", ["dcn", "dcnv2"])
def test_without_hidden_layers_the_cross_network_is_alone(name):
    model = zoo.get(name)(SCHEMA, 4, hidden_units=())
    assert model.mlp is None
    assert model.output_unit.kernel.shape == (12, 1)


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("dcn", {"cross_layers": 0}, "cross_layers.*>= 1.*0"),
        ("dcnv2", {"cross_layers": 0}, "cross_layers.*>= 1.*0"),
        ("dcnv2", {"cross_layers": 2.0}, "cross_layers.*integer.*2.0"),
        (
            "dcnv2",
            {"structure": "serial"},
            "structure.*'parallel', 'stacked', 'crossnet'.*'serial'",
        ),
        ("dcnv2", {"projection_dim": 0}, "projection_dim.*>= 1.*0"),
        ("dcnv2", {"experts": 0}, "experts.*>= 1.*0"),
        ("dcnv2", {"experts": 4}, "experts=4.*`projection_dim`.*such as 32"),
    ],
)
def test_bad_arguments_are_named(name, arguments, message):
    with pytest.raises(ValueError, match=message):
        zoo.get(name)(SCHEMA, **arguments)

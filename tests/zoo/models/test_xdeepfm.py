"""The compressed interaction network against its definition."""

import numpy as np
import pytest
import tensorflow as tf

import zoo
from zoo.layers.cin import CIN

SCHEMA = zoo.Schema("s", [zoo.Categorical("user", 10), zoo.Categorical("item", 8)])


def cin_of(layer, x):
    """Vector by vector, product by product."""
    weights = {weight.name: weight.numpy().astype(np.float64) for weight in layer.weights}
    rows, sums = x, []
    for k, units in enumerate(layer.units):
        cube = weights[f"kernel_{k}"].reshape(x.shape[1], rows.shape[1], units)
        new = np.zeros((len(x), units, x.shape[2]))
        for h in range(units):
            for i in range(x.shape[1]):
                for j in range(rows.shape[1]):
                    new[:, h] += cube[i, j, h] * x[:, i] * rows[:, j]
            new[:, h] += weights[f"bias_{k}"][h]
        rows = new
        sums.append(rows.sum(axis=2))
    return np.concatenate(sums, axis=1)


# Each way of multiplying: all products first (20 filters), and either factor projected first.
@pytest.mark.parametrize("units", [(1,), (2, 2), (20, 3, 2), (3, 20, 2), (20, 20)])
def test_a_cin_is_its_definition(units):
    rng = np.random.default_rng(0)
    layer = CIN(units)
    x = rng.normal(size=(3, 5, 4)).astype(np.float32)
    layer.build(x.shape)
    for weight in layer.weights:
        weight.assign(rng.normal(0, 0.3, weight.shape))
    expected = cin_of(layer, x)
    np.testing.assert_allclose(layer(x), expected, rtol=1e-4, atol=1e-4)
    assert layer.compute_output_shape(x.shape) == expected.shape


def test_sums_are_exact_in_mixed_precision():
    layer = CIN((3, 2), dtype="mixed_bfloat16")
    x = tf.ones([2, 4, 5])
    assert layer(x).dtype == tf.float32
    assert {weight.dtype for weight in layer.weights} == {"float32"}
    np.testing.assert_allclose(layer(x), cin_of(layer, x.numpy()), rtol=0.05, atol=0.05)


@pytest.mark.parametrize("units", [(), 16, (4, 0), "16"])
def test_a_cin_needs_a_layer(units):
    with pytest.raises(ValueError, match="`cin_units` must be"):
        zoo.XDeepFM(SCHEMA, cin_units=units)


def test_vectors_need_one_width():
    with pytest.raises(ValueError, match="vectors of the same width"):
        zoo.XDeepFM(SCHEMA, embedding_dims={"user": 3})

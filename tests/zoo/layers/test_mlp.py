"""Initial biases of the MLP."""

import keras
import numpy as np
import pytest

from zoo.layers import MLP


def biases_of(mlp, inputs):
    mlp.build((None, inputs))
    return [weight.numpy() for weight in mlp.weights if weight.name == "bias"]


def test_biases_are_zeros_unless_an_initializer_is_given():
    assert not any(map(np.any, biases_of(MLP((8, 4)), 3)))
    ones = biases_of(MLP((8, 4), bias_initializer="ones", batch_norm=True, activation="dice"), 3)
    assert [bias.tolist() for bias in ones] == [[1.0] * 8, [1.0] * 4]
    (bias,) = biases_of(MLP((8,), bias_initializer=keras.initializers.Constant(0.1)), 3)
    np.testing.assert_allclose(bias, 0.1)


def test_fan_in_uniform_is_the_default_of_pytorch():
    """U(-1/sqrt(k), 1/sqrt(k)) for k inputs: torch.nn.Linear.reset_parameters."""
    first, second = biases_of(MLP((5000, 4000), bias_initializer="fan_in_uniform"), 16)
    for bias, inputs in ((first, 16), (second, 5000)):
        limit = 1 / np.sqrt(inputs)
        assert np.abs(bias).max() <= limit
        assert bias.std() == pytest.approx(limit / np.sqrt(3), rel=0.05)
        assert abs(bias.mean()) < 0.05 * limit


def test_what_is_no_initializer_is_named():
    for wrong in (None, "uniformly", 0.1):
        with pytest.raises(ValueError, match=rf"`bias_initializer` must be.*{wrong}"):
            MLP((8,), bias_initializer=wrong)

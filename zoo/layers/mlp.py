"""The multilayer perceptron of the models."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from tf_helen.core.checks import is_number
from zoo.layers.batch_norm import EmptySafeBatchNorm
from zoo.layers.dice import Dice

EPSILON = 1e-5  # PyTorch's default


class BatchNorm(EmptySafeBatchNorm):
    """Batch normalization with PyTorch's constants, which the published results use.

    `momentum=0.9, epsilon=1e-5`; Keras's defaults are `momentum=0.99, epsilon=1e-3`.

    Args:
        **kwargs: arguments of the Keras layer.

    Example:
        >>> BatchNorm().epsilon
        1e-05
    """

    def __init__(self, **kwargs: Any):
        super().__init__(**{"momentum": 0.9, "epsilon": EPSILON, **kwargs})


class LayerNorm(keras.layers.LayerNormalization):
    """Layer normalization with PyTorch's epsilon, 1e-5.

    Args:
        **kwargs: arguments of the Keras layer.

    Example:
        >>> LayerNorm().epsilon
        1e-05
    """

    def __init__(self, **kwargs: Any):
        super().__init__(**{"epsilon": EPSILON, **kwargs})


class MLP(keras.layers.Layer):
    """Hidden layers, each `dropout(activation(batch_norm(W x + b)))`.

    Args:
        hidden_units: sequence of ints, width of each hidden layer; empty: the input is returned.
        activation: Keras activation, or "dice". Defaults to "relu".
        dropout: float in [0, 1), or one per hidden layer: share of units dropped in training.
            Defaults to 0.
        batch_norm: boolean; batch normalization before the activation. Defaults to `False`.
        layer: callable that takes a width, name and dtype and returns the layer that replaces `W x
            + b`. Defaults to `keras.layers.Dense`.
        bias_initializer: Keras initializer of b, or "fan_in_uniform": uniform between
            `-1 / sqrt(k)` and `1 / sqrt(k)` for k inputs, PyTorch's default. Defaults to "zeros".
        **kwargs: Keras's layer arguments.

    Input shape:
        `[B, k]`.

    Output shape:
        `[B, hidden_units[-1]]`.

    Raises:
        ValueError: on a width < 1, `dropout` outside [0, 1), another number of rates than layers,
            or a `bias_initializer` that is none.

    Example:
        >>> import numpy as np
        >>> MLP((8, 4), dropout=0.1)(np.ones((2, 3))).shape
        TensorShape([2, 4])
    """

    def __init__(
        self,
        hidden_units: Sequence[int],
        *,
        activation: Any = "relu",
        dropout: float | Sequence[float] = 0.0,
        batch_norm: bool = False,
        layer: Callable[..., keras.layers.Layer] = keras.layers.Dense,
        bias_initializer: Any = "zeros",
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        dense_bias(bias_initializer, inputs=1)  # raises an error here, not when it is built
        self.bias_initializer = bias_initializer
        if not isinstance(batch_norm, bool):
            raise ValueError(f"`batch_norm` must be True or False. Received: {batch_norm!r}")
        check_widths("hidden_units", hidden_units)
        rates = dropout_rates(dropout, len(hidden_units))
        self.steps = []
        for i, units in enumerate(hidden_units):
            policy = {"dtype": self.dtype_policy}
            self.steps.append(layer(units, name=f"dense_{i}", **policy))
            if batch_norm:
                self.steps.append(BatchNorm(name=f"norm_{i}", **policy))
            if activation == "dice":
                self.steps.append(Dice(name=f"act_{i}", **policy))
            else:
                self.steps.append(keras.layers.Activation(activation, name=f"act_{i}", **policy))
            if rates[i]:
                self.steps.append(keras.layers.Dropout(rates[i], name=f"drop_{i}", **policy))

    def build(self, input_shape: tuple) -> None:
        for step in self.steps:
            if isinstance(step, keras.layers.Dense):
                step.bias_initializer = dense_bias(self.bias_initializer, input_shape[-1])
            step.build(input_shape)
            input_shape = step.compute_output_shape(input_shape)
        self.built = True

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        return self.following(inputs, first=0, training=training)

    def following(self, inputs: tf.Tensor, first: int, training: bool = False) -> tf.Tensor:
        """Applies the steps from number `first` on; 0 is the first linear map, 1 what follows."""
        for step in self.steps[first:]:
            takes_training = isinstance(
                step, (Dice, keras.layers.Dropout, keras.layers.BatchNormalization)
            )
            inputs = step(inputs, training=training) if takes_training else step(inputs)
        return inputs

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        for step in self.steps:
            input_shape = step.compute_output_shape(input_shape)
        return input_shape


def dense_bias(bias_initializer: Any, inputs: int) -> keras.initializers.Initializer:
    """Returns the initializer of the biases of a dense layer.

    Args:
        bias_initializer: Keras initializer, or "fan_in_uniform".
        inputs: int, number of inputs of the layer.

    Returns:
        A Keras initializer.

    Raises:
        ValueError: names the value received.

    Example:
        >>> dense_bias("fan_in_uniform", inputs=4).maxval
        0.5
    """
    if bias_initializer == "fan_in_uniform":
        limit = 1 / math.sqrt(inputs)
        return keras.initializers.RandomUniform(-limit, limit)
    try:
        found = keras.initializers.get(bias_initializer)
    except ValueError:
        found = None
    if not isinstance(found, keras.initializers.Initializer):
        raise ValueError(
            "`bias_initializer` must be an initializer of Keras, such as 'zeros' or "
            "keras.initializers.Constant(0.1), or 'fan_in_uniform'. Received: "
            f"{bias_initializer!r}"
        )
    return found


def check_widths(name: str, widths: Any, layers: int = 0) -> None:
    """Raises `ValueError` unless an argument holds the widths of layers.

    Args:
        name: string, name of the argument.
        widths: the value received.
        layers: int, minimum number of layers. Defaults to 0.

    Raises:
        ValueError: names the argument, what is allowed, and the value.

    Example:
        >>> check_widths("hidden_units", (200, 200))
    """
    is_list = isinstance(widths, Sequence) and not isinstance(widths, str)
    if not is_list or len(widths) < layers:
        several = f"{layers} or more widths" if layers else "widths"
        raise ValueError(f"`{name}` must be {several} such as (200, 200). Received: {widths!r}")
    if not all(isinstance(w, int) and not isinstance(w, bool) and w >= 1 for w in widths):
        raise ValueError(
            f"`{name}` must be integers >= 1, such as (200, 200). Received: {tuple(widths)!r}"
        )


def dropout_rates(dropout: float | Sequence[float], layers: int) -> list[float]:
    """Returns one dropout rate per layer.

    Args:
        dropout: float, or sequence of floats, one per layer.
        layers: int, number of layers.

    Returns:
        List of floats.

    Raises:
        ValueError: on a rate outside [0, 1), or another number of rates than layers.

    Example:
        >>> dropout_rates(0.5, 2)
        [0.5, 0.5]
    """
    if isinstance(dropout, Sequence) and not isinstance(dropout, str):
        rates = given = list(dropout)
    else:
        rates, given = [dropout] * layers, [dropout]
    if len(rates) != layers or not all(is_number(rate) and 0 <= rate < 1 for rate in given):
        raise ValueError(
            f"`dropout` must be a number in [0, 1), or one for each of {layers} layers. "
            f"Received: {dropout!r}"
        )
    return rates

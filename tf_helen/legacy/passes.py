"""Several forward passes of one step, of which only the first one counts."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf
import tf_keras

from tf_helen.core import replicas
from tf_helen.legacy import keras_access


def statistics(model: tf_keras.Model) -> list[tf.Variable]:
    """What forward passes update: metrics, vectors and scalars of layers, states of stateful ones.

    Not other matrices: one may be a table, such as the candidates of a retrieval index.
    """
    found = [variable for metric in model.metrics for variable in metric.variables]
    for layer in keras_access.layers_of(model):
        found += [v for v in keras_access.kept_weights(layer) if v.shape.rank < 2]
        if getattr(layer, "stateful", False):  # tf_keras lists these states nowhere
            states = tf.nest.flatten(getattr(layer, "states", None))
            found += [v for v in states if isinstance(v, tf.Variable)]
    return list({id(variable): variable for variable in found}.values())


class FirstPassOnly:
    """A closure whose later calls leave no trace, with state and random numbers of the first one.

    Args:
        model: the model that the closure calls.
        closure: runs the forward pass and returns the loss.
    """

    def __init__(self, model: tf_keras.Model, closure: Callable[[], tf.Tensor]):
        self._model, self._closure, self._calls = model, closure, 0
        counted = [replicas.local(variable) for variable in statistics(model)]
        self._before = [(variable, tf.identity(variable.read_value())) for variable in counted]
        generators = list(keras_access.random_generators(model))
        self._states = [
            (generator, tf.identity(state.read_value()))
            for generator in generators
            if (state := keras_access.generator_state(generator)) is not None
        ]
        # Two stateful operations with one seed draw alike, each in its own turn.
        self._seeds = [
            (generator, keras_access.new_seed(generator))
            for generator in generators
            if keras_access.draws_by_seed(generator)
        ]

    def __call__(self) -> tf.Tensor:
        self._calls += 1
        if self._calls == 1:
            self._rewind_seeds()
            return self._closure()
        counted = [replicas.local(variable) for variable in statistics(self._model)]
        kept = [(variable, tf.identity(variable.read_value())) for variable in counted]
        for variable, value in self._before:
            variable.assign(value)
        for generator, before in self._states:
            state = keras_access.generator_state(generator)
            if state is not None:
                state.assign(before)
        self._rewind_seeds()
        loss = self._closure()
        for variable, value in kept:
            variable.assign(value)
        return loss

    def _rewind_seeds(self) -> None:
        for generator, seed in self._seeds:
            keras_access.set_seed(generator, seed)

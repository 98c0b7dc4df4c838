"""Several steps in one execution, under several workers."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from tf_helen import keras_access


def unrolled_steps(model: keras.Model, step: Callable[..., Any]) -> Callable[[Any], Any]:
    """Returns a function of `fit` or `evaluate` that takes `steps_per_execution` steps of a model.

    Keras's own function reads the batches in a loop of the graph, in which collective operations of
    `MultiWorkerMirroredStrategy` fail. Here they are read first, and the loop is unrolled.

    Args:
        model: compiled Keras model.
        step: `model.train_step` or `model.test_step`.
    """
    strategy = model.distribute_strategy
    of_replica = tf.function(step, jit_compile=True) if model.jit_compile else step

    def take_steps(batches):
        for batch in batches:
            outputs = strategy.run(of_replica, args=(batch,))
        return keras_access.reduced(outputs, strategy)

    if not model.run_eagerly:
        take_steps = tf.autograph.experimental.do_not_convert(take_steps)
        take_steps = tf.function(take_steps, reduce_retracing=True)

    def function(iterator):
        batches: list[Any] = []
        with contextlib.suppress(StopIteration, tf.errors.OutOfRangeError):
            while len(batches) < model.steps_per_execution:
                batches.append(next(iterator))
        if not batches:
            raise tf.errors.OutOfRangeError(None, None, "the data have ended")
        return take_steps(tuple(batches))

    return function

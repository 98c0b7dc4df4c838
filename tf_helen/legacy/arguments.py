"""Arguments as tf_keras users give them, as the optimizers of this package take them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf
import tf_keras

from tf_helen.optimizers import arguments

# The learning rates of tf_helen, and schedules of tf_keras.
LearningRate = arguments.LearningRate | tf_keras.optimizers.schedules.LearningRateSchedule


@keras.saving.register_keras_serializable(package="tf_helen")
class LegacySchedule(keras.optimizers.schedules.LearningRateSchedule):
    """A learning-rate schedule of tf_keras as one of Keras 3.

    Args:
        schedule: a `tf_keras.optimizers.schedules.LearningRateSchedule`, or its serialized form.

    Example:
        >>> schedule = tf_keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.5)
        >>> round(float(LegacySchedule(schedule)(20)), 4)
        0.025
    """

    def __init__(self, schedule: Any):
        if isinstance(schedule, dict):
            schedule = tf_keras.optimizers.schedules.deserialize(schedule)
        self.schedule = schedule

    def __call__(self, step):
        return self.schedule(tf.convert_to_tensor(step))

    def get_config(self):
        return {"schedule": tf_keras.optimizers.schedules.serialize(self.schedule)}


def translate(argument: Any, unwrap: Callable[[Any], Any]) -> Any:
    """Returns an argument with tf_keras schedules and wrapped optimizers in it replaced.

    Args:
        argument: anything; lists, tuples and dicts are searched.
        unwrap: called on every leaf.

    Returns:
        The argument, in a new container if it is one.
    """
    if isinstance(argument, tf_keras.optimizers.schedules.LearningRateSchedule):
        return LegacySchedule(argument)
    if isinstance(argument, dict):
        return {key: translate(value, unwrap) for key, value in argument.items()}
    if isinstance(argument, (list, tuple)):
        return type(argument)(translate(value, unwrap) for value in argument)
    return unwrap(argument)


@contextlib.contextmanager
def floatx_of_tf_keras():
    """Within it Keras 3 stores floats, such as the learning rate, as tf_keras would."""
    before = keras.config.floatx()
    keras.config.set_floatx(tf_keras.backend.floatx())
    try:
        yield
    finally:
        keras.config.set_floatx(before)

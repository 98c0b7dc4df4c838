"""The two bases of the optimizers: Keras 3, or (`TF_HELEN_BASE=legacy`) tf_keras.

A golden test takes its optimizers and variables from here, and so runs on either.
"""

import importlib
import os

import keras
import tensorflow as tf

import tf_helen

LEGACY = os.environ.get("TF_HELEN_BASE") == "legacy"
optimizers = importlib.import_module("tf_helen.legacy") if LEGACY else tf_helen


def set_floatx(dtype):
    keras.config.set_floatx(dtype)
    if LEGACY:
        importlib.import_module("tf_keras").backend.set_floatx(dtype)


def variable(value, dtype="float32", name=None):
    if LEGACY:
        return tf.Variable(value, dtype=dtype, name=name)
    return keras.Variable(value, dtype=dtype, name=name)


def tensor(variable):
    """The TensorFlow variable of a variable."""
    return variable if LEGACY else variable.value


def apply(optimizer, gradients, variables):
    if LEGACY:
        optimizer.apply_gradients(zip(gradients, variables, strict=True))
    else:
        optimizer.apply(gradients, variables)


def inside(optimizer, variables):
    """The Keras 3 optimizer and its variables, for methods that only it has."""
    if LEGACY:
        return optimizer.inner, optimizers.optimizer.adapt_all(variables)
    return optimizer, variables


def embedding(rows, width, dtype):
    """A built embedding layer of tf_helen or tf_helen.legacy."""
    if LEGACY:
        layer = optimizers.Embedding(rows, width, dtype=dtype)
    else:
        layer = tf_helen.layers.Embedding(rows, width, dtype=dtype)
    layer.build()
    return layer

"""Run as a program: trains models of the zoo under one replica and under two.

A separate process, because logical CPUs must be set before TensorFlow starts. Eagerly, because
tracing every model twice would take minutes.
"""

import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf
import zoo_cases

import tf_helen


def train(name, strategy, features, label):
    """A model after two steps on one batch."""
    with strategy.scope():
        model = zoo_cases.small(name)
        # Clipped: from random weights, products of high order have huge gradients.
        optimizer = tf_helen.SGD(0.1, global_clipnorm=1.0)
        model.compile(optimizer, zoo_cases.BCE, run_eagerly=True)
    batches = tf.data.Dataset.from_tensors((features, label)).repeat(2)
    model.fit(batches, verbose=0)
    return model


def main(path, *names):
    cpu = tf.config.list_physical_devices("CPU")[0]
    logical = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(cpu, logical)
    two = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    features, label = zoo_cases.batch()
    half = slice(0, len(label) // 2)
    halves = {key: np.concatenate([value[half]] * 2) for key, value in features.items()}
    results = {}
    for name in names:
        rows = features, label
        if zoo_cases.has_batch_statistics(zoo_cases.shared(name)):
            # Replicas normalize by their own rows, as Keras does: here both have the same.
            rows = halves, np.concatenate([label[half]] * 2)
        before = zoo_cases.shared(name).weights
        one = train(name, tf.distribute.get_strategy(), *rows)
        both = train(name, two, *rows)
        changed, differs = 0.0, 0.0
        for old, weight, other in zip(before, one.weights, both.weights, strict=True):
            changed = max(changed, np.abs(weight.numpy() - old.numpy()).max())
            for copy in tf_helen.core.replicas.copies(other):
                differs = max(differs, np.abs(weight.numpy() - copy.numpy()).max())
        results[name] = np.array([changed, differs])
    np.savez(path, **results)


if __name__ == "__main__":
    main(*sys.argv[1:])

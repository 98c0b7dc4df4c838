"""Run as a program: trains under one replica or two, and saves the weights.

A separate process, because logical CPUs must be set before TensorFlow starts.
"""

import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from optimizer_table import ENTRIES

import tf_helen

DAMAGED = " damaged"  # ends the name of an optimizer whose labels are damaged
FIELDS = {"user": 50, "item": 20}


def build(make, fp16=False):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((2,), dtype="int32")
    x = keras.layers.Flatten()(tf_helen.layers.Embedding(FIELDS, 4)(inputs))
    x = keras.layers.Dense(8, activation="tanh")(x)
    model = tf_helen.Model(inputs, keras.layers.Dense(1)(x))
    optimizer = make()
    if fp16:
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    model.compile(
        optimizer,
        keras.losses.BinaryCrossentropy(from_logits=True),
        metrics=[
            tf_helen.metrics.AUC(from_logits=True),
            tf_helen.metrics.LogLoss(from_logits=True),
        ],
    )
    return model


def data():
    rng = np.random.default_rng(0)
    ids = np.stack([rng.zipf(1.3, 512) % size for size in FIELDS.values()], axis=1)
    return ids.astype(np.int32), rng.integers(0, 2, (512, 1)).astype(np.float32)


def train(make, strategy, fp16=False, labels=None):
    """Weights after two epochs, and the history."""
    ids, y = data()
    y = y if labels is None else labels(y)
    with strategy.scope():
        model = build(make, fp16)
    batches = tf.data.Dataset.from_tensor_slices((ids, y)).batch(64)
    history = model.fit(batches, epochs=2, verbose=0).history
    grid = np.stack([np.arange(50), np.arange(50) % 20], axis=1)
    return model, [*model.get_weights(), model.predict(grid, verbose=0)], history


def damaged(y):
    """Only the second replica's half of the first batch."""
    y = y.copy()
    y[40] = np.nan
    return y


def main(path, *names):
    cpu = tf.config.list_physical_devices("CPU")[0]
    logical = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(cpu, logical)
    one = tf.distribute.MirroredStrategy(["CPU:0"])
    two = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    results = {}
    makes = {name: entry.make for name, entry in ENTRIES.items()}
    makes["SAM replica"] = lambda: tf_helen.SAM(0.05, perturbation="replica")
    makes["Adam clipped"] = lambda: tf_helen.Adam(0.05, global_clipnorm=0.1)
    for name in names:
        make = makes[name.removesuffix(DAMAGED)]
        if name.endswith(DAMAGED):
            model, weights, _ = train(make, two, fp16=True, labels=damaged)
            results[f"{name}/finite"] = np.array(all(np.isfinite(w).all() for w in weights))
            results[f"{name}/steps"] = np.array(model.optimizer.iterations.numpy())
            continue
        for replicas, strategy in (("one", one), ("two", two)):
            model, weights, history = train(make, strategy)
            for i, value in enumerate(weights):
                results[f"{name}/{replicas}/{i}"] = value
            for metric, values in history.items():
                results[f"{name}/{replicas}/{metric}"] = np.array(values)
        copies = [np.array(v.numpy()) for v in model.trainable_variables[0].value.values]
        results[f"{name}/copies_differ_by"] = np.abs(copies[0] - copies[1]).max()
    np.savez(path, **results)


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Run as a program: trains on batches that two replicas cannot share evenly, with one and with two.

A separate process, because logical CPUs must be set before TensorFlow starts. Eagerly, because
tracing takes longer, but for the batch of which one replica has no row, where eager losses of Keras
have no value.
"""

import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from versions import KERAS

import tf_helen

MSE = keras.losses.MeanSquaredError
# name: (optimizer, arguments of `compile`, arguments of `build`, whether rows have weights)
CASES = {
    "SGD": (lambda: tf_helen.SGD(0.1), {}, {}, False),
    "AdamAR": (lambda: tf_helen.AdamAR(0.05, alpha=0.01), {}, {}, False),
    "AdaHessian": (lambda: tf_helen.AdaHessian(0.05), {}, {}, False),
    "SAM": (lambda: tf_helen.SAM(0.1, base_optimizer="sgd"), {}, {}, False),
    "Helen": (lambda: tf_helen.Helen(0.1, base_optimizer="sgd"), {}, {}, False),
    "Keras": (lambda: keras.optimizers.SGD(0.1), {}, {"dense": True}, False),
    "loss scaling": (
        lambda: keras.optimizers.LossScaleOptimizer(tf_helen.SAM(0.1, base_optimizer="sgd")),
        {},
        {},
        False,
    ),
    "weighted": (lambda: tf_helen.SGD(0.1), {}, {}, True),
    "weighted mean": (
        lambda: tf_helen.SGD(0.1),
        {"loss": MSE(reduction="mean_with_sample_weight")},
        {"added": True},
        True,
    ),
    "sum": (lambda: tf_helen.SGD(0.02), {"loss": MSE(reduction="sum")}, {"added": True}, True),
    "added losses": (lambda: tf_helen.SGD(0.1), {}, {"added": True}, False),
    "two outputs": (lambda: tf_helen.SGD(0.1), {}, {"outputs": 2}, False),
}
TRACED = " traced"
NAMES = (*CASES, f"added losses{TRACED}")


def build(outputs=1, added=False, dense=False):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((2,), dtype="int32")
    if dense:
        x = keras.layers.Rescaling(0.1)(inputs)
    else:
        x = keras.layers.Flatten()(tf_helen.layers.Embedding([7, 5], 4)(inputs))
    regularizer = keras.regularizers.L2(0.05) if added else None
    # Before Keras 3.14 the loss of an activity regularizer is a sum over rows, not a mean.
    activity = regularizer if KERAS >= (3, 14) else None
    x = keras.layers.Dense(
        3, "tanh", kernel_regularizer=regularizer, activity_regularizer=activity
    )(x)
    x = [keras.layers.Dense(1, name=f"out{i}")(x) for i in range(outputs)]
    return tf_helen.Model(inputs, x if outputs > 1 else x[0])


def train(case, strategy, traced=False):
    make, compiled, built, is_weighted = CASES[case]
    rng = np.random.default_rng(0)
    ids = np.stack([rng.integers(0, size, 11) for size in (7, 5)], axis=1).astype(np.int32)
    label = rng.normal(size=(11, 1)).astype(np.float32)
    label = (label, label**2) if built.get("outputs") == 2 else label
    data = (ids, label, rng.exponential(size=11).astype(np.float32))[: 3 if is_weighted else 2]
    with strategy.scope():
        model = build(**built)
        model.compile(make(), run_eagerly=not traced, **{"loss": "mse", **compiled})
    losses = []
    # Of the last batch the replicas get 2 rows and 1; of one of 1 row, 1 and none.
    for rows in (11, 5 if traced else 7):
        batches = tf.data.Dataset.from_tensor_slices(data).take(rows).batch(4)
        losses += model.fit(batches, verbose=0).history["loss"]
    copies = [tf_helen.core.replicas.copies(v) for v in model.trainable_variables]
    apart = max(np.abs(c[0].numpy() - c[-1].numpy()).max() for c in copies)
    return model.get_weights(), losses, apart


def main(path, *names):
    cpu = tf.config.list_physical_devices("CPU")[0]
    logical = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(cpu, logical)
    one = tf.distribute.get_strategy()
    two = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    results = {}
    for name in names:
        case, traced = name.removesuffix(TRACED), name.endswith(TRACED)
        (weights, loss, _), (others, other_loss, apart) = (
            train(case, strategy, traced) for strategy in (one, two)
        )
        pairs = zip(weights, others, strict=True)
        results[f"{name}/weights"] = max(np.abs(a - b).max() for a, b in pairs)
        results[f"{name}/loss"] = np.abs(np.subtract(loss, other_loss)).max()
        results[f"{name}/copies"] = apart
    np.savez(path, **results)


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Run as a program: trains as one worker of `TF_CONFIG`, or alone, and saves the weights.

two_workers.py PATH NAME...
"""

import json
import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf

import tf_helen

FIELDS = {"user": 50, "item": 20}
MAKES = {
    "Adam": lambda: tf_helen.Adam(0.05),
    "AdamAR": lambda: tf_helen.AdamAR(0.05, alpha=0.01),
    "Helen": lambda: tf_helen.Helen(0.05, rho=0.1),
    "AdaHessian": lambda: tf_helen.AdaHessian(0.05),
    "Helen replica": lambda: tf_helen.Helen(0.05, rho=0.1, perturbation="replica"),
}


class Epochs(keras.callbacks.Callback):
    """Counts what `fit` calls."""

    def __init__(self):
        super().__init__()
        self.epochs = self.batches = 0

    def on_epoch_end(self, epoch, logs=None):
        self.epochs += 1

    def on_train_batch_end(self, batch, logs=None):
        self.batches += 1


def data(rows):
    rng = np.random.default_rng(0)
    ids = np.stack([rng.zipf(1.3, rows) % size for size in FIELDS.values()], axis=1)
    labels = rng.integers(0, 2, (rows, 1)).astype(np.float32)
    return {"ids": ids.astype(np.int32)}, labels


def train(make, strategy, rows, steps_per_execution=1):
    with strategy.scope():
        keras.utils.set_random_seed(0)
        inputs = keras.Input((2,), dtype="int32", name="ids")
        x = keras.layers.Flatten()(tf_helen.layers.Embedding(FIELDS, 4)(inputs))
        x = keras.layers.Dense(8, activation="tanh")(x)
        model = tf_helen.Model({"ids": inputs}, keras.layers.Dense(1)(x))
        model.compile(
            make(),
            keras.losses.BinaryCrossentropy(from_logits=True),
            metrics=[tf_helen.metrics.LogLoss(from_logits=True, name="log_loss")],
            steps_per_execution=steps_per_execution,
        )
    calls = Epochs()
    batches = tf.data.Dataset.from_tensor_slices(data(rows)).batch(64)
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    history = model.fit(batches.with_options(options), epochs=2, verbose=0, callbacks=[calls])
    return model, history.history, calls


def main(path, rows, *names):
    is_worker = "TF_CONFIG" in os.environ
    index = 0
    if is_worker:
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
        index = json.loads(os.environ["TF_CONFIG"])["task"]["index"]
    else:
        strategy = tf.distribute.get_strategy()
    results = {}
    for name in names:
        steps = 2 if name.endswith(" x2") else 1
        model, history, calls = train(MAKES[name.removesuffix(" x2")], strategy, int(rows), steps)
        for i, value in enumerate(model.get_weights()):
            results[f"{name}/{i}"] = value
        results[f"{name}/loss"] = np.array(history["loss"])
        results[f"{name}/log_loss"] = np.array(history["log_loss"])
        results[f"{name}/calls"] = np.array([calls.epochs, calls.batches])
    np.savez(f"{path}.{index}.npz" if is_worker else f"{path}.npz", **results)


if __name__ == "__main__":
    main(*sys.argv[1:])

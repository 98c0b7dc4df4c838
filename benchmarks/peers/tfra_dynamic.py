"""A step with TFRA's dynamic embedding on the ids of `benchmarks/id_stream.py`; prints JSON.

    TF_USE_LEGACY_KERAS=1 python benchmarks/peers/tfra_dynamic.py ROWS NEW ROUNDS STEPS

Runs in an environment with `tensorflow-recommenders-addons`, its TensorFlow (2.16) and `tf-keras`,
without this project. One hash table holds the ids of all fields, which are made different by the
number of the field; there is one lookup of the distinct ids per step.
"""

import json
import os
import pathlib
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import numpy as np
import tensorflow as tf
from id_stream import BATCH, DIM, FIELDS, HIDDEN, batches, known_numbers, raw_ids
from tensorflow_recommenders_addons import dynamic_embedding as de


def ids_of(numbers: np.ndarray) -> tf.Tensor:
    """Raw ids, different for different fields."""
    return tf.constant(raw_ids(numbers * FIELDS + np.arange(FIELDS)))


def main(rows: int, new: float, rounds: int, steps: int) -> None:
    table = de.get_variable(
        "ids", dim=DIM, initializer=tf.keras.initializers.RandomUniform(-0.05, 0.05)
    )
    values = tf.random.uniform([100_000 * FIELDS, DIM], -0.05, 0.05)
    for known in known_numbers(rows):
        ids = tf.reshape(ids_of(known), [-1])
        table.upsert(ids, values[: len(ids)])
    tower = tf.keras.Sequential(
        [tf.keras.layers.Dense(units, activation="relu") for units in HIDDEN]
        + [tf.keras.layers.Dense(1)]
    )
    tower.build((None, FIELDS * DIM))
    optimizer = de.DynamicEmbeddingOptimizer(tf.keras.optimizers.Adam())
    loss_of = tf.keras.losses.BinaryCrossentropy(from_logits=True)
    shadow = de.shadow_ops.ShadowVariable(table, name="shadow")
    rng = np.random.default_rng(1)
    labels = tf.constant(rng.integers(0, 2, (BATCH, 1)), tf.float32)

    @tf.function
    def step(ids):
        with tf.GradientTape() as tape:
            distinct, places = tf.unique(tf.reshape(ids, [-1]))
            found = de.shadow_ops.embedding_lookup(shadow, distinct)
            x = tf.reshape(tf.gather(found, places), [-1, FIELDS * DIM])
            loss = loss_of(labels, tower(x, training=True))
        variables = [shadow, *tower.trainable_variables]
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        return loss

    data = [ids_of(numbers) for numbers in batches(rows, new, 8 + rounds * (steps + 2))]
    taken, found = 0, []
    for count in (8, *[2, steps] * rounds):
        start = time.perf_counter()
        for _ in range(count):
            step(data[taken])
            taken += 1
        found.append(1e3 * (time.perf_counter() - start) / count)
    print(json.dumps({"ms": found[2::2]}))


if __name__ == "__main__":
    main(int(float(sys.argv[1])), float(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))

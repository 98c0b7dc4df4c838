"""Run as a program: trains a `DynamicEmbedding` alone, and on replicas or parameter servers.

Prints the largest difference of the weights, and the ids of both, as JSON. A separate process,
because logical CPUs must be set, and servers started, before other uses of TensorFlow.
"""

import contextlib
import json
import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from optimizer_table import ENTRIES
from sharded_runs import Servers, weights

import tf_helen
from tf_helen.layers import Admission, DynamicEmbedding, Eviction

RNG = np.random.default_rng(0)
# The last batch of the replicas has different numbers of rows.
SIZES = (16, 16, 16, 16, 16, 11)
BATCHES = [
    (
        np.stack([RNG.zipf(1.4, size) % 40, RNG.zipf(1.4, size) % 25], axis=1),
        RNG.integers(0, 2, size=(size, 1)).astype(np.float32),
    )
    for size in SIZES
]


def build(make, shards=1, min_age=1):
    inputs = keras.Input((2,), dtype="int64")
    layer = DynamicEmbedding(
        {"user": 14, "item": 13},
        4,
        shards=shards,
        admission=Admission(min_count=2),
        eviction=Eviction("count", min_age=min_age),
        embeddings_initializer=keras.initializers.RandomNormal(stddev=0.5, seed=3),
    )
    x = keras.layers.Flatten()(layer(inputs))
    seeded = keras.initializers.GlorotUniform(seed=5)
    model = tf_helen.Model(inputs, keras.layers.Dense(1, kernel_initializer=seeded)(x))
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    model.compile(make(), loss, jit_compile=False)
    return model, layer


def state_of(layer):
    keep = ("row", "id", "count", "last_step", "admitted", "evicted", "refused")
    return {
        field: {name: np.asarray(state[name]).tolist() for name in keep}
        for field, state in layer.table_state().items()
    }


def fitted(make, strategy=None, **settings):
    with strategy.scope() if strategy else contextlib.nullcontext():
        model, layer = build(make, **settings)
    whole = tuple(np.concatenate(parts) for parts in zip(*BATCHES, strict=True))
    model.fit(tf.data.Dataset.from_tensor_slices(whole).batch(16), epochs=2, verbose=0)
    if strategy:
        for variable in model.variables:
            copies = [copy.numpy() for copy in variable.value.values]
            np.testing.assert_array_equal(copies[0], copies[1], variable.path)
    return weights(model), state_of(layer)


def served(make, **settings):
    cluster = Servers()
    with cluster.strategy.scope():
        model, layer = build(make, **settings)
        model.optimizer.build(model.trainable_variables)
    step = tf.function(lambda x, y: model.train_step((x, y)))
    for batch in BATCHES * 2:
        cluster.coordinator.schedule(step, args=tuple(map(tf.constant, batch)))
        cluster.coordinator.join()
    return weights(model), state_of(layer)


def contended(make):
    """Two workers take steps at the same time: which ids have rows depends on their order."""
    cluster = Servers(workers=2)
    with cluster.strategy.scope():
        model, layer = build(make, shards="auto", min_age=20)
        model.optimizer.build(model.trainable_variables)
    step = tf.function(lambda x, y: model.train_step((x, y)))
    labels = tf.ones([16, 1])
    for _ in range(120):
        ids = tf.constant(RNG.zipf(1.3, (16, 2)) % 1000)
        cluster.coordinator.schedule(step, args=(ids, labels))
    cluster.coordinator.join()
    found = {}
    for field, state in layer.table_state().items():
        ids, rows = state["id"].tolist(), state["row"].tolist()
        found[field] = {
            "ids": len(ids),
            "distinct": len(set(ids)),
            "evicted": state["evicted"],
            "as_found": layer.rows_of(field, ids).tolist() == rows,
            "others": sum(layer.rows_of(field, sorted(set(range(1000)) - set(ids))).tolist()),
        }
    return found


def main(how, name):
    make = ENTRIES[name].make
    if how == "contended":
        print(json.dumps(contended(make)))
        sys.stdout.flush()
        os._exit(0)
    if how == "replicas":
        cpu = tf.config.list_physical_devices("CPU")[0]
        logical = [tf.config.LogicalDeviceConfiguration()] * 2
        tf.config.set_logical_device_configuration(cpu, logical)
        one = fitted(make)
        other = fitted(make, tf.distribute.MirroredStrategy(["/cpu:0", "/cpu:1"]))
    else:
        one, other = fitted(make, min_age=2), served(make, shards="auto", min_age=2)
    pairs = zip(one[0], other[0], strict=True)
    differences = [float(np.abs(a - b).max()) for a, b in pairs if a.dtype.kind == "f"]
    print(json.dumps({"difference": max(differences), "one": one[1], "other": other[1]}))
    sys.stdout.flush()
    os._exit(0)  # servers do not end otherwise


if __name__ == "__main__":
    main(*sys.argv[1:])

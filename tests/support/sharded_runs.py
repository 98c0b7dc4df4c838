"""Run as a program: trains one table, and its shards on replicas or parameter servers.

Prints the largest difference of the weights for each optimizer, as JSON. A separate process,
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

import tf_helen
from launch.run.local_tasks import free_ports
from tf_helen.core.whole_state import whole_variables

RNG = np.random.default_rng(0)
BATCHES = [
    (
        np.minimum(RNG.geometric(0.3, size=(16, 2)) - 1, [9, 6]).astype(np.int32),
        RNG.integers(0, 2, size=(16, 1)).astype(np.float32),
    )
    for _ in range(4)
]


def build(shards, make, run_eagerly=False):
    inputs = keras.Input((2,), dtype="int32")
    layer = tf_helen.layers.Embedding(
        {"user": 10, "item": 7},
        4,
        shards=shards,
        embeddings_initializer=keras.initializers.RandomNormal(stddev=0.5, seed=3),
    )
    x = keras.layers.Flatten()(layer(inputs))
    seeded = keras.initializers.GlorotUniform(seed=5)
    model = tf_helen.Model(inputs, keras.layers.Dense(1, kernel_initializer=seeded)(x))
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    model.compile(make(), loss, jit_compile=False, run_eagerly=run_eagerly)
    return model, layer


def weights(model):
    model.optimizer.finalize_variable_values(model.trainable_variables)
    return [variable.numpy() for variable in whole_variables(model.weights)]


def fitted(make, shards, strategy=None):
    with strategy.scope() if strategy else contextlib.nullcontext():
        model, _ = build(shards, make, run_eagerly=strategy is not None)
    whole = tuple(np.concatenate(parts) for parts in zip(*BATCHES, strict=True))
    model.fit(tf.data.Dataset.from_tensor_slices(whole).batch(16), verbose=0)
    return weights(model)


class Servers:
    """Two parameter servers and some workers, in this process."""

    def __init__(self, workers=1):
        jobs = {"worker": workers, "ps": 2}
        ports = free_ports(sum(jobs.values()))
        spec = {job: [f"localhost:{ports.pop()}" for _ in range(n)] for job, n in jobs.items()}
        cluster = tf.train.ClusterSpec(spec)
        self.servers = [
            tf.distribute.Server(cluster, job_name=job, task_index=i, protocol="grpc")
            for job, number in jobs.items()
            for i in range(number)
        ]
        resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(cluster, rpc_layer="grpc")
        self.strategy = tf.distribute.ParameterServerStrategy(resolver)
        self.coordinator = tf.distribute.coordinator.ClusterCoordinator(self.strategy)

    def train(self, make):
        with self.strategy.scope():
            model, layer = build("auto", make)
            model.optimizer.build(model.trainable_variables)
        shards = layer.embeddings.variables
        assert len({variable.value.device for variable in shards}) == 2
        step = tf.function(lambda x, y: model.train_step((x, y)))
        for batch in BATCHES:
            self.coordinator.schedule(step, args=tuple(map(tf.constant, batch)))
            self.coordinator.join()
        driver = model.optimizer
        for variable in shards:
            for slot in getattr(driver, "base_optimizer", driver).slots_of(variable).values():
                assert slot.value.device == variable.value.device
        return weights(model)


def main(how, *names):
    if how == "replicas":
        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(
            cpu, [tf.config.LogicalDeviceConfiguration()] * 2
        )
        # For one optimizer per process: collectives of a second one have the same numbers.
        strategy = tf.distribute.MirroredStrategy(["/cpu:0", "/cpu:1"])

        def train(make):
            return fitted(make, 3, strategy)

    else:
        train = Servers().train
    found = {}
    for name in names:
        pairs = zip(fitted(ENTRIES[name].make, 1), train(ENTRIES[name].make), strict=True)
        found[name] = float(max(np.abs(one - many).max() for one, many in pairs))
    print(json.dumps(found), flush=True)
    os._exit(0)  # servers do not end otherwise


if __name__ == "__main__":
    main(*sys.argv[1:])

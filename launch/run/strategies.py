"""The distribution strategy of a run."""

from __future__ import annotations

import contextlib
import os

import tensorflow as tf

from tf_helen.core.checks import one_of

ONE_PROCESS = ("none", "mirrored")
STRATEGIES = (*ONE_PROCESS, "multi_worker", "parameter_server")


def make_strategy(name: str, cpu_replicas: int = 0) -> tf.distribute.Strategy:
    """Creates the distribution strategy of a run in one process.

    Args:
        name: "none" (one device) or "mirrored" (one replica per GPU or logical CPU).
        cpu_replicas: int, number of logical CPUs that "mirrored" uses instead of GPUs; 0: GPUs.
            Defaults to 0.

    Returns:
        A `tf.distribute.Strategy`.

    Raises:
        ValueError: on an unknown name, if there is no GPU, or if TensorFlow already runs with
            fewer logical CPUs.

    Example:
        >>> make_strategy("none").num_replicas_in_sync
        1
    """
    one_of("strategy", name, ONE_PROCESS)
    if name == "none":
        if cpu_replicas:
            raise ValueError(
                f"cpu_replicas={cpu_replicas} needs strategy=mirrored. Received: strategy=none"
            )
        return tf.distribute.get_strategy()
    if cpu_replicas:
        return tf.distribute.MirroredStrategy(_logical_cpus(cpu_replicas))
    gpus = tf.config.list_logical_devices("GPU")
    if not gpus:
        raise ValueError(
            "strategy=mirrored found no GPU; use strategy=none, or cpu_replicas=2 to run on CPUs"
        )
    return tf.distribute.MirroredStrategy([gpu.name for gpu in gpus])


def _logical_cpus(number: int) -> list[str]:
    if number < 1:
        raise ValueError(f"cpu_replicas={number}; use a positive integer")
    cpu = tf.config.list_physical_devices("CPU")[0]
    # Once TensorFlow runs, this raises, and the existing devices are used.
    with contextlib.suppress(RuntimeError):
        # All replicas share the threads of one operation. With as many threads as cores, the
        # operations of the replicas wait for each other.
        given = tf.config.threading.get_intra_op_parallelism_threads()
        if not given and "TF_NUM_INTRAOP_THREADS" not in os.environ:
            threads = max(1, (os.cpu_count() or 1) // number)
            tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.set_logical_device_configuration(
            cpu, [tf.config.LogicalDeviceConfiguration()] * number
        )
    devices = tf.config.list_logical_devices("CPU")
    if len(devices) < number:
        raise ValueError(
            f"cpu_replicas={number}, but this process already runs with {len(devices)} logical "
            "CPUs; start a new process"
        )
    return [device.name for device in devices[:number]]

"""What workers and parameter servers do: they serve the chief until it ends."""

from __future__ import annotations

import os
import signal
import time

import tensorflow as tf

from launch.run.cluster import Cluster, check_port, is_reachable, task_name

_LEAST_THREADS = 16
_POLL = 1.0  # seconds


def prepare_process() -> None:
    """Sets what TensorFlow needs in every process of a cluster; call it before TensorFlow runs.

    A function that reads variables of several servers occupies one thread per server while it
    waits. With one thread, the default on one core, it waits forever.
    """
    name = "TF_NUM_INTEROP_THREADS"
    given = os.environ.get(name, "")
    threads = int(given) if given.isdecimal() else os.cpu_count() or 1
    os.environ[name] = str(max(threads, _LEAST_THREADS))
    # A call to a process that has ended fails instead of waiting for it.
    os.environ.setdefault("GRPC_FAIL_FAST", "use_caller")


def serve(cluster: Cluster, seconds: float) -> None:
    """Serves the chief as a worker or parameter server.

    Args:
        cluster: `Cluster`; the task of this process is a worker or a parameter server.
        seconds: float, how long to wait for the chief to start, and for a chief that has ended to
            start again, as `--resume` does.

    Raises:
        ValueError: if the port is in use, or the chief does not start.
    """
    prepare_process()
    check_port(cluster)
    if cluster.task_type == "worker":  # one replica per worker
        tf.config.set_visible_devices(tf.config.list_physical_devices("GPU")[:1], "GPU")
    else:
        tf.config.set_visible_devices([], "GPU")
    for number in (signal.SIGINT, signal.SIGTERM):  # nothing is left to write
        signal.signal(number, signal.SIG_DFL)
    server = tf.distribute.Server(
        cluster.spec(), job_name=cluster.task_type, task_index=cluster.index, protocol="grpc"
    )
    print(f"{cluster.name} listens at {cluster.address}", flush=True)
    (chief,) = cluster.addresses["chief"]
    seen, last = False, time.monotonic()
    while time.monotonic() - last < seconds:
        if is_reachable(chief):
            seen, last = True, time.monotonic()
        time.sleep(_POLL)
    del server
    if not seen:
        raise ValueError(
            f"{task_name('chief', 0)} ({chief}) did not start within {seconds:g} s; start every "
            "task of TF_CONFIG, or wait longer with --cluster_wait"
        )
    print(f"the chief ({chief}) has ended; {cluster.name} ends too", flush=True)
    os._exit(0)  # TensorFlow cannot stop a server

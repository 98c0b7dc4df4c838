"""The workers of a cluster that train synchronously, one process each."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
import zlib
from typing import Any

import tensorflow as tf

from launch import cli
from launch.run.cluster import Cluster, check_port, is_reachable, meet
from launch.run.server_watch import TaskLostError
from launch.run.serving_tasks import prepare_process
from tf_helen.callbacks import Terminated
from tf_helen.core.workers import Workers

_LEAST_START = 30.0  # seconds to connect to workers that have started


class SyncWorkers:
    """This process as one of several workers that take every step together.

    Args:
        cluster: `Cluster`, the workers and the task of this process.
        batch_size: int, rows per step over all replicas.
        seconds: float, how long to wait for the other workers.

    Attributes:
        strategy: `tf.distribute.MultiWorkerMirroredStrategy`.

    Raises:
        ValueError: if the replicas cannot share a batch evenly, the port is in use, or a worker
            does not start.
        TaskLostError: at the end of the block, if a worker was lost in it.

    Example:
        >>> with SyncWorkers(read_cluster("multi_worker"), 512, 60) as workers:  # doctest: +SKIP
        ...     with workers.strategy.scope():
        ...         model = compiled_model()
    """

    def __init__(self, cluster: Cluster, batch_size: int, seconds: float):
        prepare_process()
        others = cluster.count("chief") + cluster.count("worker")
        replicas = others * max(1, len(tf.config.list_physical_devices("GPU")))
        if batch_size % replicas:
            raise ValueError(
                f"batch_size={batch_size} cannot be shared by {replicas} replicas of {others} "
                f"workers; use a multiple of {replicas}"
            )
        check_port(cluster)
        meet(cluster, seconds)
        self._cluster = cluster
        # TensorFlow would wait an hour for a worker that ends now.
        timer = threading.Timer(max(seconds, _LEAST_START), self._give_up, [seconds])
        timer.daemon = True
        timer.start()
        self.strategy = tf.distribute.MultiWorkerMirroredStrategy(cluster.resolver())
        self._workers = Workers(self.strategy)
        timer.cancel()

    def __enter__(self) -> SyncWorkers:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: object) -> None:
        if error is None or isinstance(error, Terminated):  # all workers end after the same step
            self._part()
        elif isinstance(error, tf.errors.OpError):
            self._check_lost()

    def check_same(self, **facts: Any) -> None:
        """Raises unless all workers have the same facts.

        Args:
            **facts: what must be equal, by name, as values of JSON.

        Raises:
            ValueError: names what differs.
        """
        sums = [zlib.crc32(json.dumps(v, sort_keys=True).encode()) for v in facts.values()]
        found = self._workers.gather(sums)
        differ = [
            name for name, column in zip(facts, found.T, strict=True) if len({*column.tolist()}) > 1
        ]
        if differ:
            raise ValueError(
                f"the workers have different {' and '.join(differ)}; start every worker with the "
                "same arguments and data"
            )

    def _part(self) -> None:
        """Waits until all workers have taken the last step, after which none needs another."""
        # A worker that has left ends the call with an error; this one is done, too.
        with contextlib.suppress(tf.errors.OpError):
            self._workers.gather([0])

    def _lost(self) -> list[str]:
        return [
            f"{name} ({address})"
            for name, address in self._cluster.tasks("chief", "worker")
            if address != self._cluster.address and not is_reachable(address)
        ]

    def _give_up(self, seconds: float) -> None:
        names = ", ".join(self._lost()) or "a worker"
        cli.end_at_once(
            ValueError(
                f"{names} started and did not connect within {seconds:g} s; start all workers again"
            )
        )

    def _check_lost(self) -> None:
        lost = self._lost()
        if lost:
            was = "was" if len(lost) == 1 else "were"
            raise TaskLostError(
                f"{', '.join(lost)} {was} lost; start all workers again and continue from the last "
                "checkpoint with --resume"
            ) from None


def leave(code: int = 0) -> None:
    """Ends the process at once: TensorFlow would wait for the other workers."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)

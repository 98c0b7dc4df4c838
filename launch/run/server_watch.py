"""Notices which workers and parameter servers of a cluster are lost."""

from __future__ import annotations

import logging
import re
import sys
import threading
import time

import tensorflow as tf

from launch.run.cluster import Cluster, is_reachable, task_name

_SERVER = re.compile(r"/job:ps/replica:\d+/task:(\d+)")
_POLL = 1.0  # seconds
_LOST_AFTER = 3  # polls without an answer
# How TensorFlow reports a task that has ended, or was started again.
_LOSSES = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.InvalidArgumentError,
    tf.errors.NotFoundError,
    tf.errors.InternalError,
    tf.errors.UnknownError,
    tf.errors.FailedPreconditionError,
)


class TaskLostError(ConnectionError):
    """A parameter server, or every worker, is lost."""


class Watch:
    """Asks the workers and parameter servers of a cluster at short intervals whether they run.

    A worker that is lost, or comes back, is reported by one line.

    Args:
        cluster: `Cluster`.
        seconds: float, how long to wait for a worker if all are lost.

    Example:
        >>> watch = Watch(cluster, 60)  # doctest: +SKIP
        >>> watch.start()  # doctest: +SKIP
    """

    def __init__(self, cluster: Cluster, seconds: float):
        self._cluster, self._seconds = cluster, seconds
        self._missed: dict[str, int] = {}
        self._lost: set[str] = set()
        self._without_worker: float | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Begins to watch, in a thread."""
        self._thread.start()

    def stop(self) -> None:
        """Ends watching."""
        self._ended.set()

    def check(self) -> None:
        """Raises if a parameter server is lost, or if all workers are for too long.

        Raises:
            TaskLostError: names the tasks.
        """
        lost = set(self._lost)
        servers = [name for name, _ in self._cluster.tasks("ps") if name in lost]
        if servers:
            raise self._lost_servers(servers)
        since = self._without_worker
        if since is not None and time.monotonic() - since > self._seconds:
            raise TaskLostError(
                f"no worker is left: {self._named(sorted(lost))} did not come back within "
                f"{self._seconds:g} s; start the workers again and continue with --resume"
            )

    def check_error(self, error: tf.errors.OpError) -> None:
        """Raises an error that names the lost servers, if they are the reason of another error.

        Args:
            error: an error of TensorFlow.

        Raises:
            TaskLostError: names the servers.
        """
        names = self._servers_behind(str(error)) if isinstance(error, _LOSSES) else []
        if names:
            raise self._lost_servers(names) from None

    def _lost_servers(self, names: list[str]) -> TaskLostError:
        was = "was" if len(names) == 1 else "were"
        return TaskLostError(
            f"{self._named(names)} {was} lost, with the variables there; start all tasks again and "
            "continue from the last checkpoint with --resume"
        )

    def _servers_behind(self, message: str) -> list[str]:
        """Returns the parameter servers that do not answer, else those that an error names."""
        servers = dict(self._cluster.tasks("ps"))
        silent = [name for name, address in servers.items() if not is_reachable(address)]
        if silent:
            return silent
        if "unavailable" not in message.lower() and "unknown device" not in message.lower():
            return []  # an error of the model, which may name the device of a variable
        named = {task_name("ps", int(number)) for number in _SERVER.findall(message)}
        return sorted(named & servers.keys())

    def _named(self, names: list[str]) -> str:
        addresses = dict(self._cluster.tasks("worker", "ps"))
        return ", ".join(f"{name} ({addresses[name]})" for name in names)

    def _run(self) -> None:
        while not self._ended.wait(_POLL):
            for name, address in self._cluster.tasks("worker", "ps"):
                if is_reachable(address):
                    self._missed[name] = 0
                    if name in self._lost:
                        self._lost.discard(name)
                        _say(f"{name} ({address}) is back")
                    continue
                self._missed[name] = self._missed.get(name, 0) + 1
                if self._missed[name] == _LOST_AFTER and not self._ended.is_set():
                    self._lost.add(name)
                    if name.startswith("worker"):
                        _say(
                            f"warning: {name} ({address}) is lost; training continues with the "
                            "other workers, which repeat its step"
                        )
            self._note_workers()

    def _note_workers(self) -> None:
        workers = [name for name, _ in self._cluster.tasks("worker")]
        if any(name not in self._lost for name in workers):
            self._without_worker = None
        elif self._without_worker is None:
            self._without_worker = time.monotonic()


class LossesReported(logging.Filter):
    """Discards TensorFlow's lines about lost tasks, which `Watch` reports, and about savers.

    TensorFlow logs several lines per lost call, and warns that the function that writes a
    checkpoint to several servers is traced for each checkpoint.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        if record.filename == "cluster_coordinator.py":
            return record.levelno > logging.ERROR
        return "MultiDeviceSaver" not in record.getMessage()


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)

"""The tasks of a cluster, read from `TF_CONFIG`, and whether they can be reached."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import json
import os
import socket
import time
from collections.abc import Iterable, Mapping
from typing import Any

import tensorflow as tf

from tf_helen.core.checks import nearest, one_of

TASKS = ("chief", "worker", "ps", "evaluator")
_WORDS = {"ps": "parameter server"}
_HOW = "python -m launch.local_cluster starts a cluster on this machine"
_FORM = '{"cluster": {"worker": ["host:port", ...], ...}, "task": {"type": "worker", "index": 0}}'


@dataclasses.dataclass(frozen=True)
class Cluster:
    """The addresses of a cluster, and the task of this process.

    Args:
        addresses: dict from task type to the addresses of its tasks, `host:port`, without the
            evaluator, to which no other task connects.
        task_type: "chief", "worker", "ps" or "evaluator".
        index: int, number of the task among those of its type. Defaults to 0.

    Example:
        >>> cluster = Cluster({"worker": ("a:1", "b:1")}, "worker", 1)
        >>> cluster.name, cluster.count("worker"), cluster.address
        ('worker 1', 2, 'b:1')
    """

    addresses: Mapping[str, tuple[str, ...]]
    task_type: str
    index: int = 0

    @property
    def name(self) -> str:
        """The task of this process in words, such as "worker 1"."""
        return task_name(self.task_type, self.index)

    @property
    def address(self) -> str | None:
        """The address of this process; `None` for an evaluator."""
        own = self.addresses.get(self.task_type)
        return own[self.index] if own and self.task_type != "evaluator" else None

    @property
    def leads(self) -> bool:
        """Whether this process writes the files: the chief, or else worker 0."""
        return (self.task_type, self.index) == ("worker" if not self.count("chief") else "chief", 0)

    def count(self, task_type: str) -> int:
        """Returns the number of tasks of a type."""
        return len(self.addresses.get(task_type, ()))

    def tasks(self, *task_types: str) -> list[tuple[str, str]]:
        """Returns the name and the address of each task of some types."""
        return [
            (task_name(kind, number), address)
            for kind in task_types
            for number, address in enumerate(self.addresses.get(kind, ()))
        ]

    def spec(self) -> tf.train.ClusterSpec:
        """Returns the addresses as TensorFlow expects them."""
        return tf.train.ClusterSpec({kind: list(all_) for kind, all_ in self.addresses.items()})

    def resolver(self) -> tf.distribute.cluster_resolver.ClusterResolver:
        """Returns the cluster resolver of this task."""
        return tf.distribute.cluster_resolver.SimpleClusterResolver(
            self.spec(), task_type=self.task_type, task_id=self.index, rpc_layer="grpc"
        )


def task_name(task_type: str, index: int) -> str:
    """Returns a task in words.

    Example:
        >>> task_name("ps", 1), task_name("chief", 0)
        ('parameter server 1', 'chief')
    """
    if task_type in ("chief", "evaluator"):
        return task_type
    return f"{_WORDS.get(task_type, task_type)} {index}"


def read_cluster(strategy: str, content: str | None = None) -> Cluster:
    """Reads and checks the cluster of a strategy.

    Args:
        strategy: "parameter_server", which needs a chief, workers and parameter servers (`ps`), or
            "multi_worker", which needs workers, of which one may be named "chief".
        content: string, the value of `TF_CONFIG`. Defaults to `None`: that of the environment.

    Returns:
        The `Cluster`.

    Raises:
        ValueError: if `TF_CONFIG` is missing, not JSON or incomplete, or does not fit the strategy.

    Example:
        >>> cluster = {"worker": ["a:1", "b:1"]}
        >>> config = {"cluster": cluster, "task": {"type": "worker", "index": 1}}
        >>> read_cluster("multi_worker", json.dumps(config)).name
        'worker 1'
    """
    content = os.environ.get("TF_CONFIG", "") if content is None else content
    if not content.strip():
        raise ValueError(
            f"strategy={strategy} needs the environment variable TF_CONFIG, {_FORM}; {_HOW}"
        )
    try:
        config = json.loads(content)
    except ValueError as error:
        raise ValueError(f"TF_CONFIG is not JSON ({error}); write {_FORM}") from None
    cluster, task = (_part(config, name) for name in ("cluster", "task"))
    addresses = {kind: _addresses(kind, given) for kind, given in cluster.items()}
    _check_unique(addresses)
    addresses.pop("evaluator", None)
    addresses = {kind: addresses[kind] for kind in TASKS if addresses.get(kind)}
    _check_tasks(strategy, addresses)
    return Cluster(addresses, *_own_task(task, addresses, strategy))


def _part(config: Any, name: str) -> dict[str, Any]:
    part = config.get(name) if isinstance(config, dict) else None
    if not isinstance(part, dict) or not part:
        received = f"Received: {part!r}" if part is not None else "it is missing"
        raise ValueError(f"TF_CONFIG needs an object {name!r}; {received}. Write {_FORM}")
    return part


def _addresses(kind: str, given: Any) -> tuple[str, ...]:
    if kind not in TASKS:
        raise ValueError(
            f"TF_CONFIG names tasks of the unknown type {kind!r}.{nearest(kind, TASKS)} Known: "
            f"{', '.join(TASKS)}"
        )
    if not isinstance(given, list) or not all(isinstance(one, str) for one in given):
        raise ValueError(
            f'the tasks {kind!r} of TF_CONFIG must be a list of addresses, ["host:port"]. '
            f"Received: {given!r}"
        )
    for one in given:
        host, _, port = one.rpartition(":")
        if not host or not port.isdecimal() or not 0 < int(port) < 65536:
            raise ValueError(
                f"TF_CONFIG names the address {one!r} of a {kind}; write host:port with a port "
                "from 1 to 65535"
            )
    return tuple(given)


def _check_unique(addresses: Mapping[str, Iterable[str]]) -> None:
    seen: dict[str, str] = {}
    for kind, all_ in addresses.items():
        for number, address in enumerate(all_):
            name = task_name(kind, number)
            if address in seen:
                raise ValueError(
                    f"TF_CONFIG gives {seen[address]} and {name} the same address {address}; give "
                    "each task a port of its own"
                )
            seen[address] = name


def _check_tasks(strategy: str, addresses: Mapping[str, tuple[str, ...]]) -> None:
    present = ", ".join(f"{len(all_)} {kind}" for kind, all_ in addresses.items()) or "no task"
    if len(addresses.get("chief", ())) > 1:
        raise ValueError(f"TF_CONFIG must name one chief. Received: {present}")
    if strategy == "parameter_server":
        missing = [kind for kind in ("chief", "worker", "ps") if kind not in addresses]
        if missing:
            raise ValueError(
                f"TF_CONFIG names no {missing[0]}; strategy=parameter_server needs one chief, and "
                f"at least one worker and one ps. Received: {present}"
            )
        return
    if "ps" in addresses:
        raise ValueError(
            f"TF_CONFIG names a ps, which strategy={strategy} does not use; use "
            f"strategy=parameter_server or leave the ps out. Received: {present}"
        )
    if "worker" not in addresses and "chief" not in addresses:
        raise ValueError(f"TF_CONFIG names no worker; strategy={strategy} needs workers")


def _own_task(
    task: Mapping[str, Any], addresses: Mapping[str, tuple[str, ...]], strategy: str
) -> tuple[str, int]:
    kind = one_of("type of the task in TF_CONFIG", task.get("type"), TASKS)
    index = task.get("index", 0)
    if isinstance(index, bool) or not isinstance(index, int):
        raise ValueError(
            f"the index of the task in TF_CONFIG must be an integer. Received: {index!r}"
        )
    if kind == "evaluator":
        if strategy != "parameter_server":
            raise ValueError(f"strategy={strategy} has no evaluator; leave the task out")
        return kind, index
    known = len(addresses.get(kind, ()))
    if not 0 <= index < known:
        raise ValueError(
            f"this process is {kind} {index} in TF_CONFIG, and its cluster names {known} of this "
            "type; " + (f"use an index from 0 to {known - 1}" if known else f"add a {kind} to it")
        )
    return kind, index


def check_port(cluster: Cluster) -> None:
    """Raises unless this process can listen at its address.

    Args:
        cluster: `Cluster`; an evaluator has no address.

    Raises:
        ValueError: if another process uses the port.
    """
    if cluster.address is None:
        return
    _bound(cluster.name, cluster.address).close()


def _bound(name: str, address: str) -> socket.socket:
    """Returns a socket that is bound to the port of a task."""
    port = int(address.rpartition(":")[2])
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    # As gRPC does: a port whose last connection has just ended is free.
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind(("", port))
    except OSError as error:
        bound.close()
        why = "is in use" if error.errno == errno.EADDRINUSE else f"cannot be used ({error})"
        raise ValueError(
            f"port {port} of {name} {why}; stop the process that uses it, or name another port in "
            "TF_CONFIG of every task"
        ) from None
    return bound


def is_reachable(address: str, seconds: float = 1.0) -> bool:
    """Returns whether a process listens at an address.

    Args:
        address: string, `host:port`.
        seconds: float, the longest time to wait for an answer. Defaults to 1.

    Example:
        >>> is_reachable("localhost:1")
        False
    """
    host, _, port = address.rpartition(":")
    with contextlib.suppress(OSError):
        socket.create_connection((host.strip("[]"), int(port)), seconds).close()
        return True
    return False


def wait_for_tasks(tasks: Iterable[tuple[str, str]], seconds: float) -> None:
    """Waits until a process listens at the address of each task.

    Args:
        tasks: names and addresses, see `Cluster.tasks`.
        seconds: float, the longest time to wait.

    Raises:
        ValueError: names the tasks that did not start.
    """
    end, missing = time.monotonic() + seconds, list(tasks)
    while missing := [task for task in missing if not is_reachable(task[1])]:
        if time.monotonic() >= end:
            names = ", ".join(f"{name} ({address})" for name, address in missing)
            raise ValueError(
                f"{names} did not start within {seconds:g} s; start every task of TF_CONFIG, or "
                "wait longer with --cluster_wait"
            )
        time.sleep(0.1)


def meet(cluster: Cluster, seconds: float) -> None:
    """Waits for the other workers, each of which listens at its address until it has seen all.

    TensorFlow's strategy waits for them without a limit, and does not name the one that is missing.

    Args:
        cluster: `Cluster`; the task of this process is a worker or the chief.
        seconds: float, the longest time to wait.

    Raises:
        ValueError: if the port is in use, or names the workers that did not start.
    """
    assert cluster.address is not None
    with _bound(cluster.name, cluster.address) as listener:
        listener.listen()
        others = [task for task in cluster.tasks("chief", "worker") if task[1] != cluster.address]
        wait_for_tasks(others, seconds)

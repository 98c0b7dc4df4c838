"""The processes of a cluster on this machine: starts them, labels their output, ends them."""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import IO

from launch.run.cluster import task_name

_GRACE = 10.0  # seconds from a signal to SIGKILL
_LAST_SCORES = 60.0  # seconds for the evaluator to score the last checkpoint
_DIES_WITH_PARENT = 1  # PR_SET_PDEATHSIG of Linux
_LINE = re.compile(rb"[^\r\n]*[\r\n]+|[^\r\n]+$")


@dataclasses.dataclass
class Task:
    """One process of a cluster.

    Args:
        name: string, such as "worker 1".
        process: the running process.
    """

    name: str
    process: subprocess.Popen


class LocalCluster:
    """A cluster of processes on the loopback interface, each with its `TF_CONFIG`.

    Use it as a context manager: all processes have ended when the block ends. If this process is
    killed, the operating system ends them.

    Args:
        command: sequence of strings, the arguments of Python, the same for each process.
        workers: int, number of workers, at least 1.
        ps: int, number of parameter servers. With 0, worker 0 leads; else a chief is added.
        evaluator: boolean, whether to add an evaluator. Defaults to `False`.
        environment: dict, variables of the environment of each process, in addition to those of
            this process. Defaults to `None`.

    Example:
        >>> with LocalCluster(["-c", "print('hello')"], workers=2, ps=0) as cluster:
        ...     cluster.wait()  # doctest: +SKIP
        [worker 0] hello
        [worker 1] hello
        0
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        workers: int,
        ps: int,
        evaluator: bool = False,
        environment: Mapping[str, str] | None = None,
    ):
        counts = {"chief": 1, "worker": workers, "ps": ps} if ps else {"worker": workers}
        ports = iter(free_ports(sum(counts.values())))
        self.addresses = {
            kind: [f"localhost:{next(ports)}" for _ in range(count)]
            for kind, count in counts.items()
        }
        # Servers first, the chief last, which waits for them.
        kinds = [kind for kind in ("ps", "worker", "chief") if kind in counts]
        self._asked = [(kind, index) for kind in kinds for index in range(counts[kind])]
        if evaluator:
            self._asked.append(("evaluator", 0))
        self._leader = task_name("chief" if ps else "worker", 0)
        self._command, self._environment = list(command), dict(environment or {})
        self._printers: list[threading.Thread] = []
        self._output = threading.Lock()
        self.tasks: dict[str, Task] = {}

    def __enter__(self) -> LocalCluster:
        try:
            for kind, index in self._asked:
                task = self._start(kind, index)
                self.tasks[task.name] = task
        except BaseException:
            self.__exit__()
            raise
        for task in self.tasks.values():
            for stream, target in (
                (task.process.stdout, sys.stdout),
                (task.process.stderr, sys.stderr),
            ):
                printer = threading.Thread(
                    target=self._print, args=(task.name, stream, target), daemon=True
                )
                printer.start()
                self._printers.append(printer)
        return self

    def __exit__(self, *error: object) -> None:
        running = [task.process for task in self.tasks.values() if task.process.poll() is None]
        for process in running:
            process.terminate()
        end = time.monotonic() + _GRACE
        for process in running:
            try:
                process.wait(max(0.0, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for printer in self._printers:
            printer.join(5)

    def wait(self) -> int:
        """Waits for the chief, or for worker 0 of a cluster without a chief.

        Other processes that end earlier with an error are reported. After success, the evaluator
        may score the last checkpoint, for a minute.

        Returns:
            Int, its exit code as a shell counts: 128 + the number of the signal that ended it.
        """
        leader, reported = self.tasks[self._leader].process, set()
        while leader.poll() is None:
            time.sleep(0.1)
            for name, code in self._ended():
                if code and name not in reported and name != self._leader:
                    self._write(sys.stderr, f"{name} ended with exit code {code}".encode())
                    reported.add(name)
        if "evaluator" in self.tasks and leader.returncode == 0:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.tasks["evaluator"].process.wait(_LAST_SCORES)
        return leader.returncode if leader.returncode >= 0 else 128 - leader.returncode

    def send(self, number: int) -> None:
        """Sends a signal to the chief, or to worker 0 of a cluster without a chief.

        The other processes are ended when it has ended.
        """
        process = self.tasks[self._leader].process
        if process.poll() is None:
            process.send_signal(number)

    def _ended(self) -> Iterator[tuple[str, int]]:
        for task in self.tasks.values():
            code = task.process.poll()
            if code is not None:
                yield task.name, code

    def _start(self, kind: str, index: int) -> Task:
        config = {"cluster": self.addresses, "task": {"type": kind, "index": index}}
        process = subprocess.Popen(
            [sys.executable, *self._command],
            env={**os.environ, **self._environment, "TF_CONFIG": json.dumps(config)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            # Ctrl-C reaches this process only, which forwards it.
            start_new_session=True,
            preexec_fn=_die_with_parent,
        )
        return Task(task_name(kind, index), process)

    def _print(self, name: str, stream: IO[bytes], target: IO[str]) -> None:
        rest = b""
        while data := stream.read1(1 << 16):
            # A progress bar ends its lines with a carriage return.
            lines = _LINE.findall(rest + data)
            rest = b"" if lines[-1].endswith((b"\r", b"\n")) else lines.pop()
            for line in lines:
                if line.strip():
                    self._write(target, line.rstrip(), name)
        if rest.strip():
            self._write(target, rest, name)

    def _write(self, target: IO[str], line: bytes, name: str = "cluster") -> None:
        with self._output:
            print(f"[{name}] {line.decode(errors='replace')}", file=target, flush=True)


def free_ports(count: int) -> list[int]:
    """Returns ports on the loopback interface that no process uses.

    Example:
        >>> len(set(free_ports(3)))
        3
    """
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("localhost", 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_DIES_WITH_PARENT, signal.SIGKILL)

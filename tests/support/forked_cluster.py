"""A cluster whose tasks are forks of the program of `commands`, which has imported TensorFlow."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import commands


def run(settings, workers=1, ps=2, **how) -> subprocess.CompletedProcess:
    """Trains on a cluster, and ends all its processes; returns the chief's exit code and lines.

    Args:
        settings: arguments of `RunConfig`, without the strategy.
        workers: number of workers.
        ps: number of parameter servers; 0: the workers train synchronously, and worker 0 leads.
        how: arguments of `tasks`.
    """
    strategy = "parameter_server" if ps else "multi_worker"
    arguments = {"settings": {**settings, "strategy": strategy}, "ps": ps}
    arguments |= {"workers": workers, **how}
    code = f"import forked_cluster as f, json; f.tasks(**json.loads({json.dumps(arguments)!r}))"
    return commands.run("-c", code)


def tasks(
    settings, workers, ps, at_step=None, kill=None, number=signal.SIGKILL, absent=(), others=None
):
    """Forks the tasks of a cluster, and exits with the chief's exit code.

    Args:
        settings: arguments of `RunConfig`.
        workers: number of workers.
        ps: number of parameter servers.
        at_step: number of the step at whose end a task is killed.
        kill: the task, such as "worker 1" or "chief".
        number: the signal that it gets.
        absent: tasks that are not started.
        others: settings of the workers that do not lead, if they differ.
    """
    from launch.run.cluster import task_name
    from launch.run.local_tasks import free_ports

    counts = {"ps": ps, "worker": workers, "chief": 1} if ps else {"worker": workers}
    leader = "chief" if ps else "worker 0"
    ports = free_ports(sum(counts.values()))
    addresses = {kind: [f"localhost:{ports.pop()}" for _ in range(n)] for kind, n in counts.items()}
    processes: dict[str, int] = {}
    for kind, count in counts.items():
        for index in reversed(range(count)):  # the leader last, which may kill the others
            name = task_name(kind, index)
            if name in absent:
                continue
            child = os.fork()
            if not child:
                config = {"cluster": addresses, "task": {"type": kind, "index": index}}
                os.environ["TF_CONFIG"] = json.dumps(config)
                if name == leader and kill is not None:
                    _kill_at(at_step, processes.get(kill, os.getpid()), number)
                _work(settings if others is None or name == leader else settings | others)
            processes[name] = child
    _, status = os.waitpid(processes.pop(leader), 0)
    for process in processes.values():
        if ps:
            os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)  # synchronous workers end by themselves
    code = os.waitstatus_to_exitcode(status)
    sys.exit(code if code >= 0 else 128 - code)


def _kill_at(step, process, number) -> None:
    from launch.run.progress import Progress

    steps = 0
    ended = Progress.on_train_batch_end

    def on_train_batch_end(*args, **kwargs):
        nonlocal steps
        steps += 1
        if steps == step:
            os.kill(process, number)
        return ended(*args, **kwargs)

    Progress.on_train_batch_end = on_train_batch_end


def _work(settings) -> None:
    from launch import cli
    from launch.quiet import quiet
    from launch.run.cluster import read_cluster
    from launch.run.config import RunConfig
    from launch.run.serving_tasks import serve
    from launch.run.training import train

    def main(argv):
        strategy = settings["strategy"]
        if strategy == "multi_worker" or read_cluster(strategy).task_type == "chief":
            train(RunConfig(**settings))
        else:
            serve(read_cluster(strategy), 60)

    sys.argv = ["train"]
    code = 70
    try:
        quiet()
        cli.run(main, "continue with --resume")
    except SystemExit as error:
        code = error.code or 0
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)

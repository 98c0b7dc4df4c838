"""Runs a command on a cluster of processes on this machine, for development and tests.

Example: `python -m launch.local_cluster --workers=2 --ps=2 -- launch.train
--strategy=parameter_server --data=data/frappe --out=out/frappe`. Each process gets its `TF_CONFIG`,
and each line of its output begins with its task.
"""

import importlib.util
import os
import signal
import sys
from collections.abc import Sequence

from absl import flags

from launch import cli
from launch.run.local_tasks import LocalCluster

_FLAGS = flags.FLAGS


def _main(argv: Sequence[str]) -> None:
    if _FLAGS.evaluator and not _FLAGS.ps:
        raise ValueError("--evaluator needs parameter servers; add --ps=1 or leave it out")
    command = _command(argv[1:])
    with LocalCluster(
        command, workers=_FLAGS.workers, ps=_FLAGS.ps, evaluator=_FLAGS.evaluator
    ) as cluster:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda number, frame: cluster.send(number))
        code = cluster.wait()
    sys.exit(code)


def _command(words: Sequence[str]) -> list[str]:
    """Returns the arguments of Python for a module or a script with its arguments."""
    if not words:
        raise ValueError(
            "name a command after --, such as: python -m launch.local_cluster --workers=2 --ps=2 "
            "-- launch.train --strategy=parameter_server ..."
        )
    what, *rest = words
    if what.endswith(".py"):
        if not os.path.isfile(what):
            raise ValueError(f"no script {what!r}")
        return [what, *rest]
    try:
        found = importlib.util.find_spec(what)
    except (ImportError, ValueError):
        found = None
    if found is None:
        raise ValueError(f"no module {what!r}; name one such as launch.train, or a script .py")
    return ["-m", what, *rest]


def _define_flags() -> None:
    flags.DEFINE_integer("workers", 2, "Number of workers.", lower_bound=1)
    flags.DEFINE_integer(
        "ps",
        0,
        "Number of parameter servers; with 0, the workers train synchronously "
        "(--strategy=multi_worker), else a chief is added.",
        lower_bound=0,
    )
    flags.DEFINE_boolean("evaluator", False, "Add a process that evaluates checkpoints.")


if __name__ == "__main__":
    _define_flags()
    cli.run(_main, words=None)

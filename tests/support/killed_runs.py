"""Run as a program: trains in forked processes, each of which can be killed at a given instant.

Starting TensorFlow takes seconds. This process imports everything and starts nothing of it, so
that each run is a fork of it. It reads a JSON object per line and answers with the exit code.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]


class Runs:
    """The other end: trains in processes of the program's.

    Example:
        `with Runs() as runs: assert runs.train({"data": data, "out": out}, event=3) == -9`
    """

    def __enter__(self):
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": str(ROOT)}
        self._program = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
        )  # fmt: skip
        return self

    def __exit__(self, *error):
        self._program.stdin.close()
        self._program.wait(timeout=60)

    def train(
        self, settings, event=None, seconds=None, scoring=None, number=signal.SIGKILL, log=None
    ) -> int:
        """Trains with settings of a `RunConfig`; returns the exit code, negative for a signal.

        Args:
            settings: arguments of `RunConfig`, as JSON holds them.
            event: the signal is sent at the n-th end of a step, rename or removal of a file.
            seconds: or so many seconds after the run began.
            scoring: or when the n-th scoring of a split begins.
            number: the signal.
            log: file for the standard error.
        """
        asked = {"settings": settings, "event": event, "seconds": seconds, "scoring": scoring}
        asked |= {"number": int(number), "log": str(log or os.devnull)}
        self._program.stdin.write(json.dumps(asked) + "\n")
        self._program.stdin.flush()
        return int(self._program.stdout.readline())


def _count_events(event: int | None, scoring: int | None, number: int) -> None:
    import tensorflow as tf

    from launch.run.evaluation import Evaluator
    from launch.run.progress import Progress

    seen = {"event": 0, "scoring": 0}

    def counted(function, kind="event", at=event):
        def call(*args, **kwargs):
            seen[kind] += 1
            if seen[kind] == at:
                os.kill(os.getpid(), number)
            return function(*args, **kwargs)

        return call

    Progress.on_train_batch_end = counted(Progress.on_train_batch_end)
    tf.io.gfile.rename = counted(tf.io.gfile.rename)
    tf.io.gfile.remove = counted(tf.io.gfile.remove)
    os.replace = counted(os.replace)
    Evaluator.__call__ = counted(Evaluator.__call__, "scoring", scoring)


def _run(asked: dict) -> None:
    from launch import cli
    from launch.run.config import RunConfig
    from launch.run.training import train

    log = os.open(asked["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(log, 2)
    os.dup2(log, 1)
    _count_events(asked["event"], asked["scoring"], asked["number"])
    if asked["seconds"] is not None:

        def kill():
            time.sleep(asked["seconds"])
            os.kill(os.getpid(), asked["number"])

        threading.Thread(target=kill, daemon=True).start()  # fmt: skip
    sys.argv = ["train"]
    cli.run(lambda argv: train(RunConfig(**asked["settings"])) and None, "continue with --resume")


def main() -> None:
    import launch.train  # noqa: F401 - for the forks

    for line in sys.stdin:
        child = os.fork()
        if not child:
            try:
                _run(json.loads(line))
            except SystemExit as error:
                os._exit(error.code or 0)
            except BaseException:
                import traceback

                traceback.print_exc()
                os._exit(70)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main()

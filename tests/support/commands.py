"""Runs commands as processes that need not import TensorFlow again.

Run as a program, it imports what commands need, starts nothing of it, and runs each command in a
fork of itself. It reads a JSON object per line and answers with the exit code.
"""

import atexit
import functools
import json
import os
import runpy
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path

ROOT = Path(__file__).parents[2]


@functools.cache
def _program() -> subprocess.Popen:
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": str(ROOT)}
    program = subprocess.Popen(
        [sys.executable, __file__], cwd=ROOT, env=environment,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    atexit.register(program.wait, timeout=60)
    atexit.register(program.stdin.close)  # runs first
    return program


def run(*arguments: str) -> subprocess.CompletedProcess:
    """Runs `python *arguments` in the root of the checkout.

    Args:
        arguments: "-m", a module and its arguments, or "-c" and code.

    Returns:
        The exit code (negative for a signal) and the text of both outputs.

    Example:
        `assert run("-m", "launch.verify", "--data=absent").returncode == 1`
    """
    with tempfile.TemporaryDirectory() as folder:
        program, outputs = _program(), [f"{folder}/stdout", f"{folder}/stderr"]
        program.stdin.write(json.dumps({"arguments": arguments, "outputs": outputs}) + "\n")
        program.stdin.flush()
        code = int(program.stdout.readline())
        texts = [Path(path).read_text(encoding="utf-8") for path in outputs]
    return subprocess.CompletedProcess(arguments, code, *texts)


def _execute(kind: str, what: str, *arguments: str) -> None:
    if kind == "-m":
        sys.argv = [what, *arguments]
        runpy.run_module(what, run_name="__main__", alter_sys=True)
    else:
        sys.argv = [kind, *arguments]
        exec(compile(what, "<string>", "exec"), {"__name__": "__main__"})


def _child(asked: dict) -> int:
    for number, path in enumerate(asked["outputs"], start=1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), number)
    code = 0
    try:
        _execute(*asked["arguments"])
    except SystemExit as error:
        code = error.code or 0
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return code


def main() -> None:
    # Not the commands themselves: each is run as a main.
    import launch.run.training
    import launch.schema_inference  # noqa: F401

    for line in sys.stdin:
        child = os.fork()
        if not child:
            os._exit(_child(json.loads(line)))
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main()

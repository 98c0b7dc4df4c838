"""Results of a slow program, computed once for all processes of a test run."""

import fcntl
import os
import pathlib
import subprocess
import sys
import zlib

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2]


def results_of_program(tmp_path_factory, program: str, *arguments: str) -> dict[str, np.ndarray]:
    """Runs a program of tests/support that saves arrays, unless another test process has.

    Args:
        tmp_path_factory: pytest's fixture.
        program: file name; its first argument is the `.npz` file to write.
        *arguments: its other arguments.

    Returns:
        The arrays by name.
    """
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent  # that of the run, which its processes share
    name = f"{pathlib.Path(program).stem}-{zlib.crc32(' '.join(arguments).encode()):x}"
    path = folder / f"{name}.npz"
    with open(folder / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            support = ROOT / "tests" / "support"
            partial = folder / f"{name}.partial.npz"
            done = subprocess.run(
                [sys.executable, str(support / program), str(partial), *arguments],
                env={**os.environ, "PYTHONPATH": f"{ROOT}:{support}"},
                capture_output=True,
                text=True,
            )
            assert done.returncode == 0, done.stderr[-3000:]
            partial.rename(path)
    with np.load(path) as file:
        return dict(file)

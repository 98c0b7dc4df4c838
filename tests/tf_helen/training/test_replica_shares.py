"""Two replicas that share a batch unevenly train as one replica does on the whole batch."""

import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from uneven_replicas import CASES

ROOT = pathlib.Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    path = tmp_path_factory.mktemp("replicas") / "results.npz"
    program = ROOT / "tests" / "support" / "uneven_replicas.py"
    done = subprocess.run(
        [sys.executable, str(program), str(path)],
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{program.parent}"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    with np.load(path) as file:
        return dict(file)


@pytest.mark.parametrize("case", [*CASES, "added losses traced"])
def test_weights_and_loss_are_those_of_one_replica(results, case):
    assert results[f"{case}/weights"] < 1e-6
    assert results[f"{case}/loss"] < 1e-6
    assert results[f"{case}/copies"] == 0

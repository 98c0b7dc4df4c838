"""Two workers of `MultiWorkerMirroredStrategy`, as processes, train as one process does."""

import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
import two_workers

from launch.run.local_tasks import free_ports
from tf_helen.core.replicas import rows_to_send

ROOT = pathlib.Path(__file__).resolve().parents[3]


def results_of_workers(path, rows, names):
    """The arrays that each of two workers saves."""
    support = ROOT / "tests" / "support"
    addresses = [f"localhost:{port}" for port in free_ports(2)]
    processes = []
    for index in range(2):
        task = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
        processes.append(
            subprocess.Popen(
                [sys.executable, str(support / "two_workers.py"), str(path), str(rows), *names],
                env={
                    **os.environ,
                    "PYTHONPATH": f"{ROOT}:{support}",
                    "TF_CONFIG": json.dumps(task),
                },
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        )
    try:
        for process in processes:
            output, _ = process.communicate(timeout=540)
            assert process.returncode == 0, output[-4000:]
    finally:
        for process in processes:
            process.kill()
    return [dict(np.load(f"{path}.{index}.npz")) for index in range(2)]


@pytest.mark.parametrize(
    "rows,names",
    [
        pytest.param(192, ["Helen"], marks=pytest.mark.slow),
        # Two steps per execution, and one step at the end of an epoch.
        pytest.param(192, ["Helen x2", "Adam x2"], marks=pytest.mark.slow),
        # Of the last of four batches, each worker has a part.
        pytest.param(233, ["Adam", "AdamAR", "Helen", "AdaHessian"], marks=pytest.mark.slow),
    ],
    ids=["even", "steps_per_execution", "uneven"],
)
def test_two_workers_equal_one(rows, names, tmp_path):
    first, second = results_of_workers(tmp_path / "worker", rows, names)
    two_workers.main(str(tmp_path / "alone"), str(rows), *names)
    alone = dict(np.load(tmp_path / "alone.npz"))
    assert set(first) == set(alone)
    for name, value in alone.items():
        np.testing.assert_allclose(first[name], value, atol=1e-5, err_msg=name)
        np.testing.assert_array_equal(first[name], second[name], err_msg=name)


def test_rows_are_summed_before_they_are_sent():
    indices = tf.constant([3, 5, 3, 3])
    sent = rows_to_send(tf.IndexedSlices(tf.constant([[1.0, 2]] * 4), indices))
    np.testing.assert_array_equal(sent.indices, [3, 5])
    np.testing.assert_array_equal(sent.values, [[3, 6, 3], [1, 2, 1]])

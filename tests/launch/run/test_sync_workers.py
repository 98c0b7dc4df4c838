"""Training on synchronous workers, in real processes on the loopback interface."""

import json
import os
import signal

import forked_cluster
import pytest
from cluster_runs import check_equal, settings_for, steps_of, train_with
from kinds import some
from small_clicks import SMALL, prepare_clicks

from launch.run.config import RunConfig
from launch.run.history import load_history
from launch.run.local_tasks import LocalCluster, free_ports
from launch.run.training import train

STEPS = 8  # of an epoch of 400 rows
HELEN = {"optimizer": "helen", "optimizer_args": {"base_optimizer": "adamar"}}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return prepare_clicks(tmp_path_factory.mktemp("clicks") / "data")


def settings(data, out, **changes) -> dict:
    return settings_for(data, out, **{"batch_size": 50, **HELEN, **changes})


def last_line(done) -> str:
    return done.stderr.strip().splitlines()[-1]


CASES = {
    "helen": {},
    "adamar": {"optimizer": "adamar", "optimizer_args": {}},
    "meda, dropout": {
        "optimizer": "adagrad", "optimizer_args": {}, "callbacks": ["meda"],
        "model_args": {**SMALL, "dropout": 0.0}, "patience": 1, "reduce_lr": 0.5, "epochs": 3,
    },
    "alpha auto": {"optimizer": "adamar", "optimizer_args": {"alpha": "auto"}, "epochs": 3},
}  # fmt: skip


@pytest.mark.parametrize("name", some([*CASES], fast=["adamar"]))
def test_two_workers_equal_one_process(data, tmp_path, name):
    train(RunConfig(**settings(data, tmp_path / "one", **CASES[name])))
    done = forked_cluster.run(settings(data, tmp_path / "two", **CASES[name]), workers=2, ps=0)
    assert done.returncode == 0, done.stderr
    check_equal(tmp_path / "one", tmp_path / "two")
    assert steps_of(tmp_path / "two", 2) == 2 * STEPS


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_a_terminated_run_resumes_on_any_number_of_workers(data, tmp_path, workers):
    whole, cut = settings(data, tmp_path / "whole"), settings(data, tmp_path / "cut")
    done = forked_cluster.run(whole, workers=2, ps=0)
    assert done.returncode == 0, done.stderr
    # With 0 minutes, the workers ask each other at every step.
    how = {"kill": "worker 0", "at_step": STEPS + 3, "number": signal.SIGTERM}
    done = forked_cluster.run({**cut, "checkpoint_every": 0.0}, workers=2, ps=0, **how)
    assert done.returncode == 143, done.stderr
    assert last_line(done) == "terminated; continue with --resume"
    assert os.path.exists(f"{tmp_path}/cut/checkpoints/ckpt-1-3.index")
    done = forked_cluster.run({**cut, "resume": True}, workers=workers, ps=0)
    assert done.returncode == 0, done.stderr
    check_equal(tmp_path / "whole", tmp_path / "cut", bound=0 if workers == 2 else 1e-5)


@pytest.mark.slow
def test_a_lost_worker_is_named_and_the_run_resumes(data, tmp_path):
    cut = settings(data, tmp_path / "cut", checkpoint_every=0.0)
    done = forked_cluster.run(cut, workers=2, ps=0, kill="worker 1", at_step=STEPS + 2)
    assert done.returncode == 1
    (line,) = (line for line in done.stderr.splitlines() if line.strip())
    assert line.startswith("error: worker 1 (localhost:") and "--resume" in line
    train(RunConfig(**settings(data, tmp_path / "one")))
    done = forked_cluster.run({**cut, "resume": True}, workers=2, ps=0)
    assert done.returncode == 0, done.stderr
    check_equal(tmp_path / "one", tmp_path / "cut")


@pytest.mark.slow
def test_the_commands_write_the_files_of_a_run(data, tmp_path, capfd):
    command = [
        "-m", "launch.train", "--strategy=multi_worker", f"--data={data}",
        f"--out={tmp_path}/out", "--epochs=1", "--batch_size=64", "--cluster_wait=120",
        "--model_args=embedding_dim=4,hidden_units=(8,)",
    ]  # fmt: skip
    with LocalCluster(command, workers=2, ps=0) as cluster:
        assert cluster.wait() == 0
        assert cluster.tasks["worker 1"].process.wait(60) == 0
    found = set(os.listdir(tmp_path / "out"))
    assert {"history.csv", "best.keras", "scores.json", "curves.png", "saved_model"} <= found
    printed = capfd.readouterr().out
    assert "[worker 0] epoch 1/1: loss" in printed and "[worker 1] epoch" not in printed
    assert len(load_history(str(tmp_path / "out"))) == 1


def test_a_worker_that_does_not_come_is_named(data, tmp_path):
    how = {"absent": ("worker 1",)}
    done = forked_cluster.run(
        settings(data, tmp_path / "out", cluster_wait=0.5), workers=2, ps=0, **how
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: worker 1 (localhost:")
    assert "did not start within 0.5 s" in done.stderr and done.stderr.count("\n") == 1
    assert not os.path.exists(tmp_path / "out" / "config.json")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "others", "message"),
    [
        ({"batch_size": 51}, {}, "batch_size=51 cannot be shared by 2 replicas of 2 workers"),
        ({}, {"seed": 1}, "the workers have different settings; start every worker with"),
    ],
)
def test_settings_that_do_not_fit_are_one_line(data, tmp_path, changes, others, message):
    given = settings(data, tmp_path, **changes)
    done = forked_cluster.run(given, workers=2, ps=0, others=others)
    assert done.returncode == 1
    assert {line for line in done.stderr.splitlines() if message in line}
    assert all(line.startswith("error: ") for line in done.stderr.splitlines() if line.strip())


@pytest.mark.slow
def test_a_wrong_task_is_one_line(tmp_path):
    addresses = [f"localhost:{port}" for port in free_ports(2)]
    given = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": 2}}
    arguments = ("--strategy=multi_worker", "--data=absent", f"--out={tmp_path}")
    done = train_with(json.dumps(given), *arguments)
    assert done.returncode == 1
    assert "this process is worker 2" in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cpu_replicas": 2}, "has no effect with strategy=multi_worker"),
        ({"progressive": {}, "optimizer_args": {}}, "a progressive run runs in one process"),
    ],
)
def test_settings_that_need_one_process_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        RunConfig(**settings("data", "out", strategy="multi_worker", **changes))

"""Training on parameter servers, in real processes on the loopback interface."""

import csv
import json
import os
import signal
import socket

import commands
import forked_cluster
import numpy as np
import pytest
import tensorflow as tf
from cluster_runs import check_equal, settings_for, steps_of, train_with
from kinds import some
from small_clicks import prepare_clicks

from launch.run.config import RunConfig
from launch.run.history import load_history
from launch.run.local_tasks import LocalCluster, free_ports
from launch.run.training import train

STEPS = 7  # of an epoch of 400 rows


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return prepare_clicks(tmp_path_factory.mktemp("clicks") / "data")


CASES = [
    ("helen", {"base_optimizer": "adamar"}),
    ("adam", {}),
    ("adamar", {"alpha": 0.01}),
    ("groupadam", {"l21": 1e-3}),
    ("helen", {"frequency": "running"}),
]


@pytest.mark.parametrize(("optimizer", "arguments"), some(CASES, CASES[:1]))
def test_one_worker_and_two_servers_equal_one_process(data, tmp_path, optimizer, arguments):
    how = {"optimizer": optimizer, "optimizer_args": arguments}
    train(RunConfig(**settings_for(data, tmp_path / "one", **how)))
    done = forked_cluster.run(settings_for(data, tmp_path / "servers", **how))
    assert done.returncode == 0, done.stderr
    assert "writes its perturbation" not in done.stderr  # which other workers would see
    check_equal(tmp_path / "one", tmp_path / "servers")
    assert steps_of(tmp_path / "servers", 2) == 2 * STEPS


@pytest.mark.slow
def test_a_killed_worker_costs_at_most_its_batch(data, tmp_path):
    settings = settings_for(data, tmp_path, epochs=3)
    done = forked_cluster.run(settings, workers=2, kill="worker 1", at_step=STEPS + 2)
    assert done.returncode == 0, done.stderr
    # A step that the worker had begun may be applied twice, in part or in whole.
    assert steps_of(tmp_path, 3) - 3 * STEPS in (0, 1)
    assert [epoch.epoch for epoch in load_history(str(tmp_path))] == [1, 2, 3]
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_a_killed_server_is_named_and_the_run_resumes(data, tmp_path):
    how = {"optimizer": "helen", "optimizer_args": {"base_optimizer": "adamar"}}
    train(RunConfig(**settings_for(data, tmp_path / "one", **how)))
    settings = settings_for(data, tmp_path / "servers", checkpoint_every=0.0, **how)
    done = forked_cluster.run(settings, kill="parameter server 1", at_step=STEPS + 3)
    assert done.returncode == 1
    (line,) = (line for line in done.stderr.splitlines() if line.strip())
    assert line.startswith("error: parameter server 1 (localhost:") and "--resume" in line
    # With another number of servers.
    done = forked_cluster.run({**settings, "resume": True}, ps=3)
    assert done.returncode == 0, done.stderr
    check_equal(tmp_path / "one", tmp_path / "servers")


@pytest.mark.slow
def test_a_terminated_chief_saves_its_step(data, tmp_path):
    train(RunConfig(**settings_for(data, tmp_path / "one")))
    settings = settings_for(data, tmp_path / "servers")
    how = {"kill": "chief", "at_step": 3, "number": signal.SIGTERM}
    done = forked_cluster.run(settings, **how)
    assert done.returncode == 143
    assert done.stderr.strip().endswith("terminated; continue with --resume")
    # One batch was handed out beside the third.
    assert tf.io.gfile.glob(f"{tmp_path}/servers/checkpoints/ckpt-0-[345].index")
    done = forked_cluster.run({**settings, "resume": True}, ps=1)
    assert done.returncode == 0, done.stderr
    check_equal(tmp_path / "one", tmp_path / "servers")


@pytest.mark.slow
def test_two_workers_train_every_batch_once(data, tmp_path):
    done = forked_cluster.run(settings_for(data, tmp_path, optimizer="adamar"), workers=2)
    assert done.returncode == 0, done.stderr
    assert steps_of(tmp_path, 2) == 2 * STEPS
    last = load_history(str(tmp_path))[-1]
    assert last.valid_auc > 0.6 and np.isfinite(last.loss)


@pytest.mark.slow
def test_without_a_worker_the_run_ends(data, tmp_path):
    settings = settings_for(data, tmp_path, epochs=20, cluster_wait=2.0)
    done = forked_cluster.run(settings, kill="worker 0", at_step=3)
    assert done.returncode == 1
    assert "error: no worker is left: worker 0 (localhost:" in done.stderr


@pytest.mark.slow
def test_the_commands_write_the_files_of_a_run(data, tmp_path, capfd):
    command = [
        "-m", "launch.train", "--strategy=parameter_server", f"--data={data}",
        f"--out={tmp_path}/out", "--epochs=1", "--batch_size=64", "--cluster_wait=120",
        "--model_args=embedding_dim=4,hidden_units=(8,)",
    ]  # fmt: skip
    command += ["--optimizer=adamar", "--optimizer_args=alpha=0.05"]
    with LocalCluster(command, workers=1, ps=1, evaluator=True) as cluster:
        assert cluster.wait() == 0
    found = set(os.listdir(tmp_path / "out"))
    assert {"history.csv", "best.keras", "scores.json", "curves.png", "saved_model"} <= found
    printed = capfd.readouterr().out
    assert "[chief] epoch 1/1: loss" in printed and "[evaluator] after epoch 1: valid" in printed
    with open(tmp_path / "out" / "evaluations.csv", encoding="utf-8") as file:
        (scored,) = csv.DictReader(file)
    (epoch,) = load_history(str(tmp_path / "out"))
    assert float(scored["valid_logloss"]) == pytest.approx(epoch.valid_logloss, abs=1e-6)


def test_a_task_that_does_not_come_is_named(data, tmp_path):
    settings = settings_for(data, tmp_path, cluster_wait=0.5)
    done = forked_cluster.run(settings, ps=1, absent=("parameter server 0", "worker 0"))
    assert done.returncode == 1
    assert "error: worker 0 (localhost:" in done.stderr
    assert "parameter server 0 (localhost:" in done.stderr
    assert done.stderr.strip().count("\n") == 0


@pytest.mark.parametrize("task", ["worker", "ps"])
def test_a_port_in_use_is_one_line(tmp_path, task):
    with socket.socket() as server:
        server.bind(("", 0))
        server.listen()
        ports = dict(zip(("chief", "worker", "ps"), free_ports(3), strict=True))
        ports[task] = server.getsockname()[1]
        cluster = {kind: [f"localhost:{port}"] for kind, port in ports.items()}
        config = json.dumps({"cluster": cluster, "task": {"type": task, "index": 0}})
        done = train_with(
            config, "--strategy=parameter_server", "--data=absent", f"--out={tmp_path}"
        )
    assert done.returncode == 1
    assert f"port {ports[task]} of " in done.stderr and "is in use" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_wrong_config_is_one_line(tmp_path):
    done = train_with("{", "--strategy=parameter_server", "--data=absent", f"--out={tmp_path}")
    assert done.returncode == 1
    assert done.stderr.startswith("error: TF_CONFIG is not JSON")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cpu_replicas": 2}, "has no effect with strategy=parameter_server"),
        ({"progressive": {}}, "trains its rows in order"),
        ({"cluster_wait": 0}, "`cluster_wait` must be a number above 0"),
    ],
)
def test_settings_that_do_not_fit_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        RunConfig(**settings_for("data", "out", strategy="parameter_server", **changes))


def test_other_commands_refuse_the_strategy():
    done = commands.run("-m", "launch.compare", "--strategy=parameter_server")
    assert done.returncode == 1
    assert "parameter_server" in done.stderr and "none|mirrored" in done.stderr

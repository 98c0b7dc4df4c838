"""Runs that are killed at any time and resumed give the same bits."""

import random
import signal
import zipfile
from io import BytesIO
from pathlib import Path

import h5py
import numpy as np
import pytest
import tensorflow as tf
from killed_runs import Runs

from launch.datasets import synthetic
from launch.datasets.raw import Options
from launch.prepare import prepare
from launch.run.history import load_history

KINDS = {
    "adamar": {
        "optimizer": "adamar",
        "optimizer_args": {"alpha": "auto"},
        "callbacks": ("meda",),
        "reduce_lr": 0.5,
        "precision": "mixed_float16",
    },
    "helen": {
        "optimizer": "helen",
        "optimizer_args": {"base_optimizer": "adamar", "frequency": "running"},
        "precision": "mixed_bfloat16",
        "eval_test_each_epoch": True,
    },
    "adam": {"optimizer": "adam"},
    "pruning": {
        "optimizer": "adamar",
        "optimizer_args": {"alpha": 1e-3},
        "callbacks": (
            "magnitude_pruning(sparsity=0.6,begin=1,end=2)",
            "embedding_norms",
            "sparsity",
        ),
    },
}
TWO = {"strategy": "mirrored", "cpu_replicas": 2}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("prepared") / "data")
    prepare(synthetic.load(Options(rows=240)), folder)
    return folder


@pytest.fixture(scope="module")
def runs():
    with Runs() as runs:
        yield runs


def settings_for(data, out, **changes):
    small = {"embedding_dim": 2, "hidden_units": [4], "dropout": 0.2}
    given = {"model": "dnn", "model_args": small, "epochs": 3, "batch_size": 32}
    given |= {"learning_rate": 0.02, "progress": False, "checkpoint_every": 0.0}
    return {"data": data, "out": str(out), **given, **changes}


def results_of(out) -> dict:
    """The results of a run without durations: measurements, last state, best weights."""
    found = {}
    for epoch in load_history(str(out)):
        found |= {(epoch.epoch, k): v for k, v in vars(epoch).items() if "second" not in k}
    path = str(Path(out, "checkpoints/ckpt-3"))
    for name, _ in tf.train.list_variables(path):
        if "OBJECT_GRAPH" not in name:
            found[name] = tf.train.load_variable(path, name)
    with zipfile.ZipFile(Path(out, "best.keras")) as archive:
        weights = h5py.File(BytesIO(archive.read("model.weights.h5")), "r")

    def add(name, item):
        if isinstance(item, h5py.Dataset):
            found[f"best {name}"] = item[()]

    weights.visititems(add)
    return found


def assert_same(first, second):
    assert first.keys() == second.keys()
    for name, value in first.items():
        np.testing.assert_array_equal(value, second[name], err_msg=str(name))


def killed_and_resumed(runs, settings, kills, seed, log):
    """Kills a run several times, at events and at times, and then lets it end."""
    drawn = random.Random(seed)
    how, done = {"resume": True}, 0
    while done < kills:
        # A process takes about a second before its first step.
        kill = {"seconds": drawn.uniform(0.5, 3.0)} if done % 3 == 2 else {}
        kill = kill or {"event": drawn.randint(1, 40)}
        code = runs.train({**settings, **how}, log=log, **kill)
        assert code in (-signal.SIGKILL, 0), Path(log).read_text()
        done += code != 0
        how = {"resume": True} if code else {"overwrite": True}  # it had ended: from the start
    assert runs.train({**settings, "resume": True}, log=log) == 0, Path(log).read_text()


def check(runs, data, tmp_path, kills, seed, **changes):
    whole = settings_for(data, tmp_path / "whole", **changes)
    assert runs.train(whole, log=tmp_path / "log") == 0, (tmp_path / "log").read_text()
    broken = settings_for(data, tmp_path / "broken", **changes)
    killed_and_resumed(runs, broken, kills, seed, tmp_path / "log")
    assert_same(results_of(tmp_path / "whole"), results_of(tmp_path / "broken"))
    left = [path.name for path in tmp_path.rglob(".*")]
    assert not left, left


def test_a_run_that_is_killed_three_times_ends_with_the_same_bits(runs, data, tmp_path):
    check(runs, data, tmp_path, kills=3, seed=1, **KINDS["adamar"])


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("devices", [{}, TWO], ids=["one", "two"])
def test_a_run_that_is_killed_twenty_times_ends_with_the_same_bits(
    name, devices, runs, data, tmp_path
):
    check(runs, data, tmp_path, kills=20, seed=2, **KINDS[name], **devices)


@pytest.mark.slow
def test_sigterm_leaves_a_checkpoint_one_line_and_143(runs, data, tmp_path):
    log, out = tmp_path / "log", tmp_path / "broken"
    assert runs.train(settings_for(data, tmp_path / "whole"), log=log) == 0
    settings = settings_for(data, out, checkpoint_every=60.0)
    # Two files come first. The signal comes after the first step, and the second is finished; then
    # after the last step, and only the scores are missing.
    for event, name in ((3, "ckpt-0-2"), (8, "ckpt-0-8")):
        settings["resume"] = event == 8
        assert runs.train(settings, event=event, number=signal.SIGTERM, log=log) == 143
        assert log.read_text().splitlines()[-1] == "terminated; continue with --resume"
        assert "Traceback" not in log.read_text()
        assert Path(out, f"checkpoints/{name}.index").exists(), list(out.rglob("*"))
    assert runs.train({**settings, "resume": True}, log=log) == 0, log.read_text()
    assert_same(results_of(tmp_path / "whole"), results_of(out))


@pytest.mark.slow
def test_sigterm_while_an_epoch_is_scored_keeps_the_epoch(runs, data, tmp_path):
    log, out = tmp_path / "log", tmp_path / "broken"
    assert runs.train(settings_for(data, tmp_path / "whole"), log=log) == 0
    settings = settings_for(data, out, checkpoint_every=60.0)
    assert runs.train(settings, scoring=2, number=signal.SIGTERM, log=log) == 143, log.read_text()
    assert Path(out, "checkpoints/ckpt-1-8.index").exists()
    assert runs.train({**settings, "resume": True}, log=log) == 0, log.read_text()
    assert_same(results_of(tmp_path / "whole"), results_of(out))

"""Cells are found by their settings and data, and a killed process loses only one."""

import dataclasses
import json
import multiprocessing
import os
import signal
import threading
import time

import pytest
from kinds import some
from small_clicks import SMALL, prepare_clicks
from stand_in import StandIn

from launch.comparison import cells as module
from launch.comparison.cells import Cells, cell_key, cell_settings
from launch.run.config import RunConfig
from launch.run.memory import DataMemory
from launch.run.splits import RunData
from launch.run.training import train
from zoo import Ledger, Schema
from zoo.data.locks import FolderLock


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return prepare_clicks(tmp_path_factory.mktemp("clicks") / "data")


def config_for(data, **changes):
    given = {"model": "lr", "epochs": 2, "batch_size": 64, "learning_rate": 0.05, **changes}
    return RunConfig(data, "out", progress=False, **given)


@pytest.fixture
def trained(monkeypatch):
    """The settings of every run; a stand-in replaces the training."""
    stand_in = StandIn()
    monkeypatch.setattr(module, "train", stand_in)
    return stand_in.seen


def numbers(cell):
    return [dataclasses.replace(e, seconds=0.0, rows_per_second=0.0) for e in cell.epochs]


WITH_EFFECT = {
    "model": "fm",
    "model_args": {"embedding_l2": 1e-5},
    "optimizer": "adamar",
    "learning_rate": 0.1,
    "optimizer_args": {"beta_1": 0.8},
    "callbacks": ("meda",),
    "epochs": 3,
    "batch_size": 32,
    "seed": 1,
    "precision": "mixed_bfloat16",
    "strategy": "mirrored",
    "cpu_replicas": 2,
    "patience": 1,
    "reduce_lr": 0.1,
    "progressive": {"slices": 3},
    "warm_start": "out/earlier",
    "validate": False,
}
WITHOUT_EFFECT = {
    "out": "elsewhere",
    "data": "a/copy",
    "resume": True,
    "overwrite": True,
    "checkpoint_every": 1.0,
    "cluster_wait": 1.0,
    "preset": "frappe/deepfm",
    "eval_test_each_epoch": True,
    "evaluate_test": False,
    "save_models": False,
    "progress": True,
    "tensorboard": True,
    "steps_per_execution": 4,
    "max_lost": 0.5,
    "frequency_auc": (1, 10),
    "frequency_field": "user",
}


def test_every_setting_is_one_that_counts_or_one_that_does_not():
    names = {field.name for field in dataclasses.fields(RunConfig)}
    assert names == {*WITH_EFFECT, *WITHOUT_EFFECT, "warm_start_data"}  # it needs warm_start


def test_a_key_depends_on_what_determines_the_numbers():
    config = config_for("data")
    key = cell_key(config, {"splits": {"train": "a"}})
    others = [dataclasses.replace(config, **{name: value}) for name, value in WITH_EFFECT.items()]
    keys = [cell_key(other, {"splits": {"train": "a"}}) for other in others]
    keys.append(cell_key(config, {"splits": {"train": "b"}}))
    assert len({key, *keys}) == len(keys) + 1
    for name, value in WITHOUT_EFFECT.items():
        edges = {"frequency_auc": (1,)} if name == "frequency_field" else {}
        other = dataclasses.replace(config, **{name: value}, **edges)
        assert cell_key(other, {"splits": {"train": "a"}}) == key, name


def test_settings_that_mean_the_same_are_one_cell():
    one = config_for("data", optimizer_args={"learning_rate": 0.1}, learning_rate=None)
    other = config_for("data", learning_rate=0.1, model_args={})
    assert cell_settings(one) == cell_settings(other)
    lists = config_for("data", model="dnn", model_args={"hidden_units": [8]})
    tuples = config_for("data", model="dnn", model_args={"hidden_units": (8,)})
    assert cell_key(lists, {}) == cell_key(tuples, {})


@pytest.mark.parametrize("rows", some([0, 799, 800], [0]))
def test_a_cell_has_the_numbers_of_a_run_wherever_the_rows_are(data, tmp_path, rows):
    config = config_for(data, model="dnn", model_args=SMALL)
    cell = Cells(str(tmp_path / "cells"), DataMemory(data, rows)).compute(config, test=True)
    run = dataclasses.replace(config, out=str(tmp_path / "run"), eval_test_each_epoch=True)
    assert numbers(cell) == numbers(train(run))


@pytest.mark.slow
def test_a_cell_without_the_auc_by_frequency_is_computed_again_once(data, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(module, "train", lambda config, *rest: seen.append(config) or train(config))
    cells = Cells(str(tmp_path / "cells"), DataMemory(data))
    plain = config_for(data)
    buckets = dataclasses.replace(plain, frequency_auc=(1, 15))
    cells.compute(buckets, test=False)  # a point of a grid
    assert seen.pop().frequency_auc is None
    first = cells.compute(plain, test=True)
    with_buckets = cells.compute(buckets, test=True)
    assert len(seen) == 2 and with_buckets.key == first.key
    assert [epoch.test_auc for epoch in with_buckets.epochs] == [e.test_auc for e in first.epochs]
    for epoch in with_buckets.epochs:
        assert {n for n in epoch.measured if n.startswith("frequency_rows")} == {
            f"frequency_rows/{name}" for name in ("0", "1-14", "15+")
        }
        assert sum(v for n, v in epoch.measured.items() if n.startswith("frequency_rows")) == 200
    assert cells.find(plain, test=True) == cells.find(buckets, test=True) == with_buckets
    for other in ({"frequency_auc": (1, 20)}, {"frequency_field": "user"}):
        assert cells.find(dataclasses.replace(buckets, **other), test=True) is None


def test_a_cell_is_computed_once(data, tmp_path, trained):
    cells = Cells(str(tmp_path / "cells"), DataMemory(data))
    assert cells.find(config_for(data), test=False) is None
    cell = cells.compute(config_for(data), test=True)
    assert cell.score() == max(epoch.valid_auc for epoch in cell.epochs)
    assert cell.score("logloss") == -min(epoch.valid_logloss for epoch in cell.epochs)
    again = Cells(str(tmp_path / "cells"), DataMemory(data))
    assert again.compute(config_for(data), test=True) == cell
    assert again.find(config_for(data), test=False) == cell
    assert len(trained) == 1
    assert sorted(os.listdir(tmp_path / "cells")) == [cell.key]


def test_the_test_split_is_not_read_unless_it_is_asked_for(data, tmp_path, trained):
    cells = Cells(str(tmp_path), DataMemory(data))
    read = RunData(
        config_for(data, evaluate_test=False), Schema.load(data), Ledger(), drop_remainder=False
    )
    assert read.test is None
    first = cells.compute(config_for(data), test=False)
    assert [epoch.test_auc for epoch in first.epochs] == [None, None]
    assert not trained[0].evaluate_test
    assert cells.find(config_for(data), test=True) is None
    second = cells.compute(config_for(data), test=True)
    assert None not in [epoch.test_auc for epoch in second.epochs]
    assert [e.valid_auc for e in first.epochs] == [e.valid_auc for e in second.epochs]
    assert cells.compute(config_for(data), test=False) == second
    assert len(trained) == 2


def test_data_without_a_test_split_have_cells_too(tmp_path, trained):
    data = prepare_clicks(tmp_path / "data", test=False)
    cells = Cells(str(tmp_path / "cells"), DataMemory(data))
    cell = cells.compute(config_for(data), test=True)
    assert cells.compute(config_for(data), test=True) == cell and len(trained) == 1


def test_each_epoch_is_reported_and_a_run_that_is_ended_leaves_no_cell(data, tmp_path):
    cells = Cells(str(tmp_path), DataMemory(data))

    class Ended(Exception):
        pass

    def end(epoch):
        raise Ended

    with pytest.raises(Ended):
        cells.compute(config_for(data), test=False, after_epoch=end)
    assert os.listdir(tmp_path) == []
    first, again = [], []
    cell = cells.compute(config_for(data), test=False, after_epoch=first.append)
    cells.compute(config_for(data), test=False, after_epoch=again.append)
    assert tuple(first) == tuple(again) == cell.epochs


def test_renewed_cells_are_computed_once_more_and_not_twice(data, tmp_path, trained):
    Cells(str(tmp_path), DataMemory(data)).compute(config_for(data), test=True)
    renewed = Cells(str(tmp_path), DataMemory(data), renew=True)
    assert renewed.find(config_for(data), test=True) is None
    renewed.compute(config_for(data), test=True)
    renewed.compute(config_for(data), test=True)
    assert len(trained) == 2


def test_a_run_that_diverges_is_a_cell_with_the_epochs_before(data, tmp_path, trained):
    cells = Cells(str(tmp_path), DataMemory(data))
    cell = cells.compute(config_for(data, learning_rate=2.0), test=True)
    assert "became nan in epoch 2" in cell.diverged
    assert [epoch.epoch for epoch in cell.epochs] == [1] and cell.best_epoch() == 1
    assert cells.compute(config_for(data, learning_rate=2.0), test=True) == cell
    assert len(trained) == 1


def test_a_run_that_diverges_at_once_has_the_lowest_score(data, tmp_path):
    config = config_for(data, optimizer="sgd", learning_rate=3e38)
    cell = Cells(str(tmp_path), DataMemory(data)).compute(config, test=True)
    assert "became" in cell.diverged and cell.epochs == () and cell.best_epoch() == 0
    assert cell.score() == cell.score("logloss") == -float("inf")


@pytest.mark.slow
def test_a_pass_without_a_validation_split_is_judged_by_all_its_rows(data, tmp_path):
    config = config_for(data, epochs=1, progressive={"slice_rows": 128})
    with_split = Cells(str(tmp_path / "a"), DataMemory(data)).compute(config, test=False)
    assert with_split.score() == with_split.epochs[0].valid_auc != with_split.pass_scores["auc"]
    alone = prepare_clicks(tmp_path / "data", test=False, valid=False)
    cells = Cells(str(tmp_path / "b"), DataMemory(alone))
    cell = cells.compute(dataclasses.replace(config, data=alone), test=False)
    assert cell.score() == cell.pass_scores["auc"] > 0
    assert cell.score("logloss") == -cell.pass_scores["logloss"]


@pytest.mark.parametrize("damage", ["half", "empty", "binary", "other", "lacking"])
def test_a_damaged_cell_is_computed_again(data, tmp_path, trained, capsys, damage):
    cells = Cells(str(tmp_path), DataMemory(data))
    cell = cells.compute(config_for(data), test=True)
    file = tmp_path / cell.key / "cell.json"
    content = file.read_bytes()
    damaged = {
        "half": content[: len(content) // 2],
        "empty": b"",
        "binary": b"\xff\x00",
        "other": content.replace(cell.key.encode(), b"0" * 20),
        "lacking": json.dumps({"key": cell.key}).encode(),
    }
    file.write_bytes(damaged[damage])
    assert numbers(cells.compute(config_for(data), test=True)) == numbers(cell)
    assert len(trained) == 2
    assert "cell.json is damaged" in capsys.readouterr().out
    assert cells.find(config_for(data), test=True) is not None


def test_what_a_killed_process_leaves_is_no_cell(data, tmp_path, trained):
    cells = Cells(str(tmp_path), DataMemory(data))
    key = cell_key(config_for(data), DataMemory(data).identity)
    for name in (f".{key}.partial", f".{key}.lock"):
        (tmp_path / name).mkdir() if name.endswith("partial") else (tmp_path / name).touch()
    (tmp_path / f".{key}.partial/history.csv").write_text("epoch,loss")
    (tmp_path / f".{key}.partial/config.json").write_text("{")
    assert cells.find(config_for(data), test=True) is None
    cells.compute(config_for(data), test=True)
    assert len(trained) == 1 and os.listdir(tmp_path) == [key]


def _killed_at_the_second_cell(data, folder):
    count = []

    def train_or_die(config, ledger, memory, after_epoch):
        count.append(config)
        history = stand_in(config, ledger, memory, after_epoch)
        if len(count) == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return history

    stand_in, module.train = StandIn(), train_or_die
    cells = Cells(folder, DataMemory(data))
    for seed in range(3):
        cells.compute(config_for(data, seed=seed), test=False)


def test_a_killed_process_loses_the_running_cell_only(data, tmp_path, trained):
    # A new process: TensorFlow's threads do not survive a fork.
    process = multiprocessing.get_context("spawn").Process(
        target=_killed_at_the_second_cell, args=(data, str(tmp_path))
    )
    process.start()
    process.join(120)
    assert process.exitcode == -signal.SIGKILL
    cells = Cells(str(tmp_path), DataMemory(data))
    configs = [config_for(data, seed=seed) for seed in range(3)]
    assert [cells.find(c, test=False) is not None for c in configs] == [True, False, False]
    for config in configs:
        cells.compute(config, test=False)
    assert [config.seed for config in trained] == [1, 2]
    assert all(not name.startswith(".") for name in os.listdir(tmp_path))


def test_a_cell_that_another_process_computes_is_left_or_waited_for(data, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_POLL", 0.01)
    cells = Cells(str(tmp_path), DataMemory(data))
    path = tmp_path / cell_key(config_for(data), DataMemory(data).identity)
    held, release = threading.Event(), threading.Event()

    def other():
        with FolderLock(path):
            held.set()
            release.wait(60)

    thread = threading.Thread(target=other)
    thread.start()
    held.wait(60)
    assert cells.compute(config_for(data), test=False, wait=False) is None
    threading.Timer(0.05, release.set).start()
    started = time.monotonic()
    assert cells.compute(config_for(data), test=False).epochs
    assert release.is_set() and time.monotonic() > started
    thread.join()

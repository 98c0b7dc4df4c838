"""Files in the folder of a run: damaged, missing, older, foreign and temporary files."""

import dataclasses
import json
import os
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from kinds import some

from launch.datasets import synthetic
from launch.datasets.raw import Options
from launch.prepare import prepare
from launch.run.checkpoints import Checkpoints
from launch.run.config import RunConfig
from launch.run.history import load_history
from launch.run.training import load_best, train
from zoo.serving.export import check_export

OLDER = Path(__file__).parents[2] / "data/run_v0_1"
LAST = 3


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("prepared") / "data")
    prepare(synthetic.load(Options(rows=200)), folder)
    return folder


def config_for(data, out, **changes):
    small = {"embedding_dim": 2, "hidden_units": (4,), "dropout": 0.2}
    given = {"model": "dnn", "model_args": small, "epochs": LAST, "batch_size": 64}
    given |= {"optimizer": "adamar", "learning_rate": 0.02, "progress": False, **changes}
    return RunConfig(data, str(out), **given)


@pytest.fixture(scope="module")
def finished(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("finished") / "run"
    train(config_for(data, out))
    return out


@pytest.fixture
def run(finished, tmp_path):
    return Path(shutil.copytree(finished, tmp_path / "run"))


def measured(run):
    without = {"seconds": 0.0, "rows_per_second": 0.0}
    return [dataclasses.replace(epoch, **without) for epoch in load_history(str(run))]


def last_state(run):
    path = str(run / f"checkpoints/ckpt-{LAST}")
    names = [name for name, _ in tf.train.list_variables(path) if "OBJECT_GRAPH" not in name]
    return {name: tf.train.load_variable(path, name) for name in names}


def assert_is(run, finished):
    assert measured(run) == measured(finished)
    first, second = last_state(finished), last_state(run)
    assert first.keys() == second.keys()
    for name, value in first.items():
        np.testing.assert_array_equal(value, second[name], err_msg=name)
    for one, other in zip(
        load_best(str(finished)).get_weights(), load_best(str(run)).get_weights(), strict=True
    ):
        np.testing.assert_array_equal(one, other)


def flipped(content):
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


DAMAGES = {
    "byte": ("data-00000-of-00001", flipped),
    "short": ("data-00000-of-00001", lambda content: content[:-100]),
    "index": ("index", lambda content: b""),
    "json": ("json", flipped),
}


@pytest.mark.parametrize("damage", some(DAMAGES, fast=["byte", "json"]))
def test_a_damaged_checkpoint_is_reported_and_the_one_before_is_used(
    damage, data, run, finished, capsys
):
    ending, change = DAMAGES[damage]
    file = run / f"checkpoints/ckpt-{LAST}.{ending}"
    file.write_bytes(change(file.read_bytes()))
    train(config_for(data, run, resume=True))
    lines = [line for line in capsys.readouterr().out.splitlines() if "ckpt-" in line]
    assert len(lines) == 1
    assert f"ckpt-{LAST} is damaged" in lines[0] and f"continuing from {run}" in lines[0]
    assert_is(run, finished)


@pytest.mark.parametrize("content", [pytest.param(None, marks=pytest.mark.slow), b"\xff garbage"])
def test_the_list_of_checkpoints_of_tensorflow_is_not_needed(content, data, run, finished):
    (run / "checkpoints/checkpoint").unlink()
    if content is not None:
        (run / "checkpoints/checkpoint").write_bytes(content)
    before = (run / "history.csv").read_bytes()
    train(config_for(data, run, resume=True))
    assert (run / "history.csv").read_bytes() == before  # nothing was trained
    assert_is(run, finished)


@pytest.mark.parametrize("how", ["gone", "damaged"])
def test_without_a_whole_checkpoint_a_run_does_not_start_again(how, data, run):
    before = (run / "history.csv").read_bytes()
    for path in (run / "checkpoints").iterdir():
        path.unlink() if how == "gone" else path.write_bytes(b"")
    with pytest.raises(ValueError, match=r"checkpoint.*--overwrite"):
        train(config_for(data, run, resume=True))
    assert (run / "history.csv").read_bytes() == before


@pytest.mark.parametrize("how", [{}, {"resume": True}, {"overwrite": True}])
def test_without_its_settings_a_run_is_left_alone(how, data, run):
    (run / "config.json").unlink()
    before = sorted(path.name for path in run.iterdir())
    with pytest.raises(ValueError, match=r"holds history\.csv but no config\.json"):
        train(config_for(data, run, **how))
    assert sorted(path.name for path in run.iterdir()) == before


@pytest.mark.parametrize("name", ["history.csv", "best.keras"])
def test_files_of_somebody_are_not_overwritten(name, data, tmp_path):
    (tmp_path / name).write_text("mine")
    for how in ({}, {"resume": True}, {"overwrite": True}):
        with pytest.raises(ValueError, match=f"holds {name} but no config"):
            train(config_for(data, tmp_path, **how))
    assert (tmp_path / name).read_text() == "mine"


@pytest.mark.parametrize("change", [pytest.param(None, marks=pytest.mark.slow), flipped])
def test_a_best_model_that_is_lost_is_written_from_its_checkpoint(change, data, run, finished):
    best = run / "best.keras"
    content = best.read_bytes()
    best.unlink()
    if change is not None:
        best.write_bytes(change(content))
    with pytest.raises(ValueError, match=r"best\.keras.*--resume"):
        load_best(str(run))
    train(config_for(data, run, resume=True))
    assert_is(run, finished)


def test_the_checkpoint_of_the_best_epoch_is_kept_and_its_loss_is_an_error(data, tmp_path):
    run = tmp_path / "run"
    train(config_for(data, run, learning_rate=0.0, epochs=4))  # all alike: the first is the best
    states = {path.name.split(".")[0] for path in (run / "checkpoints").iterdir()}
    assert states == {"checkpoint", "ckpt-1", "ckpt-3", "ckpt-4"}
    again = config_for(data, run, learning_rate=0.0, epochs=4, resume=True)
    (run / "best.keras").unlink()
    train(again)
    assert load_best(str(run)).get_weights()
    (run / "best.keras").unlink()
    for path in (run / "checkpoints").glob("ckpt-1.*"):
        path.unlink()
    with pytest.raises(ValueError, match=r"best\.keras is missing.*epoch 1.*--overwrite"):
        train(again)


def lines_of(run):
    return (run / "history.csv").read_text().splitlines(keepends=True)


HISTORIES = {
    "missing": lambda lines: None,
    "damaged": lambda lines: "\xff\x00",
    "shorter": lambda lines: "".join(lines[:2]),
    "longer": lambda lines: "".join([*lines, lines[-1].replace("3,", "4,", 1)]),
    "cut": lambda lines: "".join(lines)[:-30],
}


@pytest.mark.parametrize("change", some(HISTORIES, fast=["missing", "longer"]))
def test_a_history_that_is_lost_is_written_from_the_checkpoint(change, data, run, finished, capsys):
    content = HISTORIES[change](lines_of(run))
    (run / "history.csv").unlink()
    if content is not None:
        (run / "history.csv").write_text(content)
    train(config_for(data, run, resume=True))
    assert "history.csv was" in capsys.readouterr().out
    assert (run / "history.csv").read_bytes() == (finished / "history.csv").read_bytes()
    assert_is(run, finished)


def test_overwrite_replaces_a_run_once_the_new_one_begins(data, run):
    (run / "saved_model").mkdir()
    (run / "saved_model/saved_model.pb").write_text("old")
    before = (run / "best.keras").read_bytes()
    for wrong in ({"optimizer": "adm"}, {"model_args": {"dim": 3}}, {"batch_size": -1}):
        with pytest.raises(ValueError, match=r"adm|dim|batch_size"):
            train(config_for(data, run, overwrite=True, **wrong))
    (run / "thesis.txt").write_text("mine")
    with pytest.raises(ValueError, match=r"thesis\.txt is not a file of a run"):
        train(config_for(data, run, overwrite=True))
    (run / "thesis.txt").unlink()
    assert (run / "best.keras").read_bytes() == before and (run / "saved_model").exists()
    train(config_for(data, run, overwrite=True, epochs=1, seed=7))
    assert len(load_history(str(run))) == 1
    assert json.loads((run / "config.json").read_text())["seed"] == 7
    assert not (run / "saved_model").exists()
    assert [path.name for path in run.parent.iterdir()] == ["run"]
    with pytest.raises(ValueError, match="cannot both be set"):
        config_for(data, run, overwrite=True, resume=True)


def test_what_a_killed_run_left_is_removed_and_nothing_else(data, run):
    gone, alive = 2**22 + 1, os.getppid()  # the first is beyond the numbers of processes
    ours = [f".best.keras.{gone}.tmp", f".best.{gone}.keras", f".history.csv.{gone}.tmp"]
    ours += [f"checkpoints/.partial-{gone}/ckpt-4.index", "checkpoints/ckpt-4_temp/part-0"]
    ours += ["checkpoints/ckpt-4.json", "checkpoints/ckpt-4.data-00000-of-00001"]
    ours += ["../.run.partial/config.json"]
    kept = [f".best.keras.{alive}.tmp", f".thesis.{gone}.tmp", "../.other.partial/config.json"]
    for name in (*ours, *kept):
        (run / name).parent.mkdir(exist_ok=True)
        (run / name).write_text("left")
    train(config_for(data, run, resume=True))
    assert not [name for name in ours if (run / name).exists()]
    assert not (run / "checkpoints/ckpt-4_temp").exists()
    assert all((run / name).exists() for name in kept)


def test_a_foreign_export_is_noticed_before_training(tmp_path):
    (tmp_path / "saved_model").mkdir()
    check_export(str(tmp_path / "saved_model"))
    (tmp_path / "saved_model/thesis.txt").write_text("mine")
    with pytest.raises(ValueError, match="files other than a SavedModel"):
        check_export(str(tmp_path / "saved_model"))


def test_a_run_of_version_0_1_goes_on_to_the_same_numbers(tmp_path):
    run = Path(shutil.copytree(OLDER / "run", tmp_path / "run"))
    expected = json.loads((OLDER / "expected.json").read_text())
    given = json.loads((run / "config.json").read_text())
    given |= {"data": str(OLDER / "data"), "out": str(run), "epochs": 4, "resume": True}
    history = train(RunConfig(**given))
    assert len(history.epochs) == 4
    for epoch, then in zip(history.epochs, expected, strict=False):
        for name in ("loss", "valid_auc", "valid_logloss"):
            assert getattr(epoch, name) == pytest.approx(then[name], rel=1e-5), (epoch, name)
    assert history.test == pytest.approx(expected[4], rel=1e-5)
    # Its newest checkpoint damaged: the one before it, which holds no measurements either.
    again = Path(shutil.copytree(OLDER / "run", tmp_path / "again"))
    (again / "checkpoints/ckpt-2.index").write_bytes(b"")
    train(RunConfig(**{**given, "out": str(again)}))
    assert measured(again) == measured(run)


def test_a_checkpoint_that_cannot_be_read_back_leaves_the_one_before(tmp_path, monkeypatch):
    inputs = keras.Input((2,))
    model = keras.Model(inputs, keras.layers.Dense(1)(inputs))
    model.compile("sgd", "mse")
    checkpoints = Checkpoints(str(tmp_path), model)
    checkpoints.save(1)
    write = tf.train.Checkpoint.write

    def damaging(self, path, *args, **kwargs):
        write(self, path, *args, **kwargs)
        file = Path(f"{path}.data-00000-of-00001")
        file.write_bytes(flipped(file.read_bytes()))

    monkeypatch.setattr(tf.train.Checkpoint, "write", damaging)
    with pytest.raises(OSError, match="ckpt-2 was written but cannot be read back"):
        checkpoints.save(2)
    assert Checkpoints(str(tmp_path), model).restore() == 1
    assert not list(tmp_path.rglob(".partial*"))

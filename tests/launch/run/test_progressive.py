"""One pass over time: each row is scored by a model that was trained with the rows before it."""

import dataclasses
import json
from pathlib import Path

import commands
import keras
import numpy as np
import polars as pl
import pytest
from kinds import some

import tf_helen
import zoo
from launch.datasets.raw import RawData, in_memory
from launch.prepare import prepare
from launch.run import progressive
from launch.run.config import RunConfig
from launch.run.files import load_best
from launch.run.memory import DataMemory
from launch.run.progressive import train_progressively
from launch.run.progressive_settings import Progressive
from launch.run.training import train
from zoo.data.files import DataError

SMALL = {"embedding_dim": 2, "hidden_units": (8,), "dropout": 0.2}
NO_TIMES = {"seconds": 0.0, "score_seconds": 0.0}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Impressions of four items in the order of time; the labels follow the user and the item."""
    rng = np.random.default_rng(0)

    def table(first: int, impressions: int) -> pl.DataFrame:
        impression = np.repeat(np.arange(first, first + impressions), 4)
        user, item = impression * 7 % 40, rng.integers(0, 30, 4 * impressions)
        logit = user % 5 - 2 + (item % 3 - 1)
        label = (rng.random(4 * impressions) < 1 / (1 + np.exp(-logit))).astype(int)
        columns = {"label": label, "time": impression, "impression": impression}
        return pl.DataFrame({**columns, "user": user, "item": item})

    splits = {"train": table(0, 200), "valid": table(200, 30), "test": table(230, 30)}
    schema = zoo.Schema(
        "tiny", [zoo.Categorical("user"), zoo.Categorical("item")],
        group="impression", time="time", time_ordered=True,
    )  # fmt: skip
    folder = str(tmp_path_factory.mktemp("prepared") / "data")
    prepare(RawData(schema, {name: in_memory(rows) for name, rows in splits.items()}), folder)
    return folder


def config_for(data, out, **changes):
    given = {
        "model": "dnn", "model_args": SMALL, "batch_size": 32, "learning_rate": 0.02,
        "progress": False, "progressive": Progressive(slices=8), **changes,
    }  # fmt: skip
    return RunConfig(data, str(out), **given)


def without_times(history):
    return [dataclasses.replace(s, **NO_TIMES) for s in history.slices]


def test_each_slice_is_scored_by_the_model_of_the_slices_before(data, tmp_path):
    """Trained again by hand, with `fit` on the first slices only."""
    plain = {**SMALL, "dropout": 0.0}
    history = train_progressively(config_for(data, tmp_path / "run", model_args=plain))
    assert [s.rows for s in history.slices] == [96] * 7 + [128]
    schema = zoo.Schema.load(data)
    ((features, label),) = zoo.read_tfrecords(data, "train", batch_size=800)
    keras.utils.set_random_seed(0)
    model = zoo.DNN(schema, **plain)
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    model.compile(tf_helen.Adam(0.02), loss)
    logits, slices = history.predictions["logit"], history.predictions["slice"]
    np.testing.assert_array_equal(history.predictions["label"], label[:, 0])
    for number in (1, 2, 3):
        rows = np.flatnonzero(slices == number)
        part = {key: values.numpy()[rows] for key, values in features.items()}
        expected = model.predict(part, verbose=0)[:, 0]
        np.testing.assert_allclose(logits[rows], expected, rtol=1e-4, atol=1e-5)
        answers = label.numpy()[rows]
        fitted = model.fit(part, answers, batch_size=32, shuffle=False, verbose=0)
        loss = fitted.history["loss"][0]
        assert history.slices[number - 1].loss == pytest.approx(loss, rel=1e-4)


OPTIMIZERS = {
    "adam": ("adam", {}),
    "adamar": ("adamar", {"alpha": 1e-3}),
    "helen": ("helen", {"rho": 0.01, "base_optimizer": "adamar", "frequency": "running"}),
}


@pytest.mark.parametrize("name", some(OPTIMIZERS, fast=["adamar"]))
def test_a_pass_learns_and_a_resumed_one_is_equal_bit_for_bit(name, data, tmp_path, monkeypatch):
    optimizer, arguments = OPTIMIZERS[name]
    splits = Progressive(splits=("train", "valid"), slice_rows=192, shuffle=True)
    changes = {"optimizer": optimizer, "optimizer_args": arguments, "progressive": splits}
    whole = train_progressively(config_for(data, tmp_path / "whole", **changes))
    assert whole.slices[-1].loss < whole.slices[0].loss
    assert whole.splits["valid"]["auc"] > 0.6
    assert list(whole.held_out) == ["test"]
    broken = config_for(data, tmp_path / "broken", checkpoint_every=0.0, **changes)

    class Killed(BaseException):
        pass

    def shuffled(rows, seed, number):
        if number == 4:
            raise Killed
        return unharmed(rows, seed, number)

    with monkeypatch.context() as patch:
        unharmed = progressive.shuffled
        patch.setattr(progressive, "shuffled", shuffled)
        with pytest.raises(Killed):
            train_progressively(broken)
    assert len(json.loads((tmp_path / "broken/progressive.json").read_text())["slices"]) == 3
    resumed = train_progressively(dataclasses.replace(broken, resume=True))
    assert without_times(resumed) == without_times(whole)
    assert [s.seconds > 0 for s in resumed.slices] == [True] * len(whole.slices)
    assert (resumed.splits, resumed.buckets) == (whole.splits, whole.buckets)
    assert resumed.held_out == whole.held_out
    first, second = (load_best(str(tmp_path / run)) for run in ("whole", "broken"))
    for one, other in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    again = train_progressively(dataclasses.replace(broken, resume=True))  # nothing is left to do
    assert without_times(again) == without_times(whole)


def test_files_hold_the_measurements(data, tmp_path):
    history = train_progressively(config_for(data, tmp_path / "run"))
    content = json.loads((tmp_path / "run/progressive.json").read_text())
    assert content["slices"] == [dataclasses.asdict(s) for s in history.slices]
    assert content["scores"] == history.scores
    assert set(history.scores) == {
        "auc", "logloss", "gauc", "slice_auc", "slice_logloss",
        "valid_auc", "valid_logloss", "test_auc", "test_logloss",
    }  # fmt: skip
    assert content["settings"]["slices"] == 8
    with np.load(tmp_path / "run/predictions.npz") as saved:
        assert set(saved) == {"logit", "label", "group", "slice"}
        assert saved["logit"].shape == (800,)
    table = history.table()
    assert "8 slices, 800 rows" in table and f"{history.scores['auc']:.5f}" in table
    groups, slices = history.predictions["group"], history.predictions["slice"]
    for group in np.unique(groups):
        assert len(set(slices[groups == group])) == 1  # an impression is not trained in halves


def test_without_models_only_the_measurements_are_kept(data, tmp_path):
    config = config_for(data, tmp_path / "run", save_models=False)
    train_progressively(config)
    names = {path.name for path in Path(config.out).iterdir()}
    assert names == {"config.json", "data.json", "progressive.json", "predictions.npz"}


@pytest.mark.slow
def test_data_in_memory_give_the_same_numbers(data, tmp_path):
    memory = DataMemory(data)
    config = config_for(data, tmp_path / "files", save_models=False)
    from_files = train_progressively(config)
    for out, test in (("one", True), ("two", False)):
        config = dataclasses.replace(config, out=str(tmp_path / out), evaluate_test=test)
        found = train_progressively(config, memory=memory)
        assert without_times(found) == without_times(from_files)
        assert found.held_out["valid"] == from_files.held_out["valid"]
        assert ("test" in found.held_out) == test
    (epoch,) = from_files.epochs
    assert epoch.valid_auc == from_files.scores["valid_auc"]
    assert epoch.test_logloss == from_files.scores["test_logloss"]
    assert found.epochs[0].test_auc is None


@pytest.mark.slow
def test_a_schema_without_an_order_is_a_warning(data, tmp_path, caplog):
    train_progressively(config_for(data, tmp_path / "ordered", save_models=False))
    assert "time_ordered" not in caplog.text
    copy = tmp_path / "data"
    copy.mkdir()
    for path in Path(data).rglob("*"):
        if path.is_file():
            target = copy / path.relative_to(data)
            target.parent.mkdir(exist_ok=True)
            target.write_bytes(path.read_bytes())
    schema = dataclasses.replace(zoo.Schema.load(data), time_ordered=False)
    schema.save(copy)
    train_progressively(config_for(str(copy), tmp_path / "run", save_models=False))
    assert "does not say that the rows are in the order of time" in caplog.text


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"patience": 2}, "`patience` has no effect"),
        ({"callbacks": ("meda",)}, "`callbacks` has no effect"),
        ({"optimizer_args": {"frequency": "dataset"}}, "still to come; use batch or running"),
        ({"optimizer_args": {"alpha": "auto"}}, "after the first epoch"),
    ],
)
def test_settings_of_epochs_are_refused(changes, words, tmp_path):
    with pytest.raises(ValueError, match=words):
        config_for("data", tmp_path, **changes)


def test_a_run_is_resumed_with_its_own_slices(data, tmp_path):
    config = config_for(data, tmp_path / "run")
    train_progressively(config)
    other = dataclasses.replace(config, resume=True, progressive=Progressive(slices=9))
    with pytest.raises(DataError, match=r"progressive=.*'slices': 8.*'slices': 9"):
        train_progressively(other)
    with pytest.raises(ValueError, match=r"use launch\.run\.progressive\.train_progressively"):
        train(dataclasses.replace(config, out=str(tmp_path / "other")))
    with pytest.raises(DataError, match=r"no split 'valdi'"):
        train_progressively(
            config_for(data, tmp_path / "new", progressive=Progressive(("train", "valdi")))
        )


@pytest.mark.slow
def test_a_command_with_two_replicas_scores_and_trains_as_one_does(data, tmp_path):
    done = commands.run(
        "-m", "launch.train", f"--data={data}", f"--out={tmp_path}/two", "--model=dnn",
        "--batch_size=32", "--learning_rate=0.02", "--strategy=mirrored", "--cpu_replicas=2",
        "--model_args=embedding_dim=2,hidden_units=(8,)", "--progressive", "--slices=5",
        "--progressive_splits=train,valid",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "each row is scored before it is trained" in done.stdout
    assert (tmp_path / "two/progressive.png").stat().st_size > 10_000
    assert (tmp_path / "two/saved_model/saved_model.pb").exists()
    plain = {**SMALL, "dropout": 0.0}
    slices = Progressive(("train", "valid"), slices=5)
    same = {"model_args": plain, "progressive": slices, "save_models": False}
    # Adagrad is the default optimizer of a pass.
    one = train_progressively(config_for(data, tmp_path / "one", optimizer="adagrad", **same))
    with np.load(tmp_path / "two/predictions.npz") as two:
        np.testing.assert_allclose(one.predictions["logit"], two["logit"], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["--slices=9"], "--slices has an effect only with --progressive"),
        (["--progressive", "--epochs=2"], "--epochs has no effect with --progressive"),
        (["--progressive", "--patience=2"], "`patience` has no effect"),
    ],
)
def test_flags_that_do_not_fit_are_one_line(given, words, data, tmp_path):
    done = commands.run("-m", "launch.train", f"--data={data}", f"--out={tmp_path}/run", *given)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ") and words in line

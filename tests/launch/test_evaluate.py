"""Scores with intervals of runs and SavedModels, as a command and as functions."""

import json
from pathlib import Path

import keras
import numpy as np
import polars as pl
import pytest
import tensorflow as tf
from absl.testing import flagsaver
from command_flags import defined_flags
from sklearn.metrics import log_loss, roc_auc_score
from small_clicks import SMALL, prepare_clicks

import launch.evaluate
import zoo
from launch.datasets.raw import RawData, in_memory
from launch.evaluate import evaluate
from launch.evaluation.resampling import ModelScores, bootstrap, interval, p_value, resamples
from launch.evaluation.scored_models import ScoredRows
from launch.prepare import prepare
from launch.run.config import RunConfig
from launch.run.data import save_run_data
from launch.run.evaluation import DivergedError
from launch.run.files import save_best
from tf_helen.analysis import frequency_buckets
from tf_helen.core.scores import auc_by_group, calibration_bins
from zoo.data.files import DataError, write_json
from zoo.data.identity import data_identity
from zoo.serving.export import export_saved_model


@pytest.fixture(scope="module", autouse=True)
def defined():
    """The command's flags, for this module only."""
    yield from defined_flags(launch.evaluate)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Rows with weights and groups; the users differ in how often they click."""
    random = np.random.default_rng(0)

    def table(rows):
        user, item = random.integers(0, 30, rows), random.zipf(1.5, rows).clip(max=40)
        clicks = random.random(rows) < 1 / (1 + np.exp(1.5 - user % 5 / 2))
        weight = random.integers(1, 4, rows)
        names = {"user": [f"u{u}" for u in user], "item": [f"i{i}" for i in item]}
        return pl.DataFrame({"label": clicks.astype(int), "weight": weight, **names})

    fields = [zoo.Categorical("user"), zoo.Categorical("item")]
    schema = zoo.Schema("clicks", fields, weight="weight", group="user")
    tables = {name: in_memory(table(300)) for name in ("train", "valid", "test")}
    folder = str(tmp_path_factory.mktemp("clicks") / "data")
    prepare(RawData(schema, tables), folder)
    return folder


def make_run(data, out, seed=0, scale=1.0, optimizer="adam"):
    """A run folder whose best model has random weights; training would take longer."""
    keras.utils.set_random_seed(seed)
    model = zoo.DeepFM(zoo.Schema.load(data), **SMALL)
    for weight in model.trainable_variables:
        weight.assign(np.random.default_rng(seed).normal(0, 0.7 * scale, weight.shape))
    RunConfig(data, str(out), model="deepfm", model_args=SMALL, optimizer=optimizer).save_to(
        str(out)
    )
    save_run_data(str(out), data_identity(data))
    save_best(model, str(out))
    return str(out), model


@pytest.fixture(scope="module")
def runs(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    return {
        "adam": make_run(data, folder / "adam"),
        "helen": make_run(data, folder / "helen", seed=1, optimizer="helen"),
    }


def rows_of(data, model, split="test"):
    """Label, weight, group, ids and logits of a split."""
    columns = []
    for features, label, weight in zoo.read_tfrecords(data, split, group=True):
        logits = model({"ids": features["ids"]}).numpy()[:, 0]
        group = features["group"].numpy().reshape(-1)
        columns.append((label[:, 0], weight[:, 0], group, features["ids"], logits))
    label, weight, *others = (np.concatenate(parts) for parts in zip(*columns, strict=True))
    return [label, weight.astype(np.float64), *others]


@pytest.fixture(scope="module")
def evaluated(runs, tmp_path_factory):
    out = tmp_path_factory.mktemp("evaluated")
    folders = [folder for folder, _ in runs.values()]
    return out, *evaluate(folders, str(out), samples=40, edges=[1, 5, 50], progress=False)


def test_scores_are_those_of_scikit_learn(data, runs, evaluated):
    _, found, _ = evaluated
    for label, (_, model) in runs.items():
        y, w, group, ids, z = rows_of(data, model)
        z = z.astype(np.float64)
        p = 1 / (1 + np.exp(-z))
        scores = {name: score.value for name, score in found.scores[label].items()}
        assert scores["auc"] == pytest.approx(roc_auc_score(y, z, sample_weight=w), abs=1e-9)
        loss, base = log_loss(y, p, sample_weight=w), (w @ y) / w.sum()
        assert scores["logloss"] == pytest.approx(loss, abs=1e-6)
        constant = log_loss(y, np.full(len(y), base), sample_weight=w)
        assert scores["normalized_entropy"] == pytest.approx(loss / constant, abs=1e-6)
        assert scores["calibration"] == pytest.approx((w @ p) / (w @ y), abs=1e-6)
        assert scores["gauc"] == auc_by_group(y, z, group, sample_weight=w).mean
        bins = calibration_bins(y, p, sample_weight=w)
        assert scores["ece"] == pytest.approx(bins.error, abs=1e-6)
        shown = [each["observed"] for each in found.calibration[label]]
        assert shown == pytest.approx(bins.mean_observed)
        known = zoo.load_counts(data, zoo.Schema.load(data))
        counts = np.minimum(known["user"][ids[:, 0]], known["item"][ids[:, 1]])
        inside = (counts >= 5) & (counts < 50)
        expected = roc_auc_score(y[inside], z[inside], sample_weight=w[inside])
        assert scores["auc/5-49"] == pytest.approx(expected)
    sizes = {each["occurrences"]: each["rows"] for each in found.frequency}
    assert sizes["5-49"] == inside.sum() and sum(sizes.values()) == found.rows == 300


def test_what_is_written(runs, evaluated):
    out, found, text = evaluated
    content = json.loads((out / "evaluation.json").read_text())
    assert content["models"]["adam"]["scores"]["auc"]["value"] == found.scores["adam"]["auc"].value
    assert content["differences"]["helen"]["baseline"] == "adam"
    assert content["folders"] == {label: folder for label, (folder, _) in runs.items()}
    assert content["data"]["split"] == "test" and content["bootstrap"]["samples"] == 40
    assert (out / "evaluation.md").read_text() == text + "\n"
    for name in ("calibration.png", "frequency.png"):
        assert (out / name).read_bytes().startswith(b"\x89PNG")
    auc = found.scores["adam"]["auc"]
    assert auc.low < auc.value < auc.high and auc.text() in text
    gap = found.differences["helen"]["auc"]
    assert gap.value == found.scores["helen"]["auc"].value - auc.value
    assert gap.low < gap.value < gap.high and 0 < gap.p <= 1
    improvement = (found.scores["helen"]["auc"].value - 0.5) / (auc.value - 0.5) - 1
    assert found.relative_improvement("helen") == pytest.approx(improvement)
    assert f"RelaImpr) {improvement:+.2%}" in text


def test_a_sample_scores_as_its_repeated_rows():
    rng = np.random.default_rng(3)
    number = 200
    z = np.round(rng.normal(size=number), 1)
    y = (rng.random(number) < 0.4).astype(np.float64)
    group, counts = rng.integers(0, 12, number), rng.integers(0, 30, number)
    rows = ScoredRows(y, None, group, counts, {"a": z})
    buckets = frequency_buckets(counts, edges=[1, 8])
    scores = ModelScores(rows, z, buckets, 4)
    (sample,) = resamples(number, scores.groups, 1, seed=5)
    assert sample.rows.sum() == number and sample.groups.sum() == scores.groups
    taken = np.repeat(np.arange(number), sample.rows.astype(int))
    repeated = ScoredRows(y[taken], None, None, None, {"a": z[taken]})
    again = ModelScores(repeated, z[taken], frequency_buckets(counts[taken], edges=[1, 8]), 4)
    found = dict(zip(scores.names, scores.values(sample), strict=True))
    wanted = dict(zip(again.names, again.values(), strict=True))
    for name in ("auc", "logloss", "normalized_entropy", "calibration", "auc/1-7", "auc/8+"):
        assert found[name] == pytest.approx(wanted[name], abs=1e-12, nan_ok=True), name
    areas = auc_by_group(y, z, group)
    both = ~np.isnan(areas.area)
    weight = areas.weight[both] * sample.groups
    assert found["gauc"] == pytest.approx((weight @ areas.area[both]) / weight.sum())


def test_equal_models_do_not_differ_and_intervals_cover():
    rng = np.random.default_rng(0)
    z = rng.normal(size=400)
    y = (rng.random(400) < 1 / (1 + np.exp(-z))).astype(np.float64)
    rows = ScoredRows(y, None, None, None, {"a": z, "b": z})
    scores = {label: ModelScores(rows, z, None, 10) for label in "ab"}
    drawn = bootstrap(scores, 400, 300, seed=1, progress=False)
    assert np.array_equal(drawn["a"], drawn["b"], equal_nan=True)
    assert p_value(drawn["a"][:, 0] - drawn["b"][:, 0]) == 1.0
    low, high = interval(drawn["a"][:, 0], 0.95)
    # Hanley and McNeil's standard error of an area of .74 with 200 rows of each class is .024.
    assert 0.07 < high - low < 0.12
    again = bootstrap(scores, 400, 300, seed=1, progress=False)["a"]
    assert np.array_equal(drawn["a"], again, equal_nan=True)
    assert np.isnan(interval(np.array([np.nan, np.nan, 0.5]), 0.9)).all()
    assert np.isnan(p_value([])) and p_value([0.1] * 99) == 0.02


def test_a_saved_model_scores_as_its_run(data, runs, tmp_path):
    folder, model = runs["adam"]
    served = export_saved_model(model, data, str(tmp_path / "served"), warmup_requests=1)
    found, text = evaluate([folder, served], data=data, split="valid", samples=5, progress=False)
    assert found.labels == ["adam", served]
    gap = found.differences[served]["auc"]
    assert abs(gap.value) < 1e-6 and "valid split" in text
    with pytest.raises(DataError, match=r"is a SavedModel; name the data by --data"):
        evaluate([served])
    other = prepare_clicks(tmp_path / "other")
    card = json.loads(Path(served, "model_card.json").read_text())
    write_json(f"{served}/model_card.json", {**card, "vocabularies": {"user": "0"}})
    with pytest.raises(DataError, match="vocabulary"):
        evaluate([served], data=data, samples=0, progress=False)
    with pytest.raises(ValueError, match="weight"):
        evaluate([served], data=other, samples=0, progress=False)
    with pytest.raises(ValueError, match="weight"):
        evaluate([folder], data=other, samples=0, progress=False)
    tf.saved_model.save(tf.Module(), str(tmp_path / "empty"))
    with pytest.raises(DataError, match="no signature serve_ids"):
        evaluate([str(tmp_path / "empty")], data=data)


def test_a_diverged_model_is_an_error(data, tmp_path):
    folder, _ = make_run(data, tmp_path / "run", scale=float("inf"))
    with pytest.raises(DivergedError, match="not finite"):
        evaluate([folder], samples=0, progress=False)


def test_bad_arguments(runs, tmp_path):
    folder = runs["adam"][0]
    for arguments, match in (
        ({"split": "tset"}, "tset"),
        ({"field": "usr"}, r"'usr'. Did you mean 'user'"),
        ({"samples": -1}, "samples=-1"),
        ({"confidence": 95}, "confidence=95"),
        ({"bins": 0}, "bins=0"),
        ({"data": str(tmp_path / "absent")}, "no data folder"),
    ):
        with pytest.raises(ValueError, match=match):
            evaluate([folder], progress=False, **arguments)
    with pytest.raises(DataError, match="different folders"):
        evaluate([folder, folder + "/"])


def command(**given):
    with flagsaver.flagsaver(**given):
        launch.evaluate._main(["evaluate"])


def test_the_command(runs, tmp_path, capsys):
    folder, out = runs["adam"][0], str(tmp_path / "out")
    command(run=folder, samples=3, edges=["1", "9"])
    assert "AUC adam" in capsys.readouterr().out
    command(runs=[each for each, _ in runs.values()], out=out, samples=0)
    printed = capsys.readouterr().out
    assert printed.endswith(f"written to {out}\n") and "[" not in printed.splitlines()[2]
    with pytest.raises(DataError, match="--overwrite"):
        command(run=folder, out=out)
    with pytest.raises(ValueError, match="--edges: 'x'"):
        command(run=folder, edges=["x"])
    with pytest.raises(ValueError, match="--run"):
        command(run=folder, runs=[folder])

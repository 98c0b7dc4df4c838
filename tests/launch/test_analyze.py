"""Sharpness and norms of trained runs, as a command and as functions."""

import json

import keras
import numpy as np
import pytest
from absl.testing import flagsaver
from command_flags import defined_flags
from small_clicks import SMALL, prepare_clicks

import launch.analyze
import zoo
from launch.analysis.runs import load_runs, training_sample, wide_tables
from launch.analysis.sharpness import TOGETHER
from launch.analyze import analyze_norms, analyze_sharpness
from launch.run.config import RunConfig
from launch.run.counts import training_counts
from launch.run.training import train
from tf_helen import analysis
from zoo.data.files import DataError

BCE = keras.losses.BinaryCrossentropy(from_logits=True)
KEPT = ("embedding_norms", "sparsity")


@pytest.fixture(scope="module", autouse=True)
def defined():
    """The command's flags, for this module only."""
    yield from defined_flags(launch.analyze)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return prepare_clicks(tmp_path_factory.mktemp("clicks") / "data")


def trained(data, out, **changes):
    given = {"model": "deepfm", "model_args": SMALL, "learning_rate": 0.02, "epochs": 2}
    given |= {"batch_size": 64, "progress": False}
    train(RunConfig(data, str(out), **given | changes))
    return str(out)


@pytest.fixture(scope="module")
def runs(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    adam = trained(data, folder / "adam", callbacks=KEPT)
    return {"adam": adam, "helen": trained(data, folder / "helen", optimizer="helen")}


@pytest.fixture(scope="module")
def sharpness(runs, tmp_path_factory):
    out = tmp_path_factory.mktemp("sharpness")
    loaded = load_runs([*runs.values()])
    text = analyze_sharpness(loaded, str(out), samples=0, batch_size=128, progress=False)
    return out, text, loaded


def test_sharpness_is_that_of_the_library(sharpness, data):
    out, _, (run, _) = sharpness
    rows = zoo.read_tfrecords(data, "train", run.schema, batch_size=400)
    expected = analysis.row_sharpness(run.model, rows, "embedding/table", loss=BCE)
    counts = np.concatenate([*training_counts(data, run.schema).values()])
    assert (expected.counts == counts).all()
    saved = np.load(out / "sharpness.npz")
    ranges = analysis.field_rows(wide_tables(run.model)["embedding/table"])
    for field, place in ranges.items():
        ids = saved[f"adam/{field}/ids"]
        inside = place.start + ids
        assert set(ids) == set(np.flatnonzero(counts[place.start : place.stop]))
        for name, values in (
            ("counts", counts),
            ("eigenvalues", expected.eigenvalues),
            ("gradient_norms", expected.gradient_norms),
        ):
            found = saved[f"adam/{field}/{name}"]
            np.testing.assert_allclose(found, values[inside], rtol=1e-3, atol=1e-8)


def test_the_json_holds_correlations_and_moments(sharpness):
    out, _, _ = sharpness
    content, saved = (
        json.loads((out / "sharpness.json").read_text()),
        np.load(out / "sharpness.npz"),
    )
    assert content["samples"] == 400 and list(content["runs"]) == [
        "adam", "helen",
    ]  # fmt: skip
    for run, each in content["runs"].items():
        values = {
            name: {field: saved[f"{run}/{field}/{name}"] for field in ("user", "item")}
            for name in ("eigenvalues", "gradient_norms", "counts")
        }
        parts = {**{f: each["fields"][f] for f in ("user", "item")}, TOGETHER: each["together"]}
        for field, summary in parts.items():
            eigenvalues, gradients, counts = (
                np.concatenate([*by.values()]) if field == TOGETHER else by[field]
                for by in values.values()
            )
            assert summary["rows"] == len(counts)
            expected = {
                "mean": eigenvalues.mean(),
                "standard_deviation": eigenvalues.std(ddof=1),
                "largest": eigenvalues.max(),
                "r_eigenvalue": np.corrcoef(eigenvalues, counts)[0, 1],
                "r_gradient": np.corrcoef(gradients, counts)[0, 1],
            }
            assert {name: summary[name] for name in expected} == pytest.approx(expected)


def test_the_table_compares_the_runs(sharpness):
    out, text, _ = sharpness
    assert (out / "sharpness.md").read_text() == text + "\n"
    lines = text.splitlines()
    assert lines[0].split("|")[2:5] == [" rows ", " r(λ, N) ", " r(‖g‖, N) "]
    assert [line.split("|")[1].strip() for line in lines[2:4]] == [
        "adam", "helen",
    ]  # fmt: skip
    assert text.count("| user ") == text.count("| item ") == 2
    assert "mean loss over 400 training rows" in text
    for name in ("eigenvalues.png", "gradients.png"):
        assert (out / name).read_bytes()[:4] == b"\x89PNG"
    assert sorted(path.name for path in out.iterdir()) == [
        "eigenvalues.png", "gradients.png", "sharpness.json", "sharpness.md", "sharpness.npz",
    ]  # fmt: skip


def test_a_sample_is_drawn_once_for_all(runs):
    (run,) = load_runs([runs["adam"]])
    one, same, other = (training_sample(run, 100, 32, seed) for seed in (0, 0, 1))
    assert [len(label) for _, label in one] == [32, 32, 32, 4]
    for (x, _), (z, _) in zip(one, same, strict=True):
        np.testing.assert_array_equal(x["ids"], z["ids"])
    assert any((x["ids"] != z["ids"]).any() for (x, _), (z, _) in zip(one, other, strict=True))


def test_norms_by_frequency(runs, data, tmp_path):
    text = analyze_norms(load_runs([*runs.values()]), str(tmp_path), edges=[1, 13, 20])
    content = json.loads((tmp_path / "norms.json").read_text())
    (run, _), loaded = load_runs([*runs.values()]), load_runs([runs["adam"]])[0]
    found = content["runs"]["adam"]
    assert found["labels"] == ["0", "1-12", "13-19", "20+"]
    layer = wide_tables(loaded.model)["embedding/table"]
    counts = training_counts(data, run.schema)
    bucket = np.digitize(analysis.table_counts(layer, counts), [1, 13, 20])
    norms = np.linalg.norm(layer.embeddings.numpy(), axis=1)
    assert found["rows"] == np.bincount(bucket, minlength=4).tolist()
    assert found["sum"] == pytest.approx(np.bincount(bucket, norms, 4).tolist(), rel=1e-5)
    assert found["bound"] == pytest.approx(analysis.rademacher_bound(loaded.model, 400))
    # The samples of the test split by their rarest id.
    ((features, label),) = zoo.read_tfrecords(data, "test", run.schema, batch_size=500)
    logits = loaded.model.predict(features, verbose=0)[:, 0]
    ids = features["ids"].numpy()
    rarest = np.minimum(counts["user"][ids[:, 0]], counts["item"][ids[:, 1]])
    inside = np.digitize(rarest, [1, 13, 20])
    assert found["samples"] == np.bincount(inside, minlength=4).tolist()
    expected = analysis.auc_by_bucket(label.numpy()[:, 0], logits, inside)
    known = [None if np.isnan(value) else pytest.approx(value, abs=1e-3) for value in expected]
    assert found["auc"][: len(known)] == known
    assert text.splitlines()[0].split("|")[2].strip() == "occurrences"
    assert "by those of their rarest id" in text
    assert (tmp_path / "norms.png").read_bytes()[:4] == b"\x89PNG"


def test_norms_along_the_epochs_that_a_run_kept(runs, tmp_path):
    (run,) = load_runs([runs["adam"]])
    text = analyze_norms([run], str(tmp_path))
    (found,) = json.loads((tmp_path / "norms.json").read_text())["runs"].values()
    assert [each["epoch"] for each in found["epochs"]] == [1, 2]
    for each, epoch in zip(found["epochs"], run.epochs, strict=True):
        for label, total in each["sum"].items():
            name = f"embedding_norm/embedding/table/{label}"
            assert total == epoch.measured[f"{name}/sum"]
            assert each["mean"][label] == pytest.approx(epoch.measured[f"{name}/mean"])
        assert each["bound"] == epoch.measured["rademacher_bound"]
    best = found["epochs"][found["epoch"] - 1]
    assert sum(found["sum"]) == pytest.approx(sum(best["sum"].values()), rel=1e-6)
    assert best["bound"] == pytest.approx(found["bound"], rel=1e-6)
    assert "| E1 " in text


def test_norms_of_one_field(runs, data, tmp_path):
    (run,) = load_runs([runs["adam"]])
    text = analyze_norms([run], str(tmp_path), field="user", quantiles=3)
    (found,) = json.loads((tmp_path / "norms.json").read_text())["runs"].values()
    layer, counts = wide_tables(run.model)["embedding/table"], training_counts(data, run.schema)
    buckets = analysis.frequency_buckets(counts["user"], quantiles=3)
    norms = analysis.embedding_norms(layer.embeddings.numpy()[: len(counts["user"])], buckets)
    assert found["mean"] == pytest.approx(norms["mean"].tolist(), rel=1e-6)
    assert found["rows"] == buckets.sizes.tolist() and len(found["rows"]) >= 3
    ((features, _),) = zoo.read_tfrecords(data, "test", run.schema, batch_size=500)
    of_users = counts["user"][features["ids"].numpy()[:, 0]]
    inside = analysis.frequency_buckets(of_users, edges=buckets.edges)
    assert found["samples"] == inside.sizes.tolist() and found["epochs"] == []
    assert "rows of user by their occurrences" in text and "their id of user" in text


# Fields of several ids, models without wide tables.


@pytest.fixture(scope="module")
def several(tmp_path_factory):
    """A data folder without vocabularies, and a run on it."""
    folder, rng = tmp_path_factory.mktemp("several"), np.random.default_rng(0)
    fields = [
        zoo.Categorical("user", 9),
        zoo.Categorical("item", 6),
        zoo.Categorical("tags", 4, length=2),
        zoo.Categorical("last", 6, length=2, shares="item"),
    ]
    schema = zoo.Schema("several", fields, [zoo.Numeric("price")])
    for split, rows in (("train", 60), ("valid", 30)):
        ids = [rng.integers(0, 9, rows), rng.integers(0, 6, rows)]
        ids += [rng.integers(-1, 4, rows), rng.integers(-1, 4, rows)]
        ids += [rng.integers(-1, 6, rows), rng.integers(-1, 6, rows)]
        batch = {"ids": np.stack(ids, axis=1), "label": rng.integers(0, 2, rows).astype("f4")}
        batch["numeric"] = rng.normal(size=(rows, 1)).astype("f4")
        zoo.write_tfrecords(folder / "data", schema, split, [batch])
    return trained(str(folder / "data"), folder / "run", model_args={"embedding_dim": 2})


@pytest.mark.slow
def test_fields_of_several_ids_are_computed_when_they_are_named(several, tmp_path):
    (run,) = load_runs([several])
    text = analyze_sharpness([run], str(tmp_path / "all"), progress=False)
    content = json.loads((tmp_path / "all" / "sharpness.json").read_text())
    assert content["left_out"] == ["item", "tags", "last"]
    assert "left out, because samples have several ids: item, tags, last" in text
    fields = ["tags", "item"]
    analyze_sharpness([run], str(tmp_path / "named"), fields=fields, progress=False)
    saved = np.load(tmp_path / "named" / "sharpness.npz")
    counts = training_counts(run.data, run.schema)
    # The rows of `item` are also those of `last`.
    ids = saved[f"{run.label}/item/ids"]
    shared = counts["item"] + counts["last"]
    np.testing.assert_array_equal(saved[f"{run.label}/item/counts"], shared[ids])
    batches = zoo.read_tfrecords(run.data, "train", run.schema, batch_size=60)
    place = analysis.field_rows(wide_tables(run.model)["embedding/table"])["tags"]
    rows = place.start + saved[f"{run.label}/tags/ids"]
    expected = analysis.top_eigenvalues(run.model, batches, "embedding/table", rows=rows, loss=BCE)
    found = saved[f"{run.label}/tags/eigenvalues"]
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-8)


def test_without_a_test_split_the_validation_split_is_scored(several, tmp_path):
    (run,) = load_runs([several])
    assert "samples of the valid split" in analyze_norms([run], str(tmp_path))


def test_logistic_regression_has_scalars(data, tmp_path):
    run = load_runs([trained(data, tmp_path / "lr", model="lr", model_args={})])
    analyze_sharpness(run, str(tmp_path / "out"), samples=50, progress=False)
    content = json.loads((tmp_path / "out" / "sharpness.json").read_text())
    assert content["samples"] == 50 and content["runs"]["adam"]["fields"]["user"]["mean"] > 0


# The command.


def command(what, **given):
    with flagsaver.flagsaver(**given):
        launch.analyze._main(["analyze", what])


def test_the_command_writes_once_and_replaces_when_it_is_told(runs, tmp_path, capsys):
    out = str(tmp_path / "out")
    given = {"run": runs["adam"], "out": out, "samples": 50, "fields": ["item"]}
    command("sharpness", **given)
    printed = capsys.readouterr().out
    assert "| item " in printed and printed.endswith(f"written to {out}\n")
    with pytest.raises(DataError, match=r"holds sharpness\.json; replace it with --overwrite"):
        command("sharpness", **given)
    command("sharpness", **given, overwrite=True, method="power")
    command("norms", run=runs["adam"], out=out, edges=["1", "5"])
    assert "5+" in capsys.readouterr().out
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"norms.json", "norms.md", "norms.png", "sharpness.json"} <= names
    assert not any(name.startswith(".") for name in names)


@pytest.mark.parametrize(
    "given,error,message",
    [
        ({}, ValueError, "pass --run=FOLDER or --runs"),
        ({"run": "a", "runs": ["b"], "out": "o"}, ValueError, "pass --run=FOLDER or --runs"),
        ({"run": "a", "out": "o", "samples": -1}, ValueError, "--samples=-1"),
        ({"run": "absent", "out": "o"}, DataError, "no folder absent; name the folder of a run"),
        ({"runs": ["a", "a/"], "out": "o"}, DataError, "a is named twice"),
    ],
)
def test_bad_flags(given, error, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=message):
        command("sharpness", **given)


def test_what_is_no_run_with_a_model(runs, data, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"no config\.json in .*empty"):
        load_runs([str(tmp_path / "empty")])
    bare = trained(data, tmp_path / "bare", save_models=False)
    with pytest.raises(DataError, match=r"no model at .*best\.keras"):
        load_runs([bare])
    with pytest.raises(DataError, match=r"no data folder absent; .*--data"):
        load_runs([runs["adam"]], "absent")
    (tmp_path / "bare" / "config.json").write_text("[]")
    with pytest.raises(DataError, match=r"config\.json is damaged"):
        load_runs([bare])


def test_other_data_are_refused(runs, tmp_path):
    other = prepare_clicks(tmp_path / "other", seed=1)
    with pytest.raises(DataError):
        load_runs([runs["adam"]], other)


def test_unknown_fields_and_edges(runs, tmp_path):
    loaded = load_runs([runs["adam"]])
    with pytest.raises(DataError, match=r"no field 'usr'\. Did you mean 'user'"):
        analyze_sharpness(loaded, str(tmp_path), fields=["usr"])
    with pytest.raises(DataError, match="no field 'usr'"):
        analyze_norms(loaded, str(tmp_path), field="usr")
    with pytest.raises(ValueError, match="'x' is not an integer"):
        command("norms", run=runs["adam"], out=str(tmp_path), edges=["x"])


def test_equal_optimizers_are_told_apart_by_their_folders(data, runs, tmp_path):
    again = trained(data, tmp_path / "again", optimizer="helen", seed=1, epochs=1)
    labels = [run.label for run in load_runs([runs["helen"], again])]
    assert labels == [f"helen {runs['helen']}", f"helen {again}"]

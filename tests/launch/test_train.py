"""Training, resuming, exporting and serving, from raw rows to probabilities."""

import dataclasses
import json
import os
import subprocess
import sys
import types
from pathlib import Path

import commands
import keras
import numpy as np
import polars as pl
import pytest
import tensorflow as tf
from kinds import some

import tf_helen
import zoo
from launch.compare import compare, parse_contenders
from launch.datasets.raw import RawData, RowAccount, in_memory
from launch.demo import write_raw_rows
from launch.export import export_run
from launch.prepare import prepare
from launch.run.arguments import make_optimizer, parse_arguments
from launch.run.config import RunConfig
from launch.run.history import load_history
from launch.run.results import results_table
from launch.run.training import load_best, train

ROOT = Path(__file__).parents[2]
SMALL = {"embedding_dim": 4, "hidden_units": (8,), "dropout": 0.2}


def make_raw() -> RawData:
    """Rows with several values, no value, unseen values, tabs and missing numbers."""
    rng = np.random.default_rng(0)

    def table(rows: int) -> pl.DataFrame:
        user = rng.integers(0, 40, rows)
        price = rng.normal(5, 2, rows)
        logit = (user % 5 - 2) + 0.5 * (price - 5)
        tags = [[f"t{t}" for t in rng.integers(0, 6, rng.integers(0, 5))] for _ in range(rows)]
        return pl.DataFrame(
            {
                "label": (rng.random(rows) < 1 / (1 + np.exp(-logit))).astype(np.float32),
                "user": [f"u\t{u}" if u == 3 else f"u {u}" for u in user],
                "site.id-x": pl.Series([None if u == 1 else str(u % 7) for u in user]),
                "tags": pl.Series(tags, dtype=pl.List(pl.String)),
                "price": [None if u == 2 else p for u, p in zip(user, price, strict=True)],
            }
        )

    splits = {"train": table(700), "valid": table(150), "test": table(150)}
    unseen = splits["test"].with_row_index("row").with_columns(
        pl.when(pl.col("row") == 5).then(pl.lit("nobody")).otherwise(pl.col("user")).alias("user")
    )  # fmt: skip
    splits["test"] = unseen.drop("row")
    site = zoo.Categorical("site.id-x", missing="bucket")
    fields = [zoo.Categorical("user"), site, zoo.Categorical("tags", length=3)]
    schema = zoo.Schema("tiny", fields, [zoo.Numeric("price")])
    return RawData(schema, {name: in_memory(rows) for name, rows in splits.items()})


@pytest.fixture(scope="module")
def raw():
    return make_raw()


@pytest.fixture(scope="module")
def data(raw, tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("prepared") / "data")
    prepare(raw, folder)
    return folder


def config_for(data, out, **changes):
    given = {
        "model_args": SMALL, "epochs": 2, "batch_size": 64, "learning_rate": 0.01,
        "progress": False, **changes,
    }  # fmt: skip
    return RunConfig(data, str(out), **given)


def state_of(out):
    """Every number of the newest checkpoint, by name."""
    path = tf.train.latest_checkpoint(f"{out}/checkpoints")
    names = [name for name, _ in tf.train.list_variables(path) if "OBJECT_GRAPH" not in name]
    return {name: tf.train.load_variable(path, name) for name in names}


OPTIMIZERS = {
    "adam": ("adam", {}),
    "adamar": ("adamar", {"alpha": 1e-3}),
    "helen": ("helen", {"rho": 0.01, "frequency": "dataset"}),
    "helen_ar": ("helen", {"rho": 0.01, "base_optimizer": "adamar", "frequency": "running"}),
}


@pytest.mark.parametrize("name", some(OPTIMIZERS, fast=["helen_ar"]))
def test_training_learns_and_a_resumed_run_is_equal_bit_for_bit(name, data, tmp_path):
    optimizer, arguments = OPTIMIZERS[name]
    whole = config_for(
        data, tmp_path / "whole", optimizer=optimizer, optimizer_args=arguments, epochs=2
    )
    history = train(whole)
    assert [epoch.epoch for epoch in history.epochs] == [1, 2]
    assert history.epochs[1].loss < history.epochs[0].loss
    assert history.best.valid_auc > 0.6
    broken = dataclasses.replace(whole, out=str(tmp_path / "broken"), epochs=1)
    train(broken)
    # What a crash in the middle of the second epoch leaves: nothing of that epoch.
    resumed = train(dataclasses.replace(broken, epochs=2, resume=True))
    strip = {"seconds": 0.0, "rows_per_second": 0.0}
    assert [dataclasses.replace(e, **strip) for e in resumed.epochs] == [
        dataclasses.replace(e, **strip) for e in history.epochs
    ]
    assert resumed.test == history.test
    first, second = state_of(whole.out), state_of(broken.out)
    assert first.keys() == second.keys()
    assert any("seed_generator_state" in key for key in first)
    for key, value in first.items():
        np.testing.assert_array_equal(value, second[key], err_msg=key)


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    """A run whose optimizer has a pending decay of absent rows, and its SavedModel."""
    run = str(tmp_path_factory.mktemp("run") / "run")
    train(config_for(data, run, optimizer="adamar", optimizer_args={"alpha": 1e-3}))
    return run, export_run(run, data, f"{run}/saved_model")


def predictions(run, data):
    features, _ = next(iter(zoo.read_tfrecords(data, "test", batch_size=150)))
    logits = load_best(run).predict(features, verbose=0)[:, 0].astype(np.float64)
    return 1 / (1 + np.exp(-logits))


def run_python(*arguments):
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, env=environment, check=False
    )


def test_a_clean_process_scores_raw_rows_as_the_model_does(raw, data, trained, tmp_path):
    run, saved = trained
    rows = str(tmp_path / "rows.csv")
    write_raw_rows(raw, 150, rows)
    assert "u\t3" in Path(rows).read_text()
    done = run_python(
        "-c",
        f"from launch.predict import predict\nprint(*predict({saved!r}, {rows!r}), sep='\\n')\n",
    )
    assert done.returncode == 0, done.stderr
    served = np.array([float(line) for line in done.stdout.split()])
    expected = predictions(run, data)
    assert np.ptp(expected) > 0.1
    np.testing.assert_allclose(served, expected, atol=1e-6)


def test_serialized_examples_score_alike(raw, data, trained):
    run, saved = trained
    examples = []
    for row in next(raw.splits["test"](RowAccount())).iter_rows(named=True):
        example = tf.train.Example()
        feature = example.features.feature
        feature["user"].bytes_list.value.append(row["user"].encode())
        if row["site.id-x"] is not None:
            feature["site.id-x"].bytes_list.value.append(row["site.id-x"].encode())
        feature["tags"].bytes_list.value.extend(tag.encode() for tag in row["tags"])
        if row["price"] is not None:
            feature["price"].float_list.value.append(row["price"])
        examples.append(example.SerializeToString())
    loaded = tf.saved_model.load(saved)
    served = loaded.signatures["examples"](examples=tf.constant(examples))["probability"]
    np.testing.assert_allclose(served.numpy(), predictions(run, data), atol=1e-6)


def test_the_saved_model_holds_vocabularies_and_no_optimizer(trained):
    _, saved = trained
    assert sorted(p.name for p in Path(saved, "assets").iterdir()) == [
        "site.id-x.tsv",
        "tags.tsv",
        "user.tsv",
    ]
    schema = load_best(trained[0]).schema
    rows = sum(schema.field_sizes.values())
    names = [n for n, _ in tf.train.list_variables(f"{saved}/variables/variables")]
    sizes = [
        int(np.prod(shape))
        for _, shape in tf.train.list_variables(f"{saved}/variables/variables")
        if shape and shape[0] == rows
    ]
    assert sorted(sizes) == [rows, rows * 4], names


def test_mirrored_training_on_two_logical_cpus(data, tmp_path):
    done = commands.run(
        "-m", "launch.train", f"--data={data}", f"--out={tmp_path}/run", "--model=dnn",
        "--strategy=mirrored", "--cpu_replicas=2", "--epochs=1", "--batch_size=64",
        "--optimizer=helen", "--optimizer_args=base_optimizer=adamar", "--precision=mixed_bfloat16",
        "--model_args=hidden_units=(8,),embedding_dim=4",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "test, last epoch" in done.stdout
    assert len(load_history(f"{tmp_path}/run")) == 1
    assert json.loads(Path(tmp_path, "run/config.json").read_text())["strategy"] == "mirrored"
    for name in ("curves.png", "history.csv", "best.keras", "saved_model/saved_model.pb"):
        assert Path(tmp_path, "run", name).stat().st_size > 0


def test_bad_input_ends_in_one_line_and_exit_code_1(data, tmp_path):
    done = commands.run(
        "-m", "launch.train", f"--data={data}", f"--out={tmp_path}/run",
        "--optimizer=helen", "--optimizer_args=rhoo=0.1",
    )  # fmt: skip
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    errors = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert len(errors) == 1
    assert "'rhoo'. Did you mean 'rho'?" in errors[0]
    assert not Path(tmp_path, "run").exists()
    done = commands.run("-m", "launch.predict", "--saved_model=/no/such", "--input=rows.csv")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("error: no SavedModel in /no/such")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": "/no/such"}, "no schema at /no/such.*prepare"),
        ({"model": "depfm"}, "Did you mean 'deepfm'"),
        ({"model_args": {"dim": 3}}, "'dim'.*embedding_dim"),
        ({"model_args": {"hidden_units": 3}}, "hidden_units.*3"),
        ({"model_args": {"dropout": "much"}}, "dropout"),
        ({"model_args": {"batch_norm": "maybe"}}, "batch_norm.*true or false.*maybe"),
        (
            {"optimizer": "helen", "optimizer_args": {"frequency": "datset"}},
            "'batch', 'running', 'dataset'.*Did you mean 'dataset'",
        ),
        ({"optimizer": "adm"}, "Did you mean 'adam'"),
        ({"optimizer_args": {"alpha": 1}}, "'alpha'.*beta_1"),
        ({"optimizer_args": {"learning_rate": 1}}, "twice"),
        ({"optimizer": "adamar", "optimizer_args": {"alpha": 2}}, r"\[0, 1\].*2"),
        ({"precision": "float8"}, "mixed_bfloat16.*float8"),
        ({"strategy": "mirored"}, "Did you mean 'mirrored'"),
        ({"strategy": "mirrored"}, "no GPU.*cpu_replicas"),
        ({"cpu_replicas": 2}, "mirrored"),
        ({"epochs": 0}, "epochs.*>= 1.*0"),
        ({"batch_size": -1}, "batch_size.*-1"),
        ({"seed": -1}, "seed.*-1"),
    ],
)
def test_bad_settings_are_named(changes, message, data, tmp_path):
    with pytest.raises(ValueError, match=message):
        train(dataclasses.replace(config_for(data, tmp_path / "run"), **changes))


def test_a_run_is_neither_overwritten_nor_resumed_with_other_settings(data, trained):
    run, _ = trained
    config = config_for(data, run, optimizer="adamar", optimizer_args={"alpha": 1e-3})
    with pytest.raises(ValueError, match=r"already holds a run.*--resume"):
        train(config)
    with pytest.raises(ValueError, match=r"batch_size=64.*batch_size=32"):
        train(dataclasses.replace(config, batch_size=32, resume=True))
    # Nothing is left to do: the same measurements come back.
    assert len(train(dataclasses.replace(config, resume=True)).epochs) == 2


def test_patience_stops_a_run(data, tmp_path):
    config = config_for(data, tmp_path / "run", epochs=6, patience=1, learning_rate=0.0)
    assert len(train(config).epochs) == 2  # the second is no better than the first


def test_a_diverging_run_ends_in_advice(data, tmp_path):
    config = config_for(data, tmp_path / "run", optimizer="sgd", learning_rate=1e30)
    with pytest.raises(ValueError, match="smaller learning rate"):
        train(config)


def test_damaged_records_are_left_out_and_counted(raw, tmp_path):
    folder = tmp_path / "data"
    prepare(raw, folder, layout="packed")
    file = next(folder.glob("train-*"))
    content = bytearray(file.read_bytes())
    content[2000] ^= 0xFF
    file.write_bytes(bytes(content))
    with pytest.raises(ValueError, match=r"1 of 700 records are lost.*0\.0014.*max_lost=0\.0001"):
        train(config_for(str(folder), tmp_path / "run"))
    ledger = zoo.Ledger()
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["ledger.json"]
    history = train(config_for(str(folder), tmp_path / "run", max_lost=0.01), ledger)
    assert json.loads((tmp_path / "run" / "ledger.json").read_text())["total_lost"] == 1
    assert ledger.total_lost == 1
    assert "1 damaged record skipped" in ledger.report()
    assert len(history.epochs) == 2


@pytest.mark.slow
def test_compare_writes_one_table_with_mean_and_deviation(data, tmp_path):
    common = config_for(data, tmp_path, save_models=False, learning_rate=None)
    contenders = parse_contenders("adam:learning_rate=0.01;adamar:alpha=1e-3")
    runs = compare(common, contenders, seeds=[0, 1])
    text = (tmp_path / "results.md").read_text()
    content = json.loads((tmp_path / "results.json").read_text())
    assert results_table(runs) in text
    for contender in contenders:
        label = contender.label
        aucs = [history.epochs[1].test_auc for history in runs[label]]
        assert aucs[0] != aucs[1]
        summary = content["test_auc"][label]
        assert summary["mean"][1] == pytest.approx(np.mean(aucs))
        assert summary["standard_deviation"][1] == pytest.approx(np.std(aucs, ddof=1))
        cell = f"{np.mean(aucs):.4f} ± {np.std(aucs, ddof=1):.4f}".replace("0.", ".")
        assert any(label in line and "test" in line and cell in line for line in text.splitlines())
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert not list(tmp_path.rglob("*.keras"))
    # Finished runs are taken over: nothing is trained again.
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("history.csv")}
    compare(dataclasses.replace(common, resume=True), contenders, seeds=[0, 1])
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("history.csv")} == before


def test_arguments_are_read_as_python_values_or_words():
    assert parse_arguments("") == {}
    assert parse_arguments("a=1e-4, b=adamar,c=(1,2),d=true,e='x,y',f=none") == {
        "a": 1e-4, "b": "adamar", "c": (1, 2), "d": True, "e": "x,y", "f": None,
    }  # fmt: skip
    assert parse_arguments("a=no,b=Yes,c=False") == {"a": False, "b": True, "c": False}
    for text in ("alpha", "alpha=", "=1", "a=1,a=2", "a=1+", "a={[]:1}"):
        with pytest.raises(ValueError, match=r"cannot read|twice"):
            parse_arguments(text)


def test_another_optimizer_trains_the_tower():
    tower = {"tower_optimizer": "adam", "tower_learning_rate": 0.25}
    both = make_optimizer("adagradar", 0.5, {"alpha": 0.125, **tower})
    tables, dense = both.parts
    assert (type(tables), type(dense)) == (tf_helen.AdagradAR, tf_helen.Adam)
    assert both.optimizer_of(_variable("dnn/embedding/table/embeddings")) is tables
    assert both.optimizer_of(_variable("dnn/mlp/dense_0/kernel")) is dense
    assert (float(tables.learning_rate), float(dense.learning_rate)) == (0.5, 0.25)
    assert tables.alpha == 0.125
    for name in ("helen(adagrad)", "helen"):
        base = {} if "(" in name else {"base_optimizer": "adagrad"}
        helen = make_optimizer(name, 0.5, {"rho": 0.0625, **base, **tower})
        assert type(helen) is tf_helen.Helen and helen.rho == 0.0625
        assert [type(part) for part in helen.base_optimizer.parts] == [
            tf_helen.Adagrad,
            tf_helen.Adam,
        ]
        assert float(helen.learning_rate) == 0.5
    with pytest.raises(ValueError, match="`tower_optimizer` must be the name"):
        make_optimizer("adagrad", 0.5, {"tower_learning_rate": 0.1})
    with pytest.raises(ValueError, match="no argument 'betas'"):
        make_optimizer("adagrad", 0.5, {"tower_optimizer": "adam", "tower_betas": 1})


def _variable(path):
    return types.SimpleNamespace(path=path)


def test_arguments_of_the_base_optimizer_reach_it():
    helen = make_optimizer("helen", 0.5, {"base_optimizer": "adamar", "alpha": 0.25})
    assert helen.base_optimizer.alpha == 0.25
    assert float(keras.ops.convert_to_numpy(helen.learning_rate)) == 0.5
    with pytest.raises(ValueError, match="'alpha'"):
        make_optimizer("helen", 0.5, {"base_optimizer": "adam", "alpha": 0.25})
    helen = make_optimizer("helen(frequencyaware(adamar))", 0.5, {"cap": 7, "alpha": 0.25})
    assert helen.base_optimizer.cap == 7
    assert helen.base_optimizer.base_optimizer.alpha == 0.25
    assert make_optimizer("rowwisermspropar", 0.5, {"min_shrinkage": 0.2}).min_shrinkage == 0.2


@pytest.mark.parametrize(
    "text", ["", "adam,adam", "adm", "adam;helen:rho=-1", "helen:frequency=x", "adam:alpha=1"]
)
def test_bad_contenders_are_refused(text):
    with pytest.raises(ValueError, match=r"optimizer|rho|'dataset'"):
        parse_contenders(text)

"""Smaller exports of a run, and what their model card says."""

import math
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from small_clicks import SMALL, prepare_clicks

from launch.export import export_run
from launch.run.config import RunConfig
from launch.run.training import load_best, train
from launch.serving.card import run_card
from launch.serving.quality import Quality, check_quality
from tf_helen.analysis import tables_of
from zoo.data.files import DataError, write_json
from zoo.serving.delta import apply_delta
from zoo.serving.model_card import read_card

ROOT = Path(__file__).parents[2]
USERS, ITEMS = [f"u{i}" for i in range(30)], [f"i{i % 13}" for i in range(30)]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return prepare_clicks(tmp_path_factory.mktemp("data") / "clicks")


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    """A run whose group lasso has made many rows zero."""
    out = str(tmp_path_factory.mktemp("run") / "run")
    lasso = {"l21": 0.02}
    train(
        RunConfig(
            data, out, model_args=SMALL, optimizer="groupadam", optimizer_args=lasso, epochs=2,
            batch_size=50, progress=False,
        )
    )  # fmt: skip
    return out


@pytest.fixture(scope="module")
def plain(run, data, tmp_path_factory):
    out = export_run(run, data, str(tmp_path_factory.mktemp("plain") / "served"))
    return out, scores(out)


def scores(saved):
    raw = {"user": tf.constant(USERS), "item": tf.constant(ITEMS)}
    return tf.saved_model.load(saved).signatures["serving_default"](**raw)["logit"].numpy()


def test_the_card_has_the_facts_of_the_run(plain):
    card = read_card(plain[0])
    assert card["training"]["optimizer"] == "groupadam"
    assert card["training"]["optimizer_args"] == {"l21": 0.02}
    assert 0 < card["scores"]["valid"]["auc"] < 1 and card["scores"]["epoch"] in (1, 2)
    assert card["data"]["splits"]["train"]["rows"] == 400
    assert set(card["data"]["checksums"]["splits"]) == {"train", "valid", "test"}
    assert set(card["vocabularies"]) == {"user", "item"}


def test_the_card_has_the_intervals_of_an_evaluation(run, tmp_path):
    score = {"value": 0.7, "low": 0.6, "high": 0.8}
    content = {
        "folders": {"a": "elsewhere", "b": f"{run}/"}, "bootstrap": {"samples": 10}, "rows": 200,
        "models": {"a": {"scores": {}}, "b": {"scores": {"auc": score}}},
    }  # fmt: skip
    write_json(str(tmp_path / "evaluation.json"), content)
    card = run_card(run, "absent", str(tmp_path))
    assert card["evaluation"] == {
        "bootstrap": {"samples": 10}, "rows": 200, "scores": {"auc": score}
    }  # fmt: skip
    with pytest.raises(DataError, match=f"no scores of other; .*elsewhere, {run}"):
        run_card("other", "absent", str(tmp_path))
    with pytest.raises(DataError, match=r"no evaluation\.json in absent"):
        run_card(run, "absent", "absent")


def test_rows_of_zeros_leave_and_scores_keep_their_bits(run, data, plain, tmp_path):
    lines = []
    out = export_run(run, data, str(tmp_path / "served"), drop_zero_rows=True, report=lines.append)
    np.testing.assert_array_equal(scores(out), plain[1])
    tables = read_card(out)["tables"]
    layers = tables_of(load_best(run)).values()
    zeros = [int((~layer.embeddings.numpy().any(axis=1)).sum()) for layer in layers]
    assert tables["zero_rows_dropped"] in (zeros[0], sum(zeros)) and zeros[0] > 5
    assert tables["bytes"] < tables["bytes_float32"] == read_card(plain[0])["tables"]["bytes"]
    assert (
        len(lines) == 1 and f"{tables['bytes_float32']:,} bytes -> {tables['bytes']:,}" in lines[0]
    )


@pytest.mark.parametrize(
    "form",
    [
        "int8",
        pytest.param("float16", marks=pytest.mark.slow),
        pytest.param("int4", marks=pytest.mark.slow),
    ],
)
def test_quantized_tables_are_measured(run, data, plain, tmp_path, form):
    lines = []
    out = export_run(
        run, data, str(tmp_path / "served"), tables=form, drop_zero_rows=True, max_auc_loss=0.5,
        report=lines.append,
    )  # fmt: skip
    card = read_card(out)
    assert card["quantization"]["tables"] == form
    assert card["quantization"]["auc"] == pytest.approx(card["scores"]["valid"]["auc"], abs=1e-5)
    assert "valid AUC" in lines[1] and "LogLoss" in lines[1]
    found = scores(out)
    assert 0 < np.abs(found - plain[1]).max() < 0.2


def test_an_export_that_loses_too_much_is_refused(run, data, tmp_path, monkeypatch):
    monkeypatch.setattr("launch.export.quality_of", lambda *_: Quality(0.75, 0.5, 0.7, 0.6))
    with pytest.raises(ValueError, match=r"--tables=int4 loses 0.05000 .*--max_auc_loss=0.01"):
        export_run(run, data, str(tmp_path / "served"), tables="int4", max_auc_loss=0.01)
    assert not list(tmp_path.iterdir())


def test_scores_that_are_not_numbers_are_refused():
    with pytest.raises(ValueError, match="wider format"):
        check_quality(Quality(0.75, 0.5, math.nan, math.nan), 1.0, "int8")
    check_quality(Quality(0.75, 0.5, 0.76, 0.5), 0.0, "int8")


def test_the_loss_needs_the_validation_split(run, data, tmp_path):
    alone = tmp_path / "alone"
    alone.mkdir()
    (alone / "vocabulary").mkdir()
    for name in ("schema.json", "vocabulary/user.tsv", "vocabulary/item.tsv"):
        tf.io.gfile.copy(f"{data}/{name}", str(alone / name))
    with pytest.raises(
        DataError, match="loss of quantized tables is measured on the split 'valid'"
    ):
        export_run(run, str(alone), str(tmp_path / "served"), tables="int8")


@pytest.mark.parametrize(
    "options, message",
    [
        ({"tables": "int7"}, "int8"),
        ({"max_auc_loss": -1.0}, "max_auc_loss"),
        ({"max_auc_loss": math.nan}, "max_auc_loss"),
        ({"user": ["usr"]}, "not a column of the model"),
        ({"warmup_requests": 1001}, "from 0 to 1000"),
    ],
)
def test_wrong_options_are_refused(run, data, tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        export_run(run, data, str(tmp_path / "served"), **options)
    assert not list(tmp_path.iterdir())


def test_a_delta_since_an_export_gives_the_new_one(run, data, plain, tmp_path):
    lines, new = [], str(tmp_path / "new")
    delta = export_run(run, data, str(tmp_path / "delta"), since=plain[0], report=lines.append)
    assert re.fullmatch(r"0 of [\d,]+ rows changed; [\d,]+ bytes instead of [\d,]+", lines[0])
    apply_delta(plain[0], delta, new)
    np.testing.assert_array_equal(scores(new), plain[1])
    for name in ("variables/variables.index", "variables/variables.data-00000-of-00001"):
        assert Path(new, name).read_bytes() == Path(plain[0], name).read_bytes()
    assert {path.name for path in tmp_path.iterdir()} == {"delta", "new"}


@pytest.mark.parametrize(
    "options, flag", [({"tables": "int8"}, "tables: float32"), ({"user": ["user"]}, "user: none")]
)
def test_a_delta_needs_the_flags_of_the_export(run, data, plain, tmp_path, options, flag):
    with pytest.raises(ValueError, match=f"another --{flag}; pass the same flags"):
        export_run(run, data, str(tmp_path / "delta"), since=plain[0], **options)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_commands_in_fresh_processes_give_the_same_bytes(run, data, tmp_path):
    def command(module, **flags):
        names = [f"--{name}={value}" for name, value in flags.items()]
        done = subprocess.run(
            [sys.executable, "-m", f"launch.{module}", *names], capture_output=True, text=True,
            cwd=ROOT,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    def content(folder):
        files = [path for path in Path(folder).rglob("*") if path.is_file()]
        return {str(path.relative_to(folder)): path.read_bytes() for path in files}

    other = str(tmp_path / "other")
    train(
        RunConfig(
            data, other, model_args=SMALL, optimizer="groupadam", optimizer_args={"l21": 0.02},
            epochs=1, batch_size=50, seed=1, progress=False,
        )
    )  # fmt: skip
    folders = {name: str(tmp_path / name) for name in ("base", "delta", "applied", "full")}
    command("export", run=run, data=data, out=folders["base"])
    command("export", run=other, data=data, out=folders["full"])
    text = command("export", run=other, data=data, out=folders["delta"], since=folders["base"])
    assert "rows changed" in text
    command("apply_delta", base=folders["base"], delta=folders["delta"], out=folders["applied"])
    assert content(folders["applied"]) == content(folders["full"])
    assert content(folders["applied"]) != content(folders["base"])

"""A run continues, and is exported, with the data that it was trained on, in any folder."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from absl import logging

import zoo
from launch.compare import compare, parse_contenders
from launch.datasets.raw import RawData, in_memory
from launch.export import export_run
from launch.predict import predict
from launch.prepare import prepare
from launch.run.config import RunConfig
from launch.run.history import load_history
from launch.run.training import load_best, train
from zoo.serving.export import export_saved_model

ROOT = Path(__file__).parents[3]
FIRST_DAY = ("u0", "u1", "u2", "u3")


def prepare_day(folder, users=FIRST_DAY, field="user", flipped=False):
    """Users from frequent to rare; the odd ones click."""
    values = [user for place, user in enumerate(users) for _ in range(30 - 4 * place)]
    clicks = [float(int(value[1]) % 2) for value in values]
    clicks[0] = 1 - clicks[0] if flipped else clicks[0]
    table = pl.DataFrame({"click": clicks, field: values})
    splits = {name: in_memory(table) for name in ("train", "valid", "test")}
    prepare(RawData(zoo.Schema("t", [zoo.Categorical(field)], label="click"), splits), str(folder))
    return str(folder)


def config_for(data, out, **changes):
    given = {"model": "lr", "epochs": 1, "learning_rate": 0.05, "progress": False, **changes}
    return RunConfig(data, str(out), **given)


@pytest.fixture(scope="module")
def days(tmp_path_factory):
    folder = tmp_path_factory.mktemp("days")
    return {
        "first": prepare_day(folder / "first"),
        "second": prepare_day(folder / "second", ("u1", "u2", "u3", "u0")),
        "renamed": prepare_day(folder / "renamed", field="item"),
        "rows": prepare_day(folder / "rows", flipped=True),
        "again": prepare_day(folder / "again"),
    }


@pytest.fixture(scope="module")
def trained(days, tmp_path_factory):
    out = str(tmp_path_factory.mktemp("run") / "run")
    train(config_for(days["first"], out))
    return out


@pytest.fixture
def run(trained, tmp_path):
    return shutil.copytree(trained, str(tmp_path / "run"))


def content(folder):
    files = [path for path in Path(folder).rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


OTHERS = [
    ("second", "field 'user' has another vocabulary"),
    ("renamed", "column 'user' has other settings"),
    ("rows", "split 'train' has other rows"),
]


@pytest.mark.parametrize(("other", "words"), OTHERS)
def test_a_run_is_not_continued_with_other_data(run, days, other, words):
    before = content(run)
    with pytest.raises(ValueError, match=words):
        train(config_for(days[other], run, epochs=2, resume=True))
    assert content(run) == before


def test_a_run_is_continued_with_the_same_data_in_another_place(run, days):
    assert len(train(config_for(days["again"], run, epochs=2, resume=True)).epochs) == 2
    export_run(run, days["again"], f"{run}/served")


@pytest.mark.parametrize(("other", "words"), OTHERS[:2])
def test_a_run_is_not_exported_with_other_vocabularies(run, days, other, words):
    with pytest.raises(ValueError, match=words):
        export_run(run, days[other], f"{run}/served")
    assert not os.path.exists(f"{run}/served")


def test_vocabularies_alone_suffice_for_an_export(run, days, tmp_path):
    shutil.copytree(f"{days['first']}/vocabulary", tmp_path / "alone/vocabulary")
    export_run(run, str(tmp_path / "alone"), f"{run}/served")


def test_the_best_model_alone_knows_its_vocabularies(run, days):
    model = load_best(run)
    os.remove(f"{run}/data.json")
    assert list(model.vocabularies) == ["user"]
    with pytest.raises(ValueError, match="field 'user' has another vocabulary"):
        export_saved_model(model, days["second"], f"{run}/served")
    with pytest.raises(ValueError, match="field 'user' has another vocabulary"):
        export_run(run, days["second"], f"{run}/served")
    again = type(model).from_config(model.get_config())
    assert again.vocabularies == model.vocabularies
    export_saved_model(model, days["again"], f"{run}/served")


def test_runs_of_older_versions_get_their_checksums_when_they_go_on(run, days, monkeypatch):
    os.remove(f"{run}/data.json")
    said = []
    monkeypatch.setattr(logging, "warning", lambda text, *args: said.append(text % args))
    train(config_for(days["first"], run, epochs=2, resume=True))
    assert len(said) == 1 and f"{run} was written by an older version" in said[0]
    train(config_for(days["first"], run, epochs=3, resume=True))
    assert len(said) == 1
    with pytest.raises(ValueError, match="field 'user' has another vocabulary"):
        train(config_for(days["second"], run, epochs=4, resume=True))


def test_an_older_model_is_exported_with_a_warning(run, days, monkeypatch):
    os.remove(f"{run}/data.json")
    model = load_best(run)
    model.vocabularies = {}
    model.save(f"{run}/best.keras")
    assert load_best(run).vocabularies == {}
    said = []
    monkeypatch.setattr(logging, "warning", lambda text, *args: said.append(text % args))
    export_run(run, days["first"], f"{run}/served")
    assert len(said) == 1 and "has no checksums" in said[0]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"columns": 3}', "\x00"])
def test_damaged_checksums_are_named(run, days, text):
    Path(run, "data.json").write_text(text)
    with pytest.raises(ValueError, match=r"data\.json is damaged"):
        train(config_for(days["first"], run, epochs=2, resume=True))
    with pytest.raises(ValueError, match=r"data\.json is damaged"):
        export_run(run, days["first"], f"{run}/served")


@pytest.mark.parametrize("models", [True, False])
def test_a_comparison_takes_no_finished_run_of_other_data(days, tmp_path, models):
    common = config_for(days["first"], tmp_path, save_models=models)
    compare(common, parse_contenders("adam"), seeds=[0])
    run = tmp_path / "adam/seed_0" if models else next(tmp_path.glob("cells/*"))
    before = content(tmp_path)
    with pytest.raises(ValueError, match="field 'user' has another vocabulary"):
        other = config_for(days["second"], tmp_path, save_models=models, resume=True)
        compare(other, parse_contenders("adam"), seeds=[0])
    assert content(tmp_path) == before
    os.remove(run / "data.json")  # as an older version left it
    again = config_for(days["first"], tmp_path, save_models=models, resume=True)
    compare(again, parse_contenders("adam"), seeds=[0])
    assert json.loads((tmp_path / "data.json").read_text())["vocabularies"]
    assert len(load_history(str(run))) == 1


def test_counts_of_other_data_do_not_enter_a_resumed_run(days, tmp_path):
    # The same values with the same ids, but other counts: Helen's frequencies.
    other = shutil.copytree(days["first"], str(tmp_path / "other"))
    vocabulary = Path(other, "vocabulary/user.tsv")
    vocabulary.write_text(vocabulary.read_text().replace("\t30", "\t31"))
    helen = {"optimizer": "helen", "optimizer_args": {"frequency": "dataset"}}
    train(config_for(days["first"], tmp_path / "run", **helen))
    with pytest.raises(ValueError, match="field 'user' has another vocabulary"):
        train(config_for(other, tmp_path / "run", epochs=2, resume=True, **helen))


def tampered(saved, folder):
    """Copies of a SavedModel whose vocabulary was cut short, edited, reordered or emptied."""
    lines = Path(saved, "assets/user.tsv").read_text().splitlines(keepends=True)
    found = {}
    for name, text in {
        "cut": "".join(lines[:-1]),
        "edited": "".join(lines).replace("u1", "u9"),
        "reordered": "".join([lines[0], *reversed(lines[1:])]),
        "empty": "",
    }.items():
        found[name] = shutil.copytree(saved, f"{folder}/{name}")
        Path(found[name], "assets/user.tsv").write_text(text)
    return found


CHILD = """
import sys
import tensorflow as tf
for path in sys.argv[1:]:
    for load in ("2", "1"):
        try:
            if load == "2":
                tf.saved_model.load(path)
            else:
                with tf.compat.v1.Session(graph=tf.Graph()) as session:
                    tf.compat.v1.saved_model.load(session, ["serve"], path)
            print("loaded")
        except tf.errors.InvalidArgumentError as error:
            print("refused" if "vocabulary of field user is not the file" in str(error) else "?")
"""


def test_a_saved_model_refuses_another_vocabulary(run, days, tmp_path):
    saved = export_run(run, days["first"], str(tmp_path / "saved"))
    rows = tmp_path / "rows.csv"
    rows.write_text("user\nu0\nu1\n")
    for copy in tampered(saved, tmp_path).values():
        words = rf"^the vocabulary of field user is not .* {copy}/assets/user\.tsv$"
        with pytest.raises(ValueError, match=words):
            list(predict(copy, str(rows)))
    first, second = predict(saved, str(rows))
    assert first + 0.01 < second
    same = shutil.copytree(saved, str(tmp_path / "same"))
    np.testing.assert_array_equal(list(predict(same, str(rows))), [first, second])
    assert os.listdir(f"{saved}/assets") == ["user.tsv"]


@pytest.mark.slow
def test_every_runtime_refuses_another_vocabulary_in_a_new_process(run, days, tmp_path):
    saved = export_run(run, days["first"], str(tmp_path / "saved"))
    copies = [*tampered(saved, tmp_path).values(), shutil.copytree(saved, tmp_path / "same")]
    done = subprocess.run(
        [sys.executable, "-c", CHILD, *map(str, copies)],
        capture_output=True,
        text=True,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        timeout=120,
    )
    assert done.stdout.split() == ["refused"] * 8 + ["loaded"] * 2, done.stderr

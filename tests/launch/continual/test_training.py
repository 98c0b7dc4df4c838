"""Days are scored before they are trained, exported after it, and resumed to the bit."""

import dataclasses
import json
from pathlib import Path

import commands
import numpy as np
import pytest
import tensorflow as tf
from days import RUN, SCHEMA, rows_of_day, write_day
from sklearn.metrics import roc_auc_score

import zoo
from launch.continual import training
from launch.continual.settings import Days
from launch.continual.training import train_days
from launch.run.config import RunConfig
from launch.run.files import load_best
from launch.run.training import train
from zoo.data.files import DataError
from zoo.data.folders import files_of
from zoo.data.vocabulary import load_vocabulary

SMALL = {**RUN, "model": "lr", "model_args": {}, "learning_rate": 0.1, "epochs": 1}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Four days; on the third, the labels are the opposite of what they should be."""
    folder = tmp_path_factory.mktemp("prepared")
    days = [((0, 30), False), ((10, 40), False), ((20, 50), True), ((30, 60), False)]
    return [
        write_day(folder / str(number), users, number, valid=number != 2, flip=flip)
        for number, (users, flip) in enumerate(days, start=1)
    ]


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory):
    """Four days without exports."""
    out = str(tmp_path_factory.mktemp("days") / "whole")
    return train_days(Days(data, out, SMALL, export="none", keep=3)), out


@pytest.fixture(scope="module")
def exported(data, tmp_path_factory):
    out = str(tmp_path_factory.mktemp("days") / "exported")
    return train_days(Days(data, out, SMALL, export="delta", keep=3)), out


def content_of(folder) -> dict[str, bytes]:
    return {name: Path(folder, name).read_bytes() for name in files_of(str(folder))}


def test_each_day_is_scored_before_it_is_trained(whole):
    result, out = whole
    assert result.days[0].scores == {} and result.days[1].scores["auc"] > 0.52
    assert result.days[1].scores["rows"] == 320 and result.days[3].scores["rows"] == 400
    assert result.scores["rows"] == 320 + 400 + 400
    assert sum(bucket["rows"] for bucket in result.buckets.values()) == 1120
    parts = [np.load(f"{out}/scores/{day}.npz") for day in (2, 3, 4)]
    label, logit = (np.concatenate([part[name] for part in parts]) for name in ("label", "logit"))
    assert abs(result.scores["auc"] - roc_auc_score(label, logit)) < 1e-6


@pytest.mark.slow
def test_the_scores_are_those_of_the_export_before(data, exported):
    """A client that sends the raw values of the day to the served model gets the same scores."""
    _, out = exported
    served = tf.saved_model.load(f"{out}/served/1").signatures["serving_default"]
    raw = rows_of_day((10, 40), 2, 320)
    columns = ("user", "item", "place", "price")
    found = served(**{name: tf.constant(raw[name].to_numpy()) for name in columns})
    with np.load(f"{out}/scores/2.npz") as scores:
        np.testing.assert_allclose(found["logit"].numpy().ravel(), scores["logit"], atol=1e-5)
        assert scores["split"].tolist() == [0] * 320
        unseen = ~np.isin(raw["user"].to_numpy(), load_vocabulary(data[0], "user")[0])
        assert unseen.any() and (scores["bucket"][unseen] == 0).all()


def test_a_bad_day_does_not_replace_the_export(whole):
    result, out = whole
    third, fourth = result.days[2:]
    assert third.status == "not kept: AUC fell" and "max_auc_drop=0.05" in third.reason
    assert fourth.status == "kept" and fourth.earlier == 2
    assert json.loads(Path(out, "runs/4/warm_start.json").read_text())["run"] == f"{out}/runs/2"
    assert Path(out, "days.png").stat().st_size > 10_000
    text = result.table()
    assert "day 3 was not kept: AUC fell" in text and "rarest id seen" in text


@pytest.mark.slow
def test_exports_are_those_of_the_runs_and_deltas_lead_to_them(data, exported, tmp_path):
    from launch.apply_delta import apply_delta
    from launch.export import export_run

    result, out = exported
    served = sorted(path.name for path in Path(out, "served").iterdir() if path.is_dir())
    assert served == ["1", "2", "4"] and result.days[2].export == ""
    assert result.days[0].delta_bytes is None and result.days[1].delta_bytes > 0
    apply_delta(f"{out}/served/2", f"{out}/deltas/4", str(tmp_path / "again"))
    export_run(f"{out}/runs/4", data[3], str(tmp_path / "exported"))
    assert content_of(tmp_path / "again") == content_of(f"{out}/served/4")
    # TensorFlow numbers functions within a process, so the graphs differ.
    names = [n for n in content_of(f"{out}/served/4") if n.startswith(("variables/", "assets/"))]
    mine, theirs = content_of(tmp_path / "exported"), content_of(f"{out}/served/4")
    assert [mine[name] for name in names] == [theirs[name] for name in names]


class Killed(BaseException):
    """Ends a training as a kill does: no code of the training handles it."""


@pytest.mark.slow
@pytest.mark.parametrize("place", ["score_day", "train", "publish", "save_predictions"])
def test_a_training_that_was_killed_gives_the_same_bits(
    data, exported, tmp_path, monkeypatch, place
):
    settings = Days(data[:2], str(tmp_path / "days"), SMALL, export="delta")
    real, calls = getattr(training, place), []

    def killed(*args, **kwargs):
        calls.append(1)
        last = 1 if place in ("score_day", "save_predictions") else 2
        if len(calls) == last:
            if place in ("publish", "save_predictions"):
                real(*args, **kwargs)
            raise Killed
        return real(*args, **kwargs)

    monkeypatch.setattr(training, place, killed)
    with pytest.raises(Killed):
        train_days(settings)
    monkeypatch.undo()
    result = train_days(dataclasses.replace(settings, resume=True))
    expected, out = exported
    for day, other in zip(result.days, expected.days, strict=False):
        assert (day.scores, day.so_far) == (other.scores, other.so_far)
    for mine, theirs in zip(
        load_best(f"{settings.out}/runs/2").get_weights(),
        load_best(f"{out}/runs/2").get_weights(),
        strict=True,
    ):
        np.testing.assert_array_equal(mine, theirs)
    name = "variables/variables.data-00000-of-00001"
    assert content_of(f"{settings.out}/served/2")[name] == content_of(f"{out}/served/2")[name]


@pytest.mark.slow
def test_days_may_be_added_and_old_ones_go(data, tmp_path):
    settings = Days(data[:1], str(tmp_path / "days"), SMALL, export="none", keep=1)
    train_days(settings)
    with pytest.raises(DataError, match="already holds days"):
        train_days(settings)
    more = dataclasses.replace(settings, data=data[:2], resume=True)
    assert len(train_days(more).days) == 2
    assert [path.name for path in (tmp_path / "days/runs").iterdir() if path.is_dir()] == ["2"]
    for changes, message in (
        ({"data": [data[1], data[0]]}, "day 1 was trained with other data"),
        ({"data": data[:1]}, "holds 2 days"),
        ({"run": {**SMALL, "epochs": 2}}, r"epochs=1\. Received: epochs=2"),
    ):
        with pytest.raises(DataError, match=message):
            train_days(dataclasses.replace(more, **changes))
    (tmp_path / "days/notes.txt").write_text("mine")
    with pytest.raises(DataError, match=r"notes\.txt is not a file of days"):
        train_days(dataclasses.replace(more, resume=False, overwrite=True))


@pytest.mark.slow
def test_a_day_that_diverges_is_not_kept(data, tmp_path, monkeypatch):
    real = training.train

    def diverging(config, ledger):
        if config.data == data[1]:
            config = dataclasses.replace(config, learning_rate=1e30)
        return real(config, ledger)

    monkeypatch.setattr(training, "train", diverging)
    chosen = [data[0], data[1], data[3]]
    result = train_days(Days(chosen, str(tmp_path / "days"), SMALL, export="none"))
    assert [day.status for day in result.days] == ["kept", "not kept: diverged", "kept"]
    assert result.days[2].earlier == 1


@pytest.mark.slow
def test_the_first_day_may_continue_a_run(data, tmp_path):
    first = str(tmp_path / "first")
    train(RunConfig(data[0], first, **SMALL))
    settings = Days(data[1:2], str(tmp_path / "days"), SMALL, "none", warm_start=first)
    (day,) = train_days(settings).days
    assert day.scores["auc"] > 0.52 and day.fields["user"]["carried"] > 10


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"data": []}, "data"),
        ({"data": ["a", "a/"]}, "twice"),
        ({"max_auc_drop": 2}, "max_auc_drop"),
        ({"run": {"warm_start": "x"}}, "'warm_start'"),
        ({"export": "some"}, "export"),
        ({"keep": 0}, "keep"),
    ],
)
def test_settings_that_do_not_fit(arguments, message):
    with pytest.raises(ValueError, match=message):
        Days(**{"data": ["a"], "out": "out", **arguments})


@pytest.mark.slow
def test_the_command(data, tmp_path):
    arguments = [f"--data={','.join(data[:2])}", f"--out={tmp_path / 'days'}", "--model=dnn"]
    arguments += ["--model_args=embedding_dim=4,hidden_units=(8,)", "--batch_size=32"]
    done = commands.run("-m", "launch.days", *arguments)
    assert done.returncode == 0, done.stderr
    assert "last good export" in done.stdout and "each day is scored before" in done.stdout
    assert SCHEMA.name == zoo.Schema.load(data[0]).name

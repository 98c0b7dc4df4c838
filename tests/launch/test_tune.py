"""Searches: the same trials after a kill, what is written, pruning, and errors."""

import json
import multiprocessing
import os
import shlex
import signal

import commands
import numpy as np
import pytest
from small_clicks import prepare_clicks
from stand_in import StandIn

from launch.comparison import cells
from launch.run.arguments import arguments_text, parse_arguments
from launch.run.config import RunConfig
from launch.run.history import Epoch, History, save_history
from launch.search.report import plot_search, train_command
from launch.search.searching import Search, best_of
from launch.search.space import parse_space
from launch.tune import tune
from zoo.data.files import DataError

SPACE = "learning_rate=log(1e-4,1e-1);alpha=[1e-4,1e-3];embedding_l2=log(1e-7,1e-4)"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return prepare_clicks(tmp_path_factory.mktemp("clicks") / "data")


def quadratic(config, ledger=None, memory=None, after_epoch=None):
    """A run whose score depends smoothly on the learning rate; alpha and the seed matter little."""
    os.makedirs(config.out)
    distance = abs(np.log10(config.learning_rate) + 2)
    offset = 1e-3 * (config.optimizer_args.get("alpha", 0) == 1e-3) + 1e-4 * config.seed
    epochs = []
    for number in range(1, config.epochs + 1):
        auc = 0.8 - 0.05 * distance + offset + 0.001 * number
        epochs.append(Epoch(number, 0.5, auc, 1 - auc))
        save_history(config.out, epochs)
        if after_epoch:
            after_epoch(epochs[-1])
    return History(tuple(epochs))


@pytest.fixture
def trained(monkeypatch):
    """The settings of every run; a stand-in replaces the training."""
    seen = []

    def counted(config, *args):
        seen.append(config)
        return quadratic(config, *args)

    monkeypatch.setattr(cells, "train", counted)
    return seen


def search_for(data, out, space=SPACE, **changes):
    names = ("resume", "overwrite", "batch_size", "progressive")
    given = {name: changes.pop(name) for name in names if name in changes}
    common = RunConfig(
        data, str(out), model="lr", optimizer="adamar", epochs=3, progress=False,
        save_models=False, **given,
    )  # fmt: skip
    return Search(common, parse_space(space), **{"trials": 8, "startup": 4} | changes)


def proposed(trials):
    return [(trial.values, trial.score, trial.state) for trial in trials]


@pytest.mark.slow
def test_the_sampler_is_seeded_and_finds_the_best(data, tmp_path, trained):
    first, text = tune(search_for(data, tmp_path / "a", trials=20))
    again, _ = tune(search_for(data, tmp_path / "b", trials=6))
    other, _ = tune(search_for(data, tmp_path / "c", trials=3, sampler_seed=1))
    assert proposed(first)[:6] == proposed(again)
    assert proposed(first)[:3] != proposed(other)
    best = best_of(first)
    assert 10**-2.5 < best.values["learning_rate"] < 10**-1.5
    # At random the median distance from the best, in decades, would be 0.75.
    late = [abs(np.log10(t.values["learning_rate"]) + 2) for t in first[8:]]
    assert np.median(late) < 0.4
    assert best.score == max(trial.score for trial in first) and best.epoch == 3
    assert all(not config.evaluate_test for config in trained)
    assert f"--learning_rate={best.values['learning_rate']}" in text


def test_a_search_goes_on_and_grows(data, tmp_path, trained):
    whole, _ = tune(search_for(data, tmp_path / "whole"))
    tune(search_for(data, tmp_path / "parts", trials=3))
    with pytest.raises(DataError, match="already holds a search"):
        tune(search_for(data, tmp_path / "parts"))
    count = len(trained)
    parts, _ = tune(search_for(data, tmp_path / "parts", resume=True))
    assert proposed(parts) == proposed(whole) and len(trained) == count + 5
    tune(search_for(data, tmp_path / "parts", trials=2, overwrite=True))
    content = json.loads((tmp_path / "parts/trials.json").read_text())
    assert len(content["trials"]) == 2
    assert len(trained) == count + 5  # their cells are there


def test_a_time_budget_ends_a_search_that_goes_on(data, tmp_path, trained):
    some, _ = tune(search_for(data, tmp_path, time_budget=1e-6))
    assert len(some) == 1
    more, _ = tune(search_for(data, tmp_path, resume=True))
    assert len(more) == 8 and proposed(more)[:1] == proposed(some)


def _killed_in_the_third_trial(data, folder):
    count = []

    def train_or_die(config, ledger, memory, after_epoch):
        count.append(config)

        def after(epoch):
            after_epoch(epoch)
            if len(count) == 3 and epoch.epoch == 2:
                os.kill(os.getpid(), signal.SIGKILL)

        return quadratic(config, ledger, memory, after)

    cells.train = train_or_die
    tune(search_for(data, folder))


@pytest.mark.slow
def test_a_search_that_is_killed_within_a_trial_proposes_what_it_would_have(
    data, tmp_path, trained
):
    whole, _ = tune(search_for(data, tmp_path / "whole"))
    process = multiprocessing.get_context("spawn").Process(
        target=_killed_in_the_third_trial, args=(data, str(tmp_path / "killed"))
    )
    process.start()
    process.join(120)
    assert process.exitcode == -signal.SIGKILL
    count = len(trained)
    found, _ = tune(search_for(data, tmp_path / "killed", resume=True))
    assert proposed(found) == proposed(whole)
    assert len(trained) == count + 6  # two of eight were kept


@pytest.mark.slow
def test_the_median_pruner_ends_runs_that_fall_behind(data, tmp_path, trained):
    trials, _ = tune(search_for(data, tmp_path, trials=20, prune="median"))
    states = [trial.state for trial in trials]
    assert "pruned" in states and states[:5] == ["complete"] * 5
    scores = [trial.score for trial in trials if trial.state == "complete"]
    assert best_of(trials).score == max(scores)
    for trial in trials:
        if trial.state == "pruned":
            assert trial.epoch < 3 and trial.score < np.median(scores)
    assert "pruned" in (tmp_path / "trials.md").read_text()
    # A run that was ended is no cell.
    assert len(os.listdir(tmp_path / "cells")) == states.count("complete")


def test_several_seeds_are_averaged(data, tmp_path, trained):
    trials, _ = tune(search_for(data, tmp_path, trials=2, seeds=3))
    assert [config.seed for config in trained] == [0, 1, 2] * 2
    one, _ = tune(search_for(data, tmp_path / "one", trials=2))
    assert trials[0].score == pytest.approx(one[0].score + 1e-4)


def test_logloss_is_minimized(data, tmp_path, trained):
    trials, text = tune(search_for(data, tmp_path, select="logloss"))
    assert best_of(trials).score == max(trial.score for trial in trials) < 0
    assert "valid LogLoss" in text


def test_trials_that_diverge_are_listed_last(data, tmp_path, monkeypatch):
    monkeypatch.setattr(cells, "train", StandIn())
    trials, text = tune(search_for(data, tmp_path, "learning_rate=[0.01,1000.0,2000.0]", trials=6))
    states = {trial.values["learning_rate"]: trial.state for trial in trials}
    assert states == {0.01: "complete", 1000.0: "diverged", 2000.0: "diverged"}
    assert "--learning_rate=0.01" in text
    lines = (tmp_path / "trials.md").read_text().strip().splitlines()
    assert "diverged" in lines[-1]
    only, text = tune(search_for(data, tmp_path / "only", "learning_rate=[1000.0]", trials=2))
    assert text.startswith("no trial was completed") and best_of(only) is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"batch_size": 64}, "settings.batch_size"),
        ({"space": SPACE.replace("1e-1", "2e-1")}, "space.learning_rate"),
        ({"select": "logloss"}, "select='auc'"),
        ({"sampler_seed": 1}, "sampler_seed"),
        ({"seeds": 2}, "seeds"),
        ({"prune": "median"}, "prune"),
    ],
)
def test_another_search_is_not_continued(data, tmp_path, trained, changes, words):
    tune(search_for(data, tmp_path, trials=1))
    with pytest.raises(DataError, match=words):
        tune(search_for(data, tmp_path, resume=True, **changes))


def test_a_search_is_not_continued_with_other_data(data, tmp_path, trained):
    tune(search_for(data, tmp_path / "out", trials=1))
    other = prepare_clicks(tmp_path / "data", seed=1)
    with pytest.raises(DataError, match="not what the search in"):
        tune(search_for(other, tmp_path / "out", resume=True))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"space": "rho=[0.1]"}, "neither lr nor adamar"),
        ({"space": "alpha=[0.1,-1.0]"}, "alpha"),
        ({"trials": 0}, "trials"),
        ({"seeds": 0}, "seeds"),
        ({"prune": "hyperband"}, "prune"),
        ({"prune": "median", "progressive": {}}, "prune='median' has no effect"),
        ({"select": "gauc"}, "select"),
        ({"time_budget": 0.0}, "time_budget"),
    ],
)
def test_bad_searches_are_refused(data, tmp_path, changes, words):
    with pytest.raises(ValueError, match=words):
        search_for(data, tmp_path, **changes)


@pytest.mark.slow
def test_the_best_setting_is_a_command_line_that_runs(data, tmp_path):
    arguments = (
        "-m", "launch.tune", f"--data={data}", f"--out={tmp_path}/tuned", "--model=dnn",
        "--model_args=hidden_units=(8,)", "--epochs=1", "--batch_size=128", "--trials=2",
        "--space=learning_rate=log(1e-2,1e-1);embedding_dim=[2,4]",
    )  # fmt: skip
    done = commands.run(*arguments)
    assert done.returncode == 0, done.stderr
    assert "trial 2/2: learning_rate=" in done.stdout
    content = json.loads((tmp_path / "tuned/trials.json").read_text())
    command = content["train"]
    assert command in done.stdout
    best = content["trials"][content["best"] - 1]
    trained = commands.run(*shlex.split(command)[1:])
    assert trained.returncode == 0, trained.stderr
    history = (tmp_path / "tuned/best/history.csv").read_text().splitlines()
    assert float(history[1].split(",")[2]) == best["score"]
    again = commands.run(*arguments)
    assert again.returncode == 1 and "continue it with --resume" in again.stderr


def test_command_lines_have_what_is_not_default():
    config = RunConfig(
        "my data", "out", model="dnn", model_args={"hidden_units": (8, 4), "activation": "relu"},
        optimizer="helen(adamar)", optimizer_args={"rho": 1e-5}, callbacks=("meda",),
        learning_rate=1e-3, patience=2,
    )  # fmt: skip
    assert train_command(config) == (
        "python -m launch.train '--data=my data' --out=out --model=dnn "
        "'--optimizer=helen(adamar)' --optimizer_args=rho=1e-05 "
        "'--model_args=hidden_units=(8, 4),activation=relu' --callbacks=meda "
        "--learning_rate=0.001 --patience=2"
    )


@pytest.mark.slow
def test_passes_over_time_are_searched(data, tmp_path):
    progressive = {"splits": ("train", "valid"), "slice_rows": 128}
    space = "learning_rate=[1e-6,0.1]"
    trials, text = tune(search_for(data, tmp_path, space, trials=4, progressive=progressive))
    assert best_of(trials).values == {"learning_rate": 0.1} and best_of(trials).epoch == 1
    assert "--progressive --progressive_splits=train,valid --slice_rows=128" in text
    assert "--epochs" not in text


@pytest.mark.parametrize(
    "arguments",
    [
        {"a": 1e-5, "b": 3, "c": True, "d": None, "e": "adamar", "f": (8, 4), "g": [1, 2]},
        {"a": "true", "b": "none", "c": "two words", "d": "x,y", "e": "it's", "f": ("a", None)},
        {},
    ],
)
def test_arguments_are_written_as_they_are_read(arguments):
    assert parse_arguments(arguments_text(arguments)) == arguments


def test_a_plan_is_a_file(data, tmp_path):
    file = tmp_path / "plan.yaml"
    file.write_text(
        f"data: {data}\nmodel: lr\noptimizer: helen\noptimizer_args: {{base_optimizer: adamar}}\n"
        "epochs: 1\nspace:\n  learning_rate: log(1e-3, 1e-1)\n  rho: [1e-2, 5e-2]\n"
    )
    out = f"--out={tmp_path}/out"
    done = commands.run("-m", "launch.tune", f"--plan={file}", out, "--trials=1")
    assert done.returncode == 0, done.stderr
    content = json.loads((tmp_path / "out/trials.json").read_text())
    assert content["space"] == {"learning_rate": "log(0.001,0.1)", "rho": "[0.01, 0.05]"}
    assert content["optimizer"] == "helen"


def test_pictures_of_every_kind_of_axis(data, tmp_path, trained):
    space = f"{SPACE};embedding_dim=int(2,8);embedding_dims=[none]"
    wanted = search_for(data, tmp_path, space, trials=7, prune="median")
    trials, _ = tune(wanted)
    path = plot_search(wanted, trials, str(tmp_path / "again.png"), "clicks")
    assert (tmp_path / "again.png").read_bytes().startswith(b"\x89PNG") and path

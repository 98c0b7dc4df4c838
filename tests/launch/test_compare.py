"""Comparisons with grids: the choice by validation, cells that are shared, time budgets."""

import dataclasses
import json

import commands
import pytest
from small_clicks import SMALL, prepare_clicks
from stand_in import StandIn

from launch.compare import TIME_UP, compare_plan, parse_contenders
from launch.comparison import cells
from launch.comparison.clock import TimeUpError
from launch.comparison.grid import parse_grid
from launch.comparison.plan import Plan, load_plan
from launch.run.config import RunConfig
from launch.run.progressive_settings import Progressive
from zoo.data.files import DataError

GRID = "adam:learning_rate=[0.001,0.05];adamar:learning_rate=0.05,alpha=[1e-4,1e-2,1e-3]"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return prepare_clicks(tmp_path_factory.mktemp("clicks") / "data")


@pytest.fixture
def trained(monkeypatch):
    """The settings of every run; a stand-in replaces the training."""
    stand_in = StandIn()
    monkeypatch.setattr(cells, "train", stand_in)
    return stand_in.seen


def plan_for(data, out, optimizers=GRID, **changes):
    common = RunConfig(
        data, str(out), model="lr", epochs=2, batch_size=64, progress=False, save_models=False
    )
    given = {name: changes.pop(name) for name in ("resume", "overwrite") if name in changes}
    if "model_args" in changes:
        given["model_args"] = changes.pop("model_args")
    return Plan(
        dataclasses.replace(common, **given), parse_contenders(optimizers), **{"seeds": 2} | changes
    )


def test_validation_chooses_and_all_seeds_follow(data, tmp_path, trained):
    (found,) = compare_plan(plan_for(data, tmp_path)).values()
    tuning, final = trained[:5], trained[5:]
    assert [config.evaluate_test for config in tuning] == [False] * 5
    assert {config.seed for config in tuning} == {0}
    assert [(config.optimizer, config.seed) for config in final] == [
        ("adam", 0), ("adam", 1), ("adamar", 0), ("adamar", 1),
    ]  # fmt: skip
    for one, several in zip(found, (2, 3), strict=True):
        assert len(one.tuned) == several
        assert one.point == max(one.tuned, key=lambda tuned: tuned.score).point
        # The run of seed 0 with the chosen settings is the tuned one, with test scores.
        best = max(tuned.score for tuned in one.tuned)
        assert one.runs[0].best.valid_auc == best
        assert all(epoch.test_auc is not None for run in one.runs for epoch in run.epochs)
    content = json.loads((tmp_path / "results.json").read_text())
    assert content["settings"]["seeds"] == [0, 1]
    assert len(content["tuning"]["adamar(learning_rate=0.05)"]) == 3
    tested = content["statistics"]["chosen"]["auc"]["adamar(learning_rate=0.05)"]
    assert content["statistics"]["baseline"] == "adam" and 0 <= tested["p"] <= 1
    assert tested["values"] == [run.best.test_auc for run in found[1].runs]
    text = (tmp_path / "results.md").read_text()
    assert "chosen by validation" in text and "learning_rate=0.05" in text


@pytest.mark.slow
def test_a_plan_asks_for_the_auc_by_frequency(data, tmp_path):
    plan = tmp_path / "plan.yaml"
    plan.write_text("model: lr\nepochs: 2\nseeds: 2\nfrequency_auc: [1, 15]\noptimizers: adam")
    done = commands.run(
        "-m", "launch.compare", f"--data={data}", f"--out={tmp_path}/out", f"--plan={plan}",
        "--frequency_field=user",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "out/results.json").read_text())["frequency_auc"]
    assert list(found["rows"]) == ["user/0", "user/1-14", "user/15+"]
    assert sum(found["rows"].values()) == 200
    assert 0 < found["chosen"]["user/15+"]["adam"]["mean"] < 1
    assert len(found["epochs"]["user/1-14"]) == 2
    text = (tmp_path / "out/results.md").read_text()
    assert "by the occurrences of the id of user in the training split" in text


@pytest.mark.slow
def test_real_runs_are_compared(data, tmp_path):
    (found,) = compare_plan(plan_for(data, tmp_path, "adam:learning_rate=[1e-6,0.05]")).values()
    (one,) = found
    assert one.point.text == "learning_rate=0.05" and one.runs[0].best.valid_auc > 0.6
    assert one.runs[0].epochs != one.runs[1].epochs
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_passes_over_time_are_compared(data, tmp_path, monkeypatch):
    passes = []
    real = cells.train_progressively

    def seen(config, *rest):
        passes.append(config.progressive.splits)
        return real(config, *rest)

    monkeypatch.setattr(cells, "train_progressively", seen)
    progressive = Progressive(("train", "valid", "test"), slice_rows=256)
    plan = plan_for(data, tmp_path, "adam;adagrad:learning_rate=[1e-6,0.1]")
    plan = dataclasses.replace(
        plan, common=dataclasses.replace(plan.common, progressive=progressive)
    )
    ((adam, adagrad),) = compare_plan(plan).values()
    # A pass that only chooses settings does not read the test split.
    assert passes == [("train", "valid")] * 2 + [("train", "valid", "test")] * 4
    assert adagrad.point.text == "learning_rate=0.1"
    (run, _) = adam.runs
    assert len(run.epochs) == 1 and 0 < run.pass_scores["auc"] < 1
    assert run.pass_scores["auc"] != run.epochs[0].test_auc
    text = (tmp_path / "results.md").read_text()
    assert "All rows of the pass" in text and "pass AUC" in text
    tested = json.loads((tmp_path / "results.json").read_text())["statistics"]["whole_pass"]["auc"]
    assert tested["adagrad"]["values"] == [run.pass_scores["auc"] for run in adagrad.runs]
    assert cells.cell_settings(plan.common)["progressive"]["slice_rows"] == 256
    again = dataclasses.replace(plan, common=dataclasses.replace(plan.common, resume=True))
    ((same, _),) = compare_plan(again).values()
    assert same.runs == adam.runs and len(passes) == 6


def test_a_plan_names_the_pass(data, tmp_path):
    path = tmp_path / "plan.yaml"
    path.write_text("progressive: {splits: [train, valid], slice_rows: 128}\n")
    assert load_plan(str(path), ["progressive"]) == {
        "progressive": Progressive(("train", "valid"), slice_rows=128)
    }
    for text in ("true", "{slice: 3}"):
        path.write_text(f"progressive: {text}\n")
        with pytest.raises(DataError, match=r"progressive must be a mapping with some of splits"):
            load_plan(str(path), ["progressive"])
    plan = plan_for(data, tmp_path)
    common = dataclasses.replace(plan.common, progressive=Progressive(), save_models=True)
    with pytest.raises(ValueError, match="`save_models` has no effect"):
        dataclasses.replace(plan, common=common)


def test_a_comparison_goes_on_and_grows(data, tmp_path, trained):
    with pytest.raises(TimeUpError, match=r"1 of 9 cells are computed, 8 are left"):
        compare_plan(plan_for(data, tmp_path, time_budget=1e-6))
    assert len(trained) == 1 and not (tmp_path / "results.json").exists()
    with pytest.raises(DataError, match="already holds a comparison"):
        compare_plan(plan_for(data, tmp_path))
    first = compare_plan(plan_for(data, tmp_path, resume=True))
    assert len(trained) == 9
    assert compare_plan(plan_for(data, tmp_path, resume=True)) == first
    assert len(trained) == 9
    more = compare_plan(plan_for(data, tmp_path, f"{GRID};helen", resume=True, seeds=3))
    assert [(config.optimizer, config.seed) for config in trained[9:]] == [
        ("adam", 2), ("adamar", 2), ("helen", 0), ("helen", 1), ("helen", 2),
    ]  # fmt: skip
    assert [c.runs[:2] for c in more["lr"][:2]] == [c.runs for c in first["lr"]]
    compare_plan(plan_for(data, tmp_path, "adam", overwrite=True))
    assert len(trained) == 16


def test_two_tables_share_their_cells(data, tmp_path, trained):
    shared = str(tmp_path / "cells")
    compare_plan(plan_for(data, tmp_path / "a", "adam;adamar", cells=shared))
    compare_plan(plan_for(data, tmp_path / "b", "adamar;helen", cells=shared))
    assert [config.optimizer for config in trained] == ["adam"] * 2 + ["adamar"] * 2 + ["helen"] * 2
    assert not (tmp_path / "a/cells").exists()


def test_several_models_with_a_common_grid_and_a_budget(data, tmp_path, trained):
    grid = parse_grid("embedding_l2=[0,1e-5,1e-4],batch_size=[64,128]")
    plan = plan_for(
        data, tmp_path, "adam;adamar:alpha=1e-3", models=("dnn", "fm"), grid=grid, budget=3, seeds=1
    )
    with pytest.raises(ValueError, match="hidden_units"):  # FM has no hidden layers
        dataclasses.replace(plan, common=dataclasses.replace(plan.common, model_args=SMALL))
    found = compare_plan(plan)
    assert list(found) == ["dnn", "fm"]
    assert [config.model for config in trained] == ["dnn"] * 8 + ["fm"] * 8
    for model, compared in found.items():
        assert [len(one.tuned) for one in compared] == [3, 3]
        for one in compared:
            assert set(one.point.varied) == {"embedding_l2", "batch_size"}
        content = json.loads((tmp_path / model / "results.json").read_text())
        assert content["settings"]["model"] == model and content["settings"]["budget"] == 3
    overall = json.loads((tmp_path / "results.json").read_text())
    assert list(overall["over_models"]["auc"]["adam"]["means"]) == ["dnn", "fm"]
    assert "mean ± over models" in (tmp_path / "results.md").read_text()
    assert (tmp_path / "models.png").exists()
    # Both models draw the same points.
    points = [[[t.point for t in one.tuned] for one in c] for c in found.values()]
    assert points[0] == points[1]


def test_a_point_that_diverges_loses_and_a_run_that_diverges_is_named(data, tmp_path, trained):
    optimizers = "good=sgd:learning_rate=[3e38,0.1];bad=sgd:learning_rate=3e38"
    (found,) = compare_plan(plan_for(data, tmp_path, optimizers)).values()
    assert found[0].point.text == "learning_rate=0.1" and not found[0].diverged
    assert set(found[1].diverged) == {0, 1}
    text = (tmp_path / "results.md").read_text()
    assert "bad, seed 1: the training loss became" in text
    assert json.loads((tmp_path / "results.json").read_text())["runs"]["bad"] == [[], []]


def test_logloss_chooses_its_own_epoch_and_point(data, tmp_path, trained):
    (found,) = compare_plan(plan_for(data, tmp_path, select="logloss", tuning_seeds=2)).values()
    for one in found:
        best = max(one.tuned, key=lambda tuned: tuned.score)
        assert one.point == best.point and len(best.scores) == 2
        lowest = min(epoch.valid_logloss for epoch in one.runs[0].epochs)
        assert best.scores[0] == -lowest
    assert "valid LogLoss" in (tmp_path / "results.md").read_text()


def test_a_plan_is_a_file_and_flags_override_it(data, tmp_path):
    file = tmp_path / "plan.yaml"
    file.write_text(
        f"data: {data}\nmodel: lr\nepochs: 1\nbatch_size: 64\nseeds: 2\n"
        "optimizers:\n  adam: {learning_rate: [1e-3, 5e-2]}\n  Decay: {optimizer: adamar}\n"
    )
    arguments = ("-m", "launch.compare", f"--plan={file}", f"--out={tmp_path}/out", "--seeds=1")
    short = commands.run(*arguments, "--time_budget=0.000001")
    assert short.returncode == TIME_UP == 75, short.stderr
    assert "1 of 4 cells are computed, 3 are left; continue with --resume" in short.stderr
    done = commands.run(*arguments, "--resume")
    assert done.returncode == 0, done.stderr
    settings = json.loads((tmp_path / "out/results.json").read_text())["settings"]
    assert settings["seeds"] == [0] and settings["epochs"] == 1 and settings["batch_size"] == 64
    assert list(settings["optimizers"]) == ["adam", "Decay"]
    assert settings["command"].startswith(f"python -m launch.compare --plan={file} --out=")


@pytest.mark.parametrize(
    ("flag", "words"),
    [
        ("--optimizers=adam:learning_rate=[]", "no values"),
        ("--grid=nothing=[1,2]", "no argument 'nothing'"),
        ("--models=dnn,dnnn", "'dnn'"),
        ("--baseline=b", "`baseline` must be one of"),
        ("--budget=0", "`budget` must be an integer"),
        ("--plan=absent.yaml", "absent.yaml"),
    ],
)
def test_bad_flags_are_one_line(data, tmp_path, flag, words):
    done = commands.run("-m", "launch.compare", f"--data={data}", f"--out={tmp_path}/out", flag)
    assert done.returncode == 1 and words in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()

"""Runs with published settings, and the comparison with published results."""

import dataclasses
import json
from pathlib import Path

import commands
import pytest

import zoo
from launch.datasets import synthetic
from launch.datasets.raw import Options
from launch.prepare import prepare
from launch.run.config import RunConfig
from launch.run.history import History
from launch.run.published import (
    comparison,
    fit_warning,
    follows,
    preset_settings,
    published_of,
    save_scores,
)

ROOT = Path(__file__).parents[3]
DEEPFM = zoo.preset("frappe/deepfm")
ADAMAR = zoo.preset("ipinyou_x1/dnn_adamar")
FRAPPE = zoo.Schema("frappe", [zoo.Categorical("user", 9)])
OTHER = zoo.Schema("mine", [zoo.Categorical("user", 9)])


def config_with(preset, **given):
    return RunConfig("data", "out", **preset_settings(preset, given))


def test_a_run_has_all_settings_of_its_preset():
    config = config_with(DEEPFM)
    assert (config.model, config.optimizer, config.batch_size) == ("deepfm", "adam", 4096)
    assert (config.epochs, config.patience, config.reduce_lr) == (100, 2, 0.1)
    assert config.learning_rate == 1e-3
    assert config.model_args == DEEPFM.model_args
    assert config.optimizer_args == {"global_clipnorm": 10.0}
    assert config.preset == "frappe/deepfm"
    assert follows(config, DEEPFM)


def test_what_is_given_goes_before_the_preset():
    config = config_with(
        DEEPFM, batch_size=64, epochs=2, model_args={"dropout": 0.5}, optimizer_args={"beta_1": 0.8}
    )
    assert (config.batch_size, config.epochs) == (64, 2)
    assert config.model_args == {**DEEPFM.model_args, "dropout": 0.5}
    assert config.optimizer_args == {"global_clipnorm": 10.0, "beta_1": 0.8}
    assert not follows(config, DEEPFM)


def test_another_optimizer_leaves_arguments_and_learning_rate_behind():
    config = config_with(DEEPFM, optimizer="adamar", optimizer_args={"alpha": 1e-4})
    assert config.learning_rate is None
    assert config.optimizer_args == {"alpha": 1e-4}
    assert config_with(DEEPFM, optimizer="adamar", learning_rate=0.5).learning_rate == 0.5


def test_a_preset_is_of_one_model():
    assert config_with(DEEPFM, model="DeepFM").model == "DeepFM"
    with pytest.raises(ValueError, match=r"'frappe/deepfm' is for the model 'deepfm'.*model='dnn'"):
        config_with(DEEPFM, model="dnn")


def test_other_data_are_warned_of_and_not_compared():
    assert fit_warning(DEEPFM, FRAPPE) == ""
    assert "'frappe', not for 'mine'" in fit_warning(DEEPFM, OTHER)
    assert published_of(config_with(DEEPFM), FRAPPE) is DEEPFM
    assert published_of(config_with(DEEPFM), OTHER) is None


def test_a_run_without_a_preset_finds_that_of_its_data_and_model():
    plain = RunConfig("data", "out", model="Deep_FM")
    assert published_of(plain, FRAPPE) is DEEPFM
    assert published_of(plain, OTHER) is None
    assert not follows(plain, DEEPFM)
    lines = comparison(DEEPFM, History((), {}, {"auc": 0.98, "logloss": 0.2}), same=False)
    assert "(with other settings; several seeds: AUC 0.98395 +- 0.00016)" in lines


def test_the_difference_is_ours_less_published(tmp_path):
    history = History((), {"auc": 0.6, "logloss": 0.7}, {"auc": 0.994243, "logloss": 0.048174})
    assert comparison(DEEPFM, history, same=True).splitlines()[-1].split() == [
        "difference", "+0.01000", "-0.10000",
    ]  # fmt: skip
    config = dataclasses.replace(config_with(DEEPFM), out=str(tmp_path))
    content = json.loads(Path(save_scores(config, history, DEEPFM)).read_text())
    assert content["difference"] == pytest.approx({"auc": 0.01, "logloss": -0.1})
    assert content["best"] == history.best_test
    assert content["published"]["auc"] == DEEPFM.published.auc
    assert content["published"]["same_settings"]
    plain = json.loads(Path(save_scores(config, history, None)).read_text())
    assert plain == {"last": history.test, "best": history.best_test}


def test_results_of_a_last_epoch_are_compared_with_the_last_and_missing_ones_not_at_all():
    history = History((), {"auc": 0.7, "logloss": 0.5}, {"auc": 0.8, "logloss": 0.4})
    lines = comparison(ADAMAR, history, same=True).splitlines()
    assert lines[1].split() == ["published", "0.77240", "-"]
    assert lines[2].split() == ["measured", "0.70000", "0.50000"]
    assert lines[3].split() == ["difference", "-0.07240", "-"]
    assert comparison(ADAMAR, History(()), same=True) == ""


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Synthetic rows with the name frappe."""
    raw = synthetic.load(Options(rows=400))
    folder = str(tmp_path_factory.mktemp("prepared") / "data")
    prepare(dataclasses.replace(raw, schema=dataclasses.replace(raw.schema, name="frappe")), folder)
    return folder


def test_the_command_trains_with_a_preset(data, tmp_path):
    done = commands.run(
        "-m", "launch.train", "--preset=frappe/fm", f"--data={data}", f"--out={tmp_path}/run",
        "--epochs=1", "--batch_size=64", "--model_args=embedding_dim=3",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "warning" not in done.stderr
    assert "preset frappe/fm: https://github.com/reczoo/BARS/" in done.stdout
    assert "published   0.96711  0.20652  (with other settings)" in done.stdout
    config = json.loads(Path(tmp_path, "run/config.json").read_text())
    assert config["model_args"] == {"embedding_dim": 3, "embedding_l2": 2.5e-6}
    assert (config["batch_size"], config["patience"], config["reduce_lr"]) == (64, 2, 0.1)
    scores = json.loads(Path(tmp_path, "run/scores.json").read_text())
    assert scores["published"]["preset"] == config["preset"] == "frappe/fm"
    assert scores["difference"]["auc"] == scores["best"]["auc"] - 0.967108

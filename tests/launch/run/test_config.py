"""The settings of a run in a file: unreadable files raise one error."""

import dataclasses
import json

import pytest

from launch.run.config import FILE_NAME, RunConfig
from zoo import DataError


@pytest.mark.parametrize("text", ["", "[]", "[" * 100_000, '{"a":' * 100_000, "1" * 5000])
def test_a_damaged_file_is_one_error(tmp_path, text):
    (tmp_path / FILE_NAME).write_text(text)
    with pytest.raises(DataError, match=rf"{FILE_NAME} is damaged"):
        RunConfig("data", str(tmp_path), resume=True).check_folder()


def test_callbacks_are_settings_of_their_own(tmp_path):
    config = RunConfig("data", str(tmp_path), optimizer_args={"alpha": 0.1, "meda": True})
    assert config.optimizer_args == {"alpha": 0.1} and config.callbacks == ("meda",)
    assert config == RunConfig(
        "data", str(tmp_path), optimizer_args={"alpha": 0.1}, callbacks=("meda",)
    )
    with pytest.raises(ValueError, match="Did you mean 'meda'"):
        RunConfig("data", str(tmp_path), callbacks=("media",))


def test_a_run_of_version_0_1_with_meda_among_the_arguments_goes_on(tmp_path):
    before = dataclasses.asdict(RunConfig("data", str(tmp_path)))
    del before["callbacks"]
    written = {**before, "optimizer_args": {"meda": True}}
    (tmp_path / "config.json").write_text(json.dumps(written, default=str))
    RunConfig("data", str(tmp_path), callbacks=("meda",), resume=True).check_folder()
    with pytest.raises(DataError, match="callbacks"):
        RunConfig("data", str(tmp_path), resume=True).check_folder()


def test_a_run_may_go_on_with_another_number_of_shards(tmp_path):
    RunConfig("data", str(tmp_path), model_args={"shards": 4, "dropout": 0.5}).save()
    RunConfig("data", str(tmp_path), model_args={"dropout": 0.5}, resume=True).check_folder()
    with pytest.raises(DataError, match="has model_args="):
        RunConfig("data", str(tmp_path), model_args={"shards": 4}, resume=True).check_folder()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"frequency_auc": (5, 1)}, r"ascending integers >= 1 .* frequency_auc=\(5, 1\)"),
        ({"frequency_auc": ()}, "ascending integers"),
        ({"frequency_auc": 7}, "ascending integers"),
        ({"frequency_field": "user"}, "no effect without `frequency_auc`"),
        ({"frequency_auc": (1,), "progressive": {}}, "no effect in a progressive run"),
    ],
)
def test_wrong_settings_of_the_auc_by_frequency_are_named(settings, words):
    with pytest.raises(ValueError, match=words):
        RunConfig("data", "out", **settings)

"""The command that lists models and presets."""

import pytest
from absl.testing import flagsaver
from command_flags import defined_flags

import launch.models
import zoo


@pytest.fixture(scope="module", autouse=True)
def defined():
    """The command's flags, for this module only."""
    yield from defined_flags(launch.models)


@pytest.fixture
def folder(tmp_path):
    columns = [zoo.Categorical("user", 9), zoo.Categorical("item", 5)]
    zoo.Schema("frappe", columns).save(tmp_path)
    return str(tmp_path)


def test_it_lists_the_models(capsys):
    launch.models._main([])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["name", "class", "year", "paper"]
    assert [line.split()[0] for line in lines[1:]] == [e.name for e in zoo.list_models()]


def test_it_lists_presets_of_a_data_set(capsys, folder, tmp_path):
    with flagsaver.flagsaver(presets=True, data=folder):
        launch.models._main([])
    assert "frappe/deepfm" in capsys.readouterr().out
    zoo.Schema("mine", [zoo.Categorical("user", 9)]).save(tmp_path)
    with (
        flagsaver.flagsaver(presets=True, data=folder),
        pytest.raises(ValueError, match=r"data set 'mine'; available: .*frappe"),
    ):
        launch.models._main([])


def test_it_counts_parameters_for_data(capsys, folder):
    with flagsaver.flagsaver(data=folder):
        launch.models._main([])
    rows = {line.split()[0]: line.split() for line in capsys.readouterr().out.splitlines() if line}
    assert rows["fm"][3:5] == ["238", "1"]
    assert rows["din"][3:5] == ["-", "-"]  # no history

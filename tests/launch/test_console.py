"""The console command `tf-helen`: its subcommands, and what it prints first."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from launch import console

ROOT = Path(__file__).parents[2]


def test_its_commands_are_the_modules_that_run_as_scripts():
    assert console.commands() == sorted(
        [
            "analyze",
            "apply_delta",
            "compare",
            "days",
            "demo",
            "evaluate",
            "export",
            "inspect",
            "local_cluster",
            "models",
            "predict",
            "prepare",
            "report",
            "to_onnx",
            "train",
            "tune",
            "verify",
        ]
    )


@pytest.mark.parametrize("arguments", [[], ["--help"]])
def test_without_a_command_it_lists_them(monkeypatch, capsys, arguments):
    monkeypatch.setattr(sys, "argv", ["tf-helen", *arguments])
    console.main()
    assert "train" in capsys.readouterr().out


def test_an_unknown_command_is_one_line(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["tf-helen", "trian"])
    with pytest.raises(SystemExit) as ended:
        console.main()
    assert ended.value.code == 1
    error = capsys.readouterr().err
    assert error.startswith("error: unknown command 'trian'") and error.count("\n") == 1


def test_nothing_of_tensorflow_is_printed_before_a_command(tmp_path):
    script = tmp_path / "tf-helen"
    script.write_text("from launch.console import main\nmain()\n")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment.pop("TF_CPP_MIN_LOG_LEVEL", None)
    done = subprocess.run(
        [sys.executable, str(script), "models"],
        capture_output=True,
        text=True,
        env=environment,
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("name ") and done.stderr == ""

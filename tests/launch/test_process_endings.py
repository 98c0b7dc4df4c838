"""Processes that end early: Ctrl-C at any time, a closed pipe, a full disk."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from kinds import some

import zoo
from zoo.data.vocabulary import save_vocabulary
from zoo.serving.export import export_saved_model

ROOT = Path(__file__).parents[2]
linux = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc and /dev/full")


def start(*arguments, **streams) -> subprocess.Popen:
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    return subprocess.Popen(
        [sys.executable, *arguments], cwd=ROOT, stderr=subprocess.PIPE, env=environment, **streams
    )


def with_default_ctrl_c():
    """In the child, because a test run in the background passes on "ignore Ctrl-C"."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def lines_of(process) -> list[str]:
    text = process.communicate(timeout=120)[1].decode()
    assert "Traceback" not in text and "Exception ignored" not in text, text
    # What TensorFlow says of this machine comes before its settings are read.
    return [line for line in text.splitlines() if not line.startswith(("I0", "W0", "WARNING: All"))]


@linux
@pytest.mark.parametrize("command", some(["train", "predict", "prepare"], fast=["train"]))
def test_ctrl_c_while_a_command_imports(command):
    process = start(
        "-m", f"launch.{command}", stdout=subprocess.DEVNULL, preexec_fn=with_default_ctrl_c
    )
    maps, until = Path(f"/proc/{process.pid}/maps"), time.monotonic() + 60
    while "tensorflow" not in maps.read_text() and time.monotonic() < until:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    assert [line for line in lines_of(process) if line] == ["interrupted"]
    assert process.returncode == 130


def test_importing_the_package_leaves_ctrl_c_alone():
    code = (
        "import signal, launch, launch.interrupts\n"
        "assert signal.getsignal(signal.SIGINT) is signal.default_int_handler\n"
        "launch.interrupts.quit_on_interrupt()\n"
        "assert signal.getsignal(signal.SIGINT) is not signal.default_int_handler\n"
        "launch.interrupts.raise_on_interrupt()\n"
        "assert signal.getsignal(signal.SIGINT) is signal.default_int_handler\n"
        "signal.signal(signal.SIGINT, signal.SIG_IGN)  # as under nohup\n"
        "launch.interrupts.quit_on_interrupt()\n"
        "assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN\n"
    )
    process = start("-c", code, preexec_fn=with_default_ctrl_c)
    assert lines_of(process) == []
    assert process.returncode == 0


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Arguments of launch.predict that score very many rows."""
    folder = tmp_path_factory.mktemp("saved")
    save_vocabulary(str(folder), "user", ["<oov>", "a", "b"], np.ones(3, np.int64))
    model = zoo.LR(zoo.Schema("tiny", [zoo.Categorical("user", 3)]))
    export_saved_model(model, str(folder), str(folder / "saved"))
    (folder / "rows.csv").write_text("user\n" + "a\nb\n" * 50_000)
    return [f"--saved_model={folder}/saved", f"--input={folder}/rows.csv"]


def read_one_line(*arguments) -> tuple[subprocess.Popen, bytes]:
    process = start(*arguments, stdout=subprocess.PIPE)
    first = process.stdout.readline()
    process.stdout.close()
    process.stdout = None
    return process, first


@pytest.mark.slow
def test_who_reads_only_the_first_line_of_predictions_sees_no_error(saved):
    process, first = read_one_line("-m", "launch.predict", *saved)
    assert first == b"probability\n"
    assert lines_of(process) == []
    assert process.returncode == 141


COMMAND = "from launch import cli\ncli.run(lambda argv: [print('line', i) for i in range({lines})])"


@pytest.mark.parametrize("lines", [2, pytest.param(100_000, marks=pytest.mark.slow)])
def test_other_commands_too_however_little_they_write(lines):
    code = "import sys, time\n" + COMMAND.format(lines=lines)
    process = start("-c", code, stdout=subprocess.PIPE)
    process.stdout.close()  # before anything is written
    process.stdout = None
    assert lines_of(process) == []
    assert process.returncode == 141


@linux
def test_a_full_disk_behind_the_standard_output_is_one_line():
    with open("/dev/full", "w") as full:
        process = start("-c", COMMAND.format(lines=2), stdout=full)
        (line,) = lines_of(process)
    assert line.startswith("error: ") and "No space left on device" in line
    assert process.returncode == 1


@linux
@pytest.mark.slow
def test_so_it_is_of_predictions(saved):
    with open("/dev/full", "w") as full:
        process = start("-m", "launch.predict", *saved, stdout=full)
        (line,) = lines_of(process)
    assert line.startswith("error: ") and "No space left on device" in line
    assert process.returncode == 1

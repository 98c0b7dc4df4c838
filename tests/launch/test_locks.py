"""Two processes cannot write to one folder; the lock of a killed process does not block."""

import fcntl
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from launch.compare import compare, parse_contenders
from launch.continual.settings import Days
from launch.continual.training import train_days
from launch.demo import run_demo
from launch.export import export_run
from launch.run.config import RunConfig
from launch.run.training import train
from zoo.data.files import DataError
from zoo.data.locks import FolderLock

HOLD = """
import sys, time
from zoo.data.locks import FolderLock
with FolderLock(sys.argv[1]):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def held(tmp_path):
    """A folder whose lock another process seems to hold."""
    with open(tmp_path / ".out.lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield str(tmp_path / "out")


COMMANDS = {
    "train": lambda out: train(RunConfig("data", out)),
    "resume": lambda out: train(RunConfig("data", out, resume=True)),
    "overwrite": lambda out: train(RunConfig("data", out, overwrite=True)),
    "compare": lambda out: compare(RunConfig("data", out), parse_contenders("adam"), [0]),
    "days": lambda out: train_days(Days(["data"], out)),
    "demo": lambda out: run_demo(None, out),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_folder_in_use_is_refused_before_anything_is_read(name, held, tmp_path):
    with pytest.raises(DataError, match=rf"another process writes to {held}.*another folder"):
        COMMANDS[name](held)
    assert [path.name for path in tmp_path.iterdir()] == [".out.lock"]


def test_an_export_into_a_folder_in_use_is_refused(held, monkeypatch):
    monkeypatch.setattr("launch.export.load_best", lambda run: None)
    monkeypatch.setattr("launch.export.check_vocabularies", lambda *_: None)
    with pytest.raises(DataError, match="another process writes to"):
        export_run("run", "data", held)


def test_a_killed_process_holds_nothing_and_a_living_one_is_named(tmp_path):
    folder, root = str(tmp_path / "out"), Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root), "TF_CPP_MIN_LOG_LEVEL": "3"}
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, folder], stdout=subprocess.PIPE, env=environment
    ) as other:
        assert other.stdout.readline() == b"held\n"
        with (
            pytest.raises(DataError, match=rf"{folder} \(process {other.pid}\)"),
            FolderLock(folder),
        ):
            pass
        other.send_signal(signal.SIGKILL)
        other.wait()
    assert (tmp_path / ".out.lock").exists()
    with FolderLock(folder):
        pass
    assert not list(tmp_path.iterdir())


def test_a_thread_may_take_its_lock_again_and_another_may_not(tmp_path):
    folder, refused = str(tmp_path / "out"), []

    def take():
        try:
            with FolderLock(folder):
                pass
        except DataError as error:
            refused.append(error)

    with FolderLock(folder), FolderLock(folder + "/"), FolderLock(tmp_path / "x/../out"):
        other = threading.Thread(target=take)
        other.start()
        other.join()
        assert (tmp_path / ".out.lock").exists()
    assert len(refused) == 1
    take()
    assert len(refused) == 1 and not list(tmp_path.iterdir())


def test_a_link_to_a_folder_is_the_same_folder(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "link").symlink_to("out")
    with FolderLock(str(tmp_path / "link")):
        assert (tmp_path / ".out.lock").exists()


def test_folders_of_other_file_systems_are_not_locked():
    with FolderLock("ram://somewhere/out"), FolderLock("ram://somewhere/out"):
        pass


def test_a_file_system_without_locks_is_no_obstacle(tmp_path, monkeypatch):
    def refuse(*arguments):
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with FolderLock(str(tmp_path / "out")):
        pass

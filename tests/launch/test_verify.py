"""The command that compares a data folder with its checksums: output and exit code."""

import re
from pathlib import Path

import commands
import numpy as np
import pytest

import zoo
from launch.verify import verify

ROOT = Path(__file__).parents[2]
SCHEMA = zoo.Schema("tiny", [zoo.Categorical("user", 50)])


@pytest.fixture
def folder(tmp_path):
    for split, rows, shards in (("train", 30, 2), ("valid", 1, 1)):
        batch = {"ids": np.arange(rows).reshape(-1, 1), "label": np.arange(rows) % 2}
        zoo.write_tfrecords(tmp_path, SCHEMA, split, [batch], shards)
    return tmp_path


def run(*arguments):
    """Runs the command in a process; returns its exit code and output."""
    done = commands.run("-m", "launch.verify", *arguments)
    return done.returncode, done.stdout.splitlines(), done.stderr


def test_an_untouched_folder(folder):
    lines = [
        ("train", True, "2 files, 30 rows, as written"),
        ("valid", True, "1 file, 1 row, as written"),
    ]
    assert list(verify(folder)) == lines
    assert run(f"--data={folder}")[:2] == (0, [f"{name}: {line}" for name, _, line in lines])


CHANGES = {
    "has the SHA-256": lambda path: path.write_bytes(path.read_bytes()[:-1] + b"x"),
    "bytes, its manifest says": lambda path: path.write_bytes(path.read_bytes() + b"x"),
    "1 of 2 files .* missing": lambda path: path.unlink(),
    "remove it": lambda path: path.with_name("train-00002-of-00003.tfrecord").touch(),
}


@pytest.mark.parametrize("words", CHANGES)
def test_a_changed_split_is_named_and_the_others_are_compared(folder, words):
    CHANGES[words](next(folder.glob("train-00001-*")))
    (name, good, line), other = verify(folder)
    assert (name, good, "train-0000" in line) == ("train", False, True)
    assert re.search(words, line)
    assert other == ("valid", True, "1 file, 1 row, as written")


def test_a_changed_folder_ends_the_command_with_1(folder):
    next(folder.glob("valid-*")).write_bytes(b"")
    code, lines, _ = run(f"--data={folder}")
    assert (code, lines[0]) == (1, "train: 2 files, 30 rows, as written")
    assert re.match("valid: WRONG: .*valid-00000-of-00001.tfrecord has 0 bytes", lines[1])


def test_what_is_no_data_folder_is_one_error(tmp_path):
    code, lines, errors = run(f"--data={tmp_path / 'absent'}")
    assert (code, lines) == (1, [])
    assert re.search("^error: no folder [^\n]*absent; name a prepared folder$", errors, re.M)
    with pytest.raises(zoo.DataError, match="name a prepared folder"):
        list(verify(tmp_path))

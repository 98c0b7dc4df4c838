"""Replacing a split: if the process ends early, the old or the new split is complete."""

import contextlib
import os
import subprocess
import sys

import pytest
import tensorflow as tf
from record_rows import SCHEMA, make_rows, order

from zoo import read_tfrecords, write_tfrecords
from zoo.data.manifest import find_split

OLD, NEW = list(range(12)), list(range(9))
CHANGES = (
    "rename",
    "remove",
)  # all calls by which the folder changes; a file is renamed when whole


class Killed(BaseException):
    """What stops a process here."""


def end_at(monkeypatch, number):
    """Lets the process end before its change of that number; gives the count of changes so far."""
    done = [0]

    def counted(change):
        def call(*arguments, **options):
            if done[0] >= number:
                raise Killed
            done[0] += 1
            return change(*arguments, **options)

        return call

    for name in CHANGES:
        monkeypatch.setattr(tf.io.gfile, name, counted(getattr(tf.io.gfile, name)))
    # What a killed process leaves is not removed by it.
    monkeypatch.setattr("zoo.data.replacement.remove_folder", lambda path: None)
    return done


@pytest.mark.parametrize("shards", [(2, 2), (1, 2)])
def test_a_process_that_ends_at_any_change_leaves_one_whole_split(tmp_path, monkeypatch, shards):
    before, after = shards
    seen = set()
    for number in range(100):
        folder = tmp_path / str(number)
        write_tfrecords(folder, SCHEMA, "train", [make_rows(12)], shards=before)
        with monkeypatch.context() as patched:
            done = end_at(patched, number)
            with contextlib.suppress(Killed):
                write_tfrecords(folder, SCHEMA, "train", [make_rows(9)], shards=after)
        rows = order(read_tfrecords(folder, "train"))
        assert rows in (OLD, NEW), number
        seen.add(len(rows))
        write_tfrecords(folder, SCHEMA, "train", [make_rows(9)], shards=after)
        assert find_split(folder, "train").total_rows == 9
        assert len(list(folder.glob("train-*"))) == after  # what was left is gone
        if done[0] < number:
            break
    assert seen == {9, 12} and number > 8


def test_names_stay_plain_where_nothing_is_replaced(tmp_path):
    names = [
        write_tfrecords(tmp_path, SCHEMA, "train", [make_rows(4)], shards=2).files[0]
        for _ in range(3)
    ]
    assert names == [
        "train-00000-of-00002.tfrecord",
        "train-00000-of-00002.v1.tfrecord",
        "train-00000-of-00002.tfrecord",
    ]
    (tmp_path / "manifest.json").unlink()
    assert order(read_tfrecords(tmp_path, "train")) == list(range(4))


def test_the_new_names_are_read_without_a_manifest_too(tmp_path):
    for count in (7, 4):
        write_tfrecords(tmp_path, SCHEMA, "train", [make_rows(count)], shards=2)
    (tmp_path / "manifest.json").unlink()
    assert order(read_tfrecords(tmp_path, "train")) == list(range(4))


def test_a_folder_without_a_manifest_is_written_again(tmp_path):
    write_tfrecords(tmp_path, SCHEMA, "train", [make_rows(7)], shards=3)
    (tmp_path / "manifest.json").unlink()
    write_tfrecords(tmp_path, SCHEMA, "train", [make_rows(4)], shards=2)
    assert order(read_tfrecords(tmp_path, "train")) == list(range(4))
    assert len(list(tmp_path.glob("train-*"))) == 2


def test_hidden_folders_of_killed_processes_are_removed(tmp_path):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    abandoned, running = (tmp_path / f".train.{pid}.partial" for pid in (ended.pid, os.getppid()))
    for folder in (abandoned, running):
        folder.mkdir(parents=True)
        (folder / "train-00000-of-00001.tfrecord").write_bytes(b"half")
    write_tfrecords(tmp_path, SCHEMA, "train", [make_rows(4)])
    assert (abandoned.exists(), running.exists()) == (False, True)

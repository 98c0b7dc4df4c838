"""The folder of an unfinished preparation: its state is checked."""

import json

import pytest

from launch.preparation.workspace import STATE, Workspace
from zoo.data.shard_writer import Shard

SHARD = {"file": "train-00000-of-00002.tfrecord", "rows": 3, "positives": 1.0, "bytes": 4}
SHARD |= {"sha256": "0" * 64}


def interrupt(out, **changes):
    """Leaves a preparation with one finished file; `changes` are made to its entry."""
    with pytest.raises(KeyboardInterrupt), Workspace(out, False, "print") as work:
        work.counted = {"rows": {"train": 6}, "damaged": {}, "left_out": {}}
        with open(f"{work.path}/{SHARD['file']}", "wb") as file:
            file.write(b"1234")
        work.add_shard("train", Shard(**{**SHARD, **changes}))
        raise KeyboardInterrupt
    return f"{work.path}/{STATE}"


def resumed(out):
    with pytest.raises(KeyboardInterrupt), Workspace(out, False, "print") as work:
        found = work.counted, work.shards("train")
        raise KeyboardInterrupt
    return found


def test_work_that_is_whole_is_taken_up(tmp_path):
    out = str(tmp_path / "data")
    interrupt(out)
    counted, shards = resumed(out)
    assert counted["rows"] == {"train": 6} and shards == [Shard(**SHARD)]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("file", "../mine.txt"),
        ("file", "/etc/passwd"),
        ("file", "schema.json"),
        ("file", "train-00001-of-00002.tfrecord"),
        ("file", None),
        ("bytes", 5),
        ("other", 1),
    ],
)
def test_a_state_that_cannot_be_begins_anew(tmp_path, key, value):
    out = str(tmp_path / "data")
    path = interrupt(out)
    (tmp_path / "mine.txt").write_bytes(b"1234")
    with open(path) as file:
        content = json.load(file)
    content["shards"]["train"][0][key] = value
    with open(path, "w") as file:
        json.dump(content, file)
    assert resumed(out) == (None, [])
    assert (tmp_path / "mine.txt").read_bytes() == b"1234"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[" * 100_000,
        "[]",
        '{"fingerprint": "print"}',
        '{"fingerprint": "print", "counted": 3, "shards": {}}',
        '{"fingerprint": "print", "counted": {"rows": {"train": "x"}}, "shards": {}}',
        '{"fingerprint": "print", "counted": null, "shards": {"../a": []}}',
    ],
)
def test_a_damaged_state_begins_anew(tmp_path, text):
    out = str(tmp_path / "data")
    with open(interrupt(out), "w") as file:
        file.write(text)
    assert resumed(out) == (None, [])


def test_links_in_the_hidden_folder_are_not_followed(tmp_path):
    out, outside = str(tmp_path / "data"), tmp_path / "outside"
    outside.mkdir()
    (outside / ".a.tmp").write_text("mine")
    path = interrupt(out)
    (tmp_path / ".data.partial" / "link").symlink_to(outside)
    assert resumed(out)[1] == [Shard(**SHARD)]  # removes temporary files
    with open(path, "w") as file:
        file.write("")
    assert resumed(out) == (None, [])  # removes the folder
    assert (outside / ".a.tmp").read_text() == "mine"

"""Names in files cannot lead out of the folder; no file outside is changed."""

import json
import os

import pytest
from record_rows import SCHEMA, make_rows, order

from zoo import DataError, read_tfrecords, verify_files, write_tfrecords
from zoo.data.manifest import load_manifest
from zoo.data.safe_paths import inside

LEAVING = [
    "../mine.txt",
    "a/../../mine.txt",
    "/etc/passwd",
    "..",
    ".",
    "",
    "a//b",
    "a/",
    "..\\mine.txt",
    "C:mine.txt",
    "file:///etc/passwd",
    "gs://bucket/a",
    "a\0b",
    "a\nb",
    "\ud800",
    "x" * 300,
    None,
    7,
    ["a"],
]


@pytest.mark.parametrize("name", LEAVING)
def test_names_that_leave_the_folder_are_refused(tmp_path, name):
    with pytest.raises(DataError, match=r"list\.json names the file .*must stay inside"):
        inside(tmp_path, name, "list.json")


def test_names_within_the_folder_are_joined(tmp_path):
    assert inside(tmp_path, "a/b c.é", "list.json") == f"{tmp_path}/a/b c.é"
    assert inside("gs://bucket/data", "a", "list.json") == "gs://bucket/data/a"
    assert inside("", "a", "list.json") == "a"


def test_links_may_not_lead_out_of_the_folder(tmp_path):
    folder, other = tmp_path / "data", tmp_path / "data2"
    folder.mkdir()
    other.mkdir()
    (other / "a").write_text("x")
    (folder / "out").symlink_to(other / "a")
    (folder / "sub").symlink_to(other)
    (folder / "within").write_text("x")
    (folder / "link").symlink_to(folder / "within")
    for name in ("out", "sub/a"):
        with pytest.raises(DataError, match="symbolic link"):
            inside(folder, name, "list.json")
    assert inside(folder, "link", "list.json") == f"{folder}/link"
    (tmp_path / "same").symlink_to(folder)  # the folder itself may be a link
    assert inside(tmp_path / "same", "within", "list.json") == f"{tmp_path}/same/within"


@pytest.mark.parametrize("name", LEAVING)
def test_a_manifest_that_names_a_file_outside_is_refused_and_nothing_is_deleted(tmp_path, name):
    folder = tmp_path / "data"
    write_tfrecords(folder, SCHEMA, "train", [make_rows(9)])
    (tmp_path / "mine.txt").write_text("precious")
    manifest = folder / "manifest.json"
    content = json.loads(manifest.read_text())
    entry = {"file": name, "rows": 1, "bytes": 8, "sha256": "0" * 64}
    content["splits"]["train"]["files"].append(entry)
    manifest.write_text(json.dumps(content))
    before = {path: path.read_bytes() for path in folder.glob("*")}
    for use in (
        lambda: write_tfrecords(folder, SCHEMA, "train", [make_rows(9)]),
        lambda: read_tfrecords(folder, "train"),
        lambda: verify_files(folder),
    ):
        with pytest.raises(DataError, match=r"manifest\.json names the file"):
            use()
    assert (tmp_path / "mine.txt").read_text() == "precious"
    assert {path: path.read_bytes() for path in folder.glob("*")} == before


def test_a_manifest_cannot_have_other_files_of_its_folder_deleted(tmp_path):
    write_tfrecords(tmp_path, SCHEMA, "train", [make_rows(9)])
    (tmp_path / "notes.txt").write_text("mine")
    manifest = tmp_path / "manifest.json"
    content = json.loads(manifest.read_text())
    split = content["splits"]["train"]
    split["files"] += [{**split["files"][0], "file": name} for name in ("schema.json", "notes.txt")]
    split["unused"] = ["notes.txt"]
    manifest.write_text(json.dumps(content))
    write_tfrecords(tmp_path, SCHEMA, "train", [make_rows(5)])
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert order(read_tfrecords(tmp_path, "train")) == list(range(5))


@pytest.mark.parametrize("split", ["../other", "a/b", "", ".", "tr*in", "a\\b", None])
def test_a_split_has_a_plain_name(tmp_path, split):
    with pytest.raises(DataError, match="split="):
        write_tfrecords(tmp_path / "data", SCHEMA, split, [make_rows(3)])
    assert not list(tmp_path.iterdir())
    write_tfrecords(tmp_path / "data", SCHEMA, "train", [make_rows(3)])
    with pytest.raises(DataError, match="split="):
        read_tfrecords(tmp_path / "data", split)
    manifest = tmp_path / "data" / "manifest.json"
    if split is not None:
        content = json.loads(manifest.read_text())
        content["splits"][split] = content["splits"].pop("train")
        manifest.write_text(json.dumps(content))
        with pytest.raises(DataError, match="split="):
            load_manifest(tmp_path / "data")


def test_a_linked_record_file_is_not_followed_out_of_the_folder(tmp_path):
    split = write_tfrecords(tmp_path / "data", SCHEMA, "train", [make_rows(9)])
    path = tmp_path / "data" / split.files[0]
    os.rename(path, tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DataError, match=r"train-00000.*symbolic link"):
        read_tfrecords(tmp_path / "data", "train")

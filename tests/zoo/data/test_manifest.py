"""The manifest: versions, what is wrong with one, and the checksums in it."""

import json

import pytest
from record_rows import SCHEMA, make_rows, order

from zoo import DataError, read_tfrecords, verify_files, write_tfrecords
from zoo.data.manifest import load_manifest


@pytest.fixture
def folder(tmp_path):
    write_tfrecords(tmp_path, SCHEMA, "train", [make_rows(90)], shards=3, layout="columns")
    write_tfrecords(tmp_path, SCHEMA, "valid", [make_rows(10)])
    return tmp_path


def test_version_1_is_still_read(tmp_path):
    write_tfrecords(tmp_path, SCHEMA, "train", [make_rows(9)], layout="packed")
    path = tmp_path / "manifest.json"
    content = json.loads(path.read_text())
    content["version"] = 1
    for split in content["splits"].values():
        del split["layout"]
        split["files"] = [{"file": file["file"], "rows": file["rows"]} for file in split["files"]]
    path.write_text(json.dumps(content))
    split = load_manifest(tmp_path)["train"]
    assert (split.layout, split.bytes, split.sha256, split.total_rows) == ("packed", None, None, 9)
    assert order(read_tfrecords(tmp_path, "train")) == list(range(9))
    with pytest.raises(DataError, match=r"no checksums of split 'train'.*prepare"):
        verify_files(tmp_path)
    write_tfrecords(tmp_path, SCHEMA, "valid", [make_rows(3)])  # the entry of train stays as it is
    assert verify_files(tmp_path, "valid") == 1
    assert load_manifest(tmp_path)["train"] == split


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"version": 3, "splits": {}}', r"version 3, this code reads versions 1 to 2"),
        ('{"version": "2", "splits": {}}', r"version '2'"),
        ('{"splits": {}}', "not a manifest"),
        ('{"version": 2, "splits": {"train": {"rows": 3}}}', "not a manifest"),
        ("\xff\xfe", "not a manifest"),
        ("[", "not a manifest"),
        ("[" * 100_000, "not a manifest.*nested too deeply"),
        ('{"version": 1' + "0" * 5000 + "}", "not a manifest"),
        ('{"version": 2, "splits": []}', "not a manifest"),
        ('{"version": [2], "splits": {}}', r"version \[2\]"),
    ],
)
def test_other_manifests_are_refused(folder, text, words):
    (folder / "manifest.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(DataError, match=words):
        read_tfrecords(folder, "train")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("rows", -1),
        ("rows", 1e3),
        ("rows", True),
        ("rows", 10**30),
        ("rows", None),
        ("bytes", "9"),
        ("sha256", "x"),
        ("sha256", 7),
        ("file", "train-00001-of-00003.tfrecord"),
    ],
)
def test_entries_of_files_that_cannot_be_are_refused(folder, key, value):
    path = folder / "manifest.json"
    content = json.loads(path.read_text())
    content["splits"]["train"]["files"][0][key] = value
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match="not a manifest"):
        read_tfrecords(folder, "train")


def test_a_split_without_a_file_is_refused(folder):
    path = folder / "manifest.json"
    content = json.loads(path.read_text())
    content["splits"]["train"]["files"] = []
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match="a split without a file"):
        read_tfrecords(folder, "train")


def test_an_unknown_layout_is_refused(folder):
    path = folder / "manifest.json"
    path.write_text(path.read_text().replace('"columns"', '"rows"'))
    with pytest.raises(DataError, match=r"layout='rows'; use one of blocks, packed, columns"):
        read_tfrecords(folder, "train")


def test_files_are_compared_with_their_checksums(folder):
    assert verify_files(folder) == 4
    assert verify_files(folder, "train") == 3
    path = folder / "train-00001-of-00003.tfrecord"
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(DataError, match=r"train-00001-of-00003\.tfrecord has the SHA-256"):
        verify_files(folder)
    path.write_bytes(content[:-1])
    with pytest.raises(DataError, match=f"{path.name} has {len(content) - 1:,} bytes"):
        verify_files(folder)
    assert verify_files(folder, "valid") == 1
    path.unlink()
    with pytest.raises(DataError, match=r"1 of 3 files .*train-00001"):
        verify_files(folder)
    with pytest.raises(DataError, match=r"no manifest\.json"):
        verify_files(folder / "absent")

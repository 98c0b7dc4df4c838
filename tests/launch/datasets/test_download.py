"""Downloads and archives: checked once, and errors say what to do by hand."""

import hashlib
import zipfile
from pathlib import Path

import pytest

from launch import datasets
from launch.datasets import download, split_files
from launch.datasets.raw import Options
from zoo.data.files import DataError


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TF_HELEN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def zipped(path, **files: str):
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(f"inner/{name}.csv", text)
    return path


def test_a_file_is_downloaded_once(tmp_path, cache):
    (tmp_path / "a.zip").write_bytes(b"content")
    url, md5 = (tmp_path / "a.zip").as_uri(), hashlib.md5(b"content").hexdigest()
    assert download.download(url, md5) == str(cache / "a.zip")
    (tmp_path / "a.zip").write_bytes(b"changed")
    assert Path(download.download(url, md5)).read_bytes() == b"content"


def test_failures_leave_nothing_and_say_what_to_do(tmp_path, cache):
    (tmp_path / "a.zip").write_bytes(b"content")
    with pytest.raises(DataError, match="has the MD5 9a0364b9e99bb480dd25e1f0284c8555"):
        download.download((tmp_path / "a.zip").as_uri(), "f")
    with pytest.raises(DataError, match=r"download it elsewhere and pass --source=b\.zip"):
        download.download((tmp_path / "b.zip").as_uri() + "?download=true")
    assert not cache.exists() or list(cache.iterdir()) == []


def test_members_are_checked_and_extracted_again_if_they_changed(tmp_path, cache):
    path = str(zipped(tmp_path / "a.zip", train="one"))
    good = {"train.csv": hashlib.md5(b"one").hexdigest()}
    found = download.unzip(path, good)["train.csv"]
    assert Path(found).read_text() == "one" and found == str(cache / "a" / "train.csv")
    zipped(tmp_path / "a.zip", train="three")
    with pytest.raises(DataError, match=r"train\.csv has the MD5 .* expected"):
        download.unzip(path, good)
    assert Path(download.unzip(path, {"train.csv": None})["train.csv"]).read_text() == "three"
    with pytest.raises(DataError, match=r"holds no valid\.csv; it holds train\.csv"):
        download.unzip(path, {"valid.csv": None})


@pytest.mark.parametrize(("content", "words"), [(None, "does not exist"), (b"x", "as a zip")])
def test_what_is_no_archive_is_named(tmp_path, content, words):
    if content:
        (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(DataError, match=words):
        download.unzip(str(tmp_path / "a.zip"), {"train.csv": None})


def test_an_archive_elsewhere_is_to_be_downloaded():
    with pytest.raises(DataError, match="pass the local path"):
        datasets.get("criteo_x1")(Options(source="s3://bucket/Criteo_x1.zip"))


def test_a_full_disk_is_said_before_writing(tmp_path, monkeypatch):
    path = str(zipped(tmp_path / "a.zip", train="one"))
    usage = type("Usage", (), {"free": 2})
    monkeypatch.setattr(download.shutil, "disk_usage", lambda folder: usage)
    with pytest.raises(DataError, match="needs 3 bytes, and the disk has 2 free"):
        download.unzip(path, {"train.csv": None})


def test_without_a_source_the_archive_is_downloaded(tmp_path, monkeypatch, load):
    text = "label,user\n1,ann\n"
    path = zipped(tmp_path / "Frappe_x1.zip", train=text, valid=text, test=text)
    md5 = dict.fromkeys(("train", "valid", "test"), hashlib.md5(text.encode()).hexdigest())
    archive = split_files.Archive("Frappe_x1", md5, path.as_uri())
    monkeypatch.setattr(datasets.frappe, "ARCHIVE", archive)
    for source in (None, path):
        assert load("frappe", source).heights() == [1, 1, 1]


def test_addresses_are_those_of_the_publishers():
    archives = {
        module.ARCHIVE.name: module.ARCHIVE.address
        for module in vars(datasets).values()
        if hasattr(module, "ARCHIVE")
    }
    assert len(archives) == 8
    for name, address in archives.items():
        assert address.endswith(f"/reczoo/{name}/resolve/main/{name}.zip")

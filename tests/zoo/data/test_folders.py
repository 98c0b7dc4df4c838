"""Replacing folders: at any time the old or the new folder is complete."""

import os

import pytest
import tensorflow as tf
from killed import at_every_change

from zoo.data import folders
from zoo.data.files import join, read_text, write_text
from zoo.data.folders import final_folder, partial_folder, publish_folder, restore_folder


def write_folder(folder, text):
    for name in ("index", "b/data", "a"):
        write_text(join(folder, name), text)


def content(folder):
    return {name: read_text(join(folder, name)) for name in ("index", "b/data", "a")}


def whole(text):
    return dict.fromkeys(("index", "b/data", "a"), text)


@pytest.fixture(params=["exchange", "renames", "object store"])
def place(request, tmp_path, monkeypatch):
    """A folder on a file system that can exchange names, only rename, or only move files."""
    if request.param == "renames":
        monkeypatch.setattr(folders, "exchange", lambda one, other: False)
    scheme = "ram://" if request.param == "object store" else ""
    return request.param, f"{scheme}{tmp_path}"


def names(folder):
    return sorted(name.rstrip("/") for name in tf.io.gfile.listdir(folder))


def test_killed_at_any_change_the_older_or_the_newer_folder_is_there(place, monkeypatch):
    kind, folder = place
    out = join(folder, "out")

    def start():
        for name in (out, partial_folder(out), join(folder, ".out.replaced")):
            if tf.io.gfile.exists(name):
                tf.io.gfile.rmtree(name)
        write_folder(out, "old")
        write_folder(partial_folder(out), "new")

    seen = set()
    for _ in at_every_change(
        monkeypatch, lambda: publish_folder(partial_folder(out), out, "index"), start
    ):
        # With an exchange a reader always finds one of them under the name itself.
        if kind == "exchange" or tf.io.gfile.exists(join(out, "index")):
            assert content(out) in (whole("old"), whole("new"))
        restore_folder(out, "index")
        assert content(out) in (whole("old"), whole("new"))
        seen.add(content(out)["a"])
        # The next run finishes, and nothing is left over.
        write_folder(partial_folder(out), "newest")
        publish_folder(partial_folder(out), out, "index")
        assert content(out) == whole("newest")
        assert names(folder) == ["out"]
    assert seen == {"old", "new"} or kind == "exchange"
    assert content(out) == whole("new")


def test_a_name_beside_that_is_not_complete_is_kept(tmp_path):
    out = tmp_path / "out"
    for folder in (out, tmp_path / ".out.replaced"):
        folder.mkdir()
        (folder / "thesis.txt").write_text("mine")
    restore_folder(str(out), "index")
    assert (out / "thesis.txt").exists() and (tmp_path / ".out.replaced/thesis.txt").exists()


def test_a_link_to_a_folder_stays_a_link(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "disk/out")
    write_folder(str(tmp_path / "disk/out"), "old")
    out = final_folder(str(tmp_path / "link") + "/")
    assert out == str(tmp_path / "disk/out")
    write_folder(partial_folder(out), "new")
    publish_folder(partial_folder(out), out, "index")
    assert (tmp_path / "link").is_symlink()
    assert content(str(tmp_path / "link")) == whole("new")
    assert os.listdir(tmp_path / "disk") == ["out"]


def test_names_are_exchanged_in_one_step(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).write_text(name)
    if not folders.exchange(str(tmp_path / "a"), str(tmp_path / "b")):
        pytest.skip("this system cannot exchange names")
    assert (tmp_path / "a/b").exists() and (tmp_path / "b/a").exists()
    with pytest.raises(FileNotFoundError):
        folders.exchange(str(tmp_path / "a"), str(tmp_path / "absent"))

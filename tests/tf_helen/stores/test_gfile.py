"""The functions of `tf.io.gfile` have the same results on local folders and in stores of fsspec."""

import fsspec
import pytest
import tensorflow as tf

from tf_helen.stores import gfile
from tf_helen.stores.local_copies import local_file, local_folder, upload_folder


@pytest.fixture(params=["local", "memory"])
def folder(request, tmp_path):
    fsspec.filesystem("memory").store.clear()
    return str(tmp_path) if request.param == "local" else "memory://bucket"


def put(path, content):
    gfile.makedirs(path.rpartition("/")[0])
    with gfile.GFile(path, "wb") as file:
        file.write(content)


def get(path):
    with gfile.GFile(path, "rb") as file:
        return file.read()


def test_files_are_written_read_listed_moved_and_removed(folder):
    put(f"{folder}/a/one.txt", b"one")
    put(f"{folder}/a/b/two.bin", bytes(range(256)) * 100)
    assert get(f"{folder}/a/one.txt") == b"one"
    assert gfile.stat(f"{folder}/a/b/two.bin").length == 25_600
    assert [gfile.exists(f"{folder}/{name}") for name in ("a", "a/one.txt", "c")] == [1, 1, 0]
    assert [gfile.isdir(f"{folder}/{name}") for name in ("a", "a/one.txt", "c")] == [1, 0, 0]
    assert sorted(gfile.listdir(f"{folder}/a")) == ["b", "one.txt"]
    assert gfile.glob([f"{folder}/a/one.*", f"{folder}/a/none*"]) == [f"{folder}/a/one.txt"]
    assert list(gfile.walk(f"{folder}/a")) == [
        (f"{folder}/a", ["b"], ["one.txt"]),
        (f"{folder}/a/b", [], ["two.bin"]),
    ]
    with pytest.raises(tf.errors.AlreadyExistsError):
        gfile.rename(f"{folder}/a/one.txt", f"{folder}/a/b/two.bin")
    gfile.rename(f"{folder}/a/one.txt", f"{folder}/a/b/two.bin", overwrite=True)
    gfile.copy(f"{folder}/a/b/two.bin", f"{folder}/a/copy")
    assert get(f"{folder}/a/copy") == b"one"
    assert not gfile.exists(f"{folder}/a/one.txt")
    gfile.remove(f"{folder}/a/copy")
    gfile.rmtree(f"{folder}/a")
    assert not gfile.exists(f"{folder}/a")
    for act in (gfile.stat, gfile.listdir, gfile.remove, get):
        with pytest.raises(tf.errors.NotFoundError, match="absent"):
            act(f"{folder}/absent")


def test_a_file_is_read_at_any_place(folder):
    content = bytes(range(256)) * 50
    put(f"{folder}/a", content)
    with gfile.GFile(f"{folder}/a", "rb") as file:
        assert file.size() == len(content)
        file.seek(1000)
        assert file.read(10) == content[1000:1010]
        assert file.tell() == 1010
        file.seek(0)
        assert file.read() == content


def test_a_file_whose_block_raises_is_not_written():
    with (
        pytest.raises(RuntimeError),
        gfile.GFile("memory://bucket/half", "wb") as file,
    ):
        file.write(b"half")
        raise RuntimeError
    assert not gfile.exists("memory://bucket/half")


def test_files_are_copied_between_file_systems(tmp_path):
    fsspec.filesystem("memory").store.clear()
    put(f"{tmp_path}/a", b"one")
    gfile.copy(f"{tmp_path}/a", "memory://bucket/a")
    gfile.rename("memory://bucket/a", f"{tmp_path}/back")
    assert get(f"{tmp_path}/back") == b"one"
    assert not gfile.exists("memory://bucket/a")


def test_local_copies(tmp_path):
    fsspec.filesystem("memory").store.clear()
    put(f"{tmp_path}/from/a.txt", b"one")
    put(f"{tmp_path}/from/b/c.txt", b"two")
    upload_folder(f"{tmp_path}/from", "memory://bucket/to", last="a.txt")
    copy = local_folder("memory://bucket/to")
    assert get(f"{copy}/a.txt") == b"one" and get(f"{copy}/b/c.txt") == b"two"
    assert get(local_file("memory://bucket/to/b/c.txt")) == b"two"
    put("memory://bucket/to/b/c.txt", b"new")
    assert get(local_file("memory://bucket/to/b/c.txt")) == b"new"
    assert local_folder(str(tmp_path)) == local_file(str(tmp_path)) == str(tmp_path)

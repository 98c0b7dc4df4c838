"""Paths of other file systems: a clear error, or the same results as with local paths."""

import sys

import numpy as np
import pytest
import tensorflow as tf

import zoo
from tf_helen.core.folders import is_remote
from zoo.data.files import join, read_text, write_text
from zoo.data.folders import publish_folder
from zoo.data.manifest import load_manifest
from zoo.data.remote import check_reachable
from zoo.data.vocabulary import load_vocabulary, save_vocabulary

SCHEMA = zoo.Schema("s", [zoo.Categorical("user", 9)], [zoo.Numeric("x")])


@pytest.fixture
def tensorflow_io(monkeypatch, tmp_path):
    """Puts a module of that name in the way of the real one; `s3` is not there before it."""
    before = tf.io.gfile.get_registered_schemes()
    schemes = [name for name in before if name != "s3"]
    monkeypatch.setattr(tf.io.gfile, "get_registered_schemes", lambda: list(schemes))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "tensorflow_io", raising=False)

    def install(code):
        (tmp_path / "tensorflow_io.py").write_text(code)

    yield install
    sys.modules.pop("tensorflow_io", None)


REGISTERS = """
import tensorflow as tf
known = tf.io.gfile.get_registered_schemes()
tf.io.gfile.get_registered_schemes = lambda: [*known, "s3"]
"""


def test_what_tensorflow_has_a_file_system_for_is_reachable(tmp_path):
    for path in ("data", tmp_path, "file:///tmp/x", "gs://bucket/data", "ram://x", "a/b://c", ""):
        check_reachable(path)
    assert [is_remote(p) for p in ("a", tmp_path, "file://a", "gs://a", "s3://a")] == [
        False, False, False, True, True,
    ]  # fmt: skip


def test_tensorflow_io_is_loaded_when_it_is_needed(tensorflow_io):
    tensorflow_io(REGISTERS)
    check_reachable("gs://bucket/data")
    assert "tensorflow_io" not in sys.modules  # it takes seconds and says a lot
    check_reachable("s3://bucket/data")
    assert "tensorflow_io" in sys.modules


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("", "it is installed, but does not fit this TensorFlow"),
        (
            "raise SystemError('undefined symbol: _ZN')",
            "cannot be imported: SystemError: undefined",
        ),
        ("import nosuch_dependency", "cannot be imported: No module named 'nosuch_dependency'"),
        ("raise ModuleNotFoundError(name='tensorflow_io')", "it is not installed"),
    ],
)
def test_why_tensorflow_io_is_no_help_is_said(tensorflow_io, code, reason):
    tensorflow_io(code)
    with pytest.raises(
        ValueError, match=r"^s3://bucket/data: .*no file system for s3://"
    ) as caught:
        check_reachable("s3://bucket/data")
    message = str(caught.value)
    assert "file://, gs://, ram://" in message
    assert reason in message
    assert "pip install 'tf-helen[io]'" in message and "2.17" in message
    assert tf.__version__ in message
    assert "\n" not in message


def test_other_schemes_have_other_advice(tensorflow_io):
    tensorflow_io("")
    with pytest.raises(ValueError, match=r"no file system for https://.*Download the file first"):
        check_reachable("https://example.com/data")
    with pytest.raises(ValueError, match=r"no file system for GS://.*Check the spelling"):
        check_reachable("GS://bucket/data")


@pytest.mark.parametrize(
    "act",
    [
        lambda path: zoo.Schema.load(path),
        lambda path: zoo.Schema.load(f"{path}/schema.json"),
        lambda path: SCHEMA.save(path),
        lambda path: zoo.write_tfrecords(path, SCHEMA, "train", [rows_of(3)]),
        lambda path: zoo.load_counts(path, SCHEMA),
        lambda path: write_text(f"{path}/note", "x"),
    ],
)
def test_every_way_to_name_a_folder_is_checked(tensorflow_io, act):
    tensorflow_io("")
    with pytest.raises(ValueError, match=r"s3://bucket/data.*pip install"):
        act("s3://bucket/data")


def rows_of(rows):
    rng = np.random.default_rng(0)
    return {
        "ids": rng.integers(0, 9, (rows, 1)),
        "numeric": rng.normal(size=(rows, 1)).astype(np.float32),
        "label": rng.integers(0, 2, rows).astype(np.float32),
    }


@pytest.fixture
def remote(request):
    """A folder of TensorFlow's file system in memory, which is treated as remote."""
    folder = f"ram://bucket/{request.node.name}"
    yield folder
    if tf.io.gfile.exists(folder):
        tf.io.gfile.rmtree(folder)


@pytest.mark.parametrize("compression", [None, "GZIP"])
def test_data_folders_may_be_remote(remote, compression):
    rows = rows_of(300)
    zoo.write_tfrecords(remote, SCHEMA, "train", [rows], shards=3, compression=compression)
    assert zoo.Schema.load(remote) == SCHEMA
    words = ["<oov>", *"abcdefgh"]
    save_vocabulary(remote, "user", words, np.arange(9))
    assert load_vocabulary(remote, "user")[0] == words
    assert zoo.load_counts(remote, SCHEMA)["user"].tolist() == list(range(9))
    assert load_manifest(remote)["train"].total_rows == 300
    batches = list(zoo.read_tfrecords(remote, "train", batch_size=64))
    label = np.concatenate([label for _, label in batches])[:, 0]
    # Shards are read side by side, so the order is another one.
    assert sorted(label) == sorted(rows["label"])
    numbers = np.concatenate([features["numeric"] for features, _ in batches])
    np.testing.assert_array_equal(np.sort(numbers[:, 0]), np.sort(rows["numeric"][:, 0]))


def test_damage_in_remote_files_is_counted(remote):
    split = zoo.write_tfrecords(remote, SCHEMA, "train", [rows_of(50)], layout="packed")
    path = join(remote, split.files[0])
    with tf.io.gfile.GFile(path, "rb") as file:
        content = bytearray(file.read())
    content[1000] ^= 0xFF
    tf.io.gfile.remove(path)  # this file system would append
    with tf.io.gfile.GFile(path, "wb") as file:
        file.write(bytes(content))
    ledger = zoo.Ledger()
    batches = list(zoo.read_tfrecords(remote, "train", ledger=ledger, max_lost=0.1))
    assert ledger.total_lost == 1
    assert sum(len(label) for _, label in batches) == 49


@pytest.mark.parametrize("where", ["local", "remote"])
def test_a_folder_is_published_in_place_of_an_older_one(where, remote, tmp_path):
    folder = remote if where == "remote" else str(tmp_path)
    write_text(f"{folder}/final/old/x.txt", "old")
    for version in ("1", "2"):
        write_text(f"{folder}/.final.partial/assets/x.txt", version)
        write_text(f"{folder}/.final.partial/index", version)
        publish_folder(f"{folder}/.final.partial", f"{folder}/final", last="index")
        assert sorted(tf.io.gfile.listdir(f"{folder}/final")) == ["assets", "index"]
        assert read_text(f"{folder}/final/index") == version
        assert read_text(f"{folder}/final/assets/x.txt") == version
    assert not tf.io.gfile.exists(f"{folder}/.final.partial/index")

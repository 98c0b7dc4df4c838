"""Paths of other file systems: a clear error, or the same results as with local paths."""

import numpy as np
import pytest
import tensorflow as tf

import zoo
from zoo.data.files import join, read_text, write_text
from zoo.data.folders import publish_folder
from zoo.data.manifest import load_manifest
from zoo.data.vocabulary import load_vocabulary, save_vocabulary

SCHEMA = zoo.Schema("s", [zoo.Categorical("user", 9)], [zoo.Numeric("x")])


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

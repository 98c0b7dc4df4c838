"""Splits in a store of fsspec, here in memory: the same rows as from a local folder."""

import glob
import os
from typing import ClassVar

import fsspec
import numpy as np
import pytest
from fsspec.implementations.memory import MemoryFileSystem

import zoo
from tf_helen.stores import gfile
from tf_helen.stores.cache import Cache, CacheFullError, StoredFile
from tf_helen.stores.options import StoreOptions, set_store_options, store_options
from zoo.data.files import DataError

SCHEMA = zoo.Schema("s", [zoo.Categorical("user", 90), zoo.Categorical("tags", 9, length=3)])
ROWS, SHARDS = 3000, 6


class Flaky(MemoryFileSystem):
    """A store in memory whose reads fail."""

    protocol = "flaky"
    store: ClassVar[dict] = {}
    pseudo_dirs: ClassVar[list] = [""]
    failures = 0
    reads: ClassVar[list] = []

    @classmethod
    def _strip_protocol(cls, path):
        return MemoryFileSystem._strip_protocol(path.replace("flaky://", "memory://"))

    def cat_file(self, path, start=None, end=None, **options):
        type(self).reads.append((path, start, end))
        content = super().cat_file(path, start, end, **options)
        if Flaky.failures:
            Flaky.failures -= 1
            return content[: len(content) // 2]
        return content


@pytest.fixture(autouse=True)
def stores(tmp_path):
    fsspec.register_implementation("flaky", Flaky, clobber=True)
    Flaky.store.clear()
    Flaky.failures = 0
    Flaky.reads.clear()
    before = store_options()
    set_store_options(cache_dir=str(tmp_path / "cache"), first_wait=0.0, cache_bytes=1 << 30)
    yield
    set_store_options(first_wait=before.first_wait, cache_bytes=before.cache_bytes)


def written(folder, **options):
    rng = np.random.default_rng(0)
    rows = {
        "ids": np.concatenate(
            [rng.integers(0, 90, (ROWS, 1)), rng.integers(-1, 9, (ROWS, 3))], axis=1
        ),
        "label": rng.integers(0, 2, ROWS),
    }
    return zoo.write_tfrecords(folder, SCHEMA, "train", [rows], shards=SHARDS, **options)


def ids(data):
    return np.concatenate([features["ids"] for features, _ in data.as_numpy_iterator()])


@pytest.mark.parametrize(
    ("layout", "shuffle", "share"),
    [
        ("blocks", True, 2.0), ("blocks", True, 0.4),
        *(pytest.param(*case, marks=pytest.mark.slow) for case in (
            ("blocks", False, 2.0), ("blocks", False, 0.4), ("packed", False, 2.0),
            ("packed", False, 0.4), ("packed", True, 2.0), ("packed", True, 0.4),
            ("columns", False, 0.4),
        )),
    ],
)  # fmt: skip
def test_rows_and_their_order_are_those_of_a_local_folder(tmp_path, layout, shuffle, share):
    split = written(f"{tmp_path}/data", layout=layout)
    how = {"batch_size": 64, "seed": 5, "shuffle": 512 if shuffle else False, "repeat": 2}
    expected = ids(zoo.read_tfrecords(f"{tmp_path}/data", "train", **how))
    written("flaky://data", layout=layout)
    limit = int(share * sum(split.bytes))
    set_store_options(cache_bytes=limit)
    Flaky.failures = 3
    if layout == "packed" and shuffle and share < 1:
        with pytest.raises(DataError, match=r"7 files of .* are needed at a time.*--cache_"):
            zoo.read_tfrecords("flaky://data", "train", **how)
        return
    data = zoo.read_tfrecords("flaky://data", "train", **how)
    for _ in range(2):
        np.testing.assert_array_equal(ids(data), expected)
    staged = [os.path.getsize(path) for path in glob.glob(f"{tmp_path}/cache/files/*")]
    assert 0 < sum(staged) <= limit
    skipped = zoo.read_tfrecords("flaky://data", "train", **how, skip_batches=50)
    np.testing.assert_array_equal(ids(skipped), expected[ROWS + 3 * 64 :])  # after 47 batches


def test_checked_files_are_not_staged_again(tmp_path):
    split = written("flaky://data")
    set_store_options(cache_bytes=int(0.4 * sum(split.bytes)))
    zoo.read_tfrecords("flaky://data", "train")
    Flaky.reads.clear()
    ledger = zoo.Ledger()
    zoo.read_tfrecords("flaky://data", "train", ledger=ledger)
    assert not [path for path, *_ in Flaky.reads if "-of-" in path]
    assert ledger.total_read == ROWS


def test_errors_name_the_file_in_the_store():
    split = written("flaky://data")
    path = f"flaky://data/{split.files[2]}"
    with gfile.GFile(path, "rb") as file:
        content = file.read()
    with gfile.GFile(path, "wb") as file:
        file.write(content[:-100])
    with pytest.raises(DataError, match=r"train-00002-of-00006.*skipped at byte"):
        zoo.read_tfrecords("flaky://data", "train")
    ledger = zoo.Ledger()
    zoo.read_tfrecords("flaky://data", "train", ledger=ledger, max_lost=1.0)
    assert [each.file for each in ledger.files.values() if each.lost] == [path]


def stored(name, size=100):
    with gfile.GFile(f"flaky://files/{name}", "wb") as file:
        file.write(name.encode() * size)
    return StoredFile(f"flaky://files/{name}", size * len(name))


def test_the_cache_removes_what_was_used_least_recently(tmp_path):
    cache = Cache(StoreOptions(cache_dir=str(tmp_path / "c"), cache_bytes=300))
    files = {name: stored(name) for name in "abcd"}
    for name in "abc":
        cache.take(files[name]).release()
    cache.take(files["a"]).release()  # used again
    held = cache.take(files["d"])
    assert [name for name, file in files.items() if cache.find(file)] == ["a", "c", "d"]
    assert cache.room() == 200 and cache.room((files["d"],)) == 300
    with open(held.path, "rb") as file:
        assert file.read() == b"d" * 100
    with pytest.raises(CacheFullError, match=r"has 250 bytes.* may have 300, of which 100 are in"):
        cache.take(stored("e", 250))
    held.release()
    cache.take(stored("e", 250)).release()
    assert not any(cache.find(file) for file in files.values())


def test_what_a_killed_process_leaves_is_removed(tmp_path):
    cache = Cache(StoreOptions(cache_dir=str(tmp_path / "c"), cache_bytes=300))
    left = os.path.join(cache.folder, ".partial-x.1.2")
    with open(left, "wb") as file:
        file.truncate(250)
    cache.take(stored("a")).release()
    assert not os.path.exists(left)


def test_a_full_disk_is_an_error(tmp_path, monkeypatch):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    cache = Cache(StoreOptions(cache_dir=str(tmp_path / "c")))
    with pytest.raises(CacheFullError, match=r"no room on its disk for flaky://files/a.*--cache_d"):
        cache.take(stored("a"))
    assert not [name for name in os.listdir(cache.folder) if not name.endswith(".lock")]

"""The order of reading: as written, shuffled, by several workers, and taken up again."""

import json
import tempfile

import pytest
import tensorflow as tf
from record_rows import SCHEMA, make_rows, order, write_packed

from zoo import Ledger, read_tfrecords, write_tfrecords


@pytest.mark.parametrize(("layout", "shards"), [("packed", 1), ("packed", 3), ("blocks", 3)])
def test_a_seed_fixes_the_order_of_every_epoch(tmp_path, layout, shards):
    size = 50 if layout == "blocks" else None
    write_tfrecords(
        tmp_path, SCHEMA, "train", [make_rows(2000)], shards, layout=layout, block_rows=size
    )

    def epochs(seed: int) -> list[list[int]]:
        data = read_tfrecords(tmp_path, "train", batch_size=100, shuffle=500, seed=seed)
        return [order(data) for _ in range(3)]

    first, again, other = epochs(7), epochs(7), epochs(8)
    assert first == again
    assert first[0] != first[1] != first[2] and first[0] != other[0]
    for epoch in (*first, *other):
        assert sorted(epoch) == list(range(2000))


@pytest.mark.parametrize("layout", ["packed", pytest.param("blocks", marks=pytest.mark.slow)])
def test_repeat_reshuffles_and_drop_remainder_drops(tmp_path, layout):
    write_tfrecords(tmp_path, SCHEMA, "train", [make_rows(250)], layout=layout)
    twice = order(read_tfrecords(tmp_path, "train", batch_size=100, shuffle=True, seed=1, repeat=2))
    assert len(twice) == 500 and twice[:250] != twice[250:]
    assert sorted(twice[:250]) == sorted(twice[250:])
    short = read_tfrecords(tmp_path, "train", batch_size=100, drop_remainder=True)
    assert [label.shape for _, label in short] == [(100, 1), (100, 1)]
    cached = read_tfrecords(tmp_path, "train", batch_size=100, cache=True)
    assert order(cached) == order(cached) == list(range(250))


@pytest.mark.parametrize(
    ("files", "workers", "policy", "layout"),
    [(1, 0, 2, "packed"), (2, 2, 0, "packed"), (2, 3, 2, "packed"), (2, 2, 2, "blocks")],
)
def test_more_workers_than_files_share_the_rows(
    tmp_path, monkeypatch, files, workers, policy, layout
):
    hosts = [f"localhost:{9000 + worker}" for worker in range(workers)]
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": {"worker": hosts}} if hosts else {}))
    write_tfrecords(tmp_path, SCHEMA, "train", [make_rows(200)], files, layout=layout)
    options = read_tfrecords(tmp_path, "train").options()
    # TensorFlow refuses to deal fewer files than workers: 0 is AUTO (by file), 2 is DATA.
    assert options.experimental_distribute.auto_shard_policy.value == policy
    orders = [order(read_tfrecords(tmp_path, "train", shuffle=True)) for _ in range(2)]
    # Two workers that shuffle apart would both train on some rows and neither on others.
    assert (orders[0] == orders[1]) == (workers > 1)


def test_shuffling_mixes_rows_of_all_shards(tmp_path):
    write_packed(tmp_path, SCHEMA, "train", [make_rows(4000)], shards=8)
    first = order(read_tfrecords(tmp_path, "train", shuffle=600, seed=1))[:500]
    # Rows come in the order of time: a buffer smaller than a shard must not keep them there.
    assert len({row // 500 for row in first}) == 8


@pytest.mark.parametrize(
    ("files", "count", "layout"),
    [(4, 2, "packed"), (3, 2, "packed"), (1, 3, "packed"), (3, 2, "blocks")],
)
@pytest.mark.parametrize("shuffle", [False, 50])
def test_shards_of_workers_are_disjoint_and_complete(tmp_path, files, count, layout, shuffle):
    write_tfrecords(tmp_path, SCHEMA, "train", [make_rows(301)], files, layout=layout)
    options = {"batch_size": 32, "shuffle": shuffle}
    parts = [
        read_tfrecords(tmp_path, "train", shard=(index, count), **options) for index in range(count)
    ]
    policy = parts[0].options().experimental_distribute.auto_shard_policy
    assert policy == tf.data.experimental.AutoShardPolicy.OFF
    rows = [order(part) for part in parts]
    assert sorted(row for part in rows for row in part) == list(range(301))
    assert max(map(len, rows)) - min(map(len, rows)) <= files
    if not shuffle:
        assert all(part == sorted(part) for part in rows)
    if layout == "blocks":  # a contiguous range
        assert all(max(part) - min(part) + 1 == len(part) for part in rows)


def blocks(*values):
    return pytest.param("blocks", *values, marks=pytest.mark.slow)


@pytest.mark.parametrize(
    ("layout", "stop", "cache"),  # batches: none, in the first epoch, in the second
    [
        *(("packed", stop, cache) for stop in (0, 3, 14) for cache in (False, True)),
        ("blocks", 14, False),
        *(blocks(stop, cache) for stop in (0, 3, 14) for cache in (False, True)),
    ],
)
def test_an_iterator_goes_on_from_its_checkpoint(tmp_path, monkeypatch, layout, stop, cache):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    split = write_tfrecords(
        tmp_path / "data", SCHEMA, "train", [make_rows(1000)], 3,
        layout=layout, block_rows=1 if layout == "blocks" else None,
    )  # fmt: skip
    damaged = tmp_path / "data" / split.files[1]
    content = bytearray(damaged.read_bytes())
    content[1000] ^= 1
    damaged.write_bytes(content)

    def iterator():
        ledger = Ledger()
        data = read_tfrecords(
            tmp_path / "data", "train", None, 100, 300, 5, repeat=3, cache=cache, ledger=ledger,
            max_lost=0.01,
        )  # fmt: skip
        assert ledger.total_lost == 1
        return iter(data)

    def rest(batches) -> list[list[int]]:
        return [features["ids"][:, 0].numpy().tolist() for features, _ in batches]

    first = iterator()
    for _ in range(stop):
        next(first)
    path = tf.train.Checkpoint(iterator=first).save(str(tmp_path / "checkpoint"))
    other = iterator()
    tf.train.Checkpoint(iterator=other).restore(path).assert_consumed()
    expected = rest(first)
    assert rest(other) == expected == rest(iterator())[stop:]
    assert len(expected) == 30 - stop

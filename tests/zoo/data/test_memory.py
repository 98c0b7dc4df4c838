"""Rows in memory are the rows of the files, in the same order."""

import numpy as np
import pytest
import tensorflow as tf
from record_rows import SCHEMA, WEIGHTED, collect, make_rows

from zoo import DataError, Ledger, read_tfrecords, write_tfrecords
from zoo.data.memory import RowsInMemory

OPTIONS = [
    {},
    {"shuffle": True, "seed": 3},
    {"shuffle": 500, "seed": 3, "drop_remainder": True},
    {"shuffle": 500, "seed": 4, "skip_batches": 7},
]


@pytest.mark.parametrize(
    ("schema", "shards", "layout", "options"),
    [
        *((SCHEMA, shards, "packed", options) for shards in (1, 5) for options in OPTIONS),
        *((WEIGHTED, 3, "packed", options) for options in OPTIONS),
        (WEIGHTED, 3, "blocks", OPTIONS[0]),
        (WEIGHTED, 3, "blocks", OPTIONS[3]),
        pytest.param(WEIGHTED, 3, "blocks", OPTIONS[2], marks=pytest.mark.slow),
    ],
)
def test_batches_are_those_of_the_files(tmp_path, schema, shards, layout, options):
    write_tfrecords(tmp_path, schema, "train", [make_rows(1111)], shards, layout=layout)
    tf.random.set_seed(1)
    expected = read_tfrecords(tmp_path, "train", batch_size=100, **options)
    rows = RowsInMemory(tmp_path, "train", schema)
    found = rows.batches(100, **options)
    assert rows.rows == 1111
    shapes = [[x.shape for x in tf.nest.flatten(batch)] for batch in expected]
    assert [[x.shape for x in tf.nest.flatten(batch)] for batch in found] == shapes
    one, other = collect(expected), collect(found)
    assert list(one) == list(other)
    for key, column in one.items():
        assert column.dtype == other[key].dtype
        np.testing.assert_array_equal(column, other[key])


def test_every_epoch_has_the_order_of_the_files(tmp_path):
    write_tfrecords(tmp_path, SCHEMA, "train", [make_rows(300)], 2)
    rows = RowsInMemory(tmp_path, "train")
    for seed in (1, 2):
        read = read_tfrecords(tmp_path, "train", batch_size=64, shuffle=True, seed=seed)
        kept = rows.batches(64, shuffle=True, seed=seed)
        np.testing.assert_array_equal(collect(read)["ids"], collect(kept)["ids"])


def test_damaged_records_are_counted_and_left_out(tmp_path):
    split = write_tfrecords(tmp_path, SCHEMA, "train", [make_rows(400)], 2, layout="packed")
    path = tmp_path / split.files[0]
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(DataError, match="lost"):
        RowsInMemory(tmp_path, "train")
    one, other = Ledger(), Ledger()
    expected = read_tfrecords(tmp_path, "train", ledger=one, max_lost=0.1, batch_size=64)
    rows = RowsInMemory(tmp_path, "train", ledger=other, max_lost=0.1)
    assert one.report() == other.report() and rows.rows == other.total_read < 400
    np.testing.assert_array_equal(collect(expected)["ids"], collect(rows.batches(64))["ids"])

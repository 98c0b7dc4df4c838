"""The mapping between the rows of a table and those of its shards."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from properties import examples

import tf_helen
from tf_helen.core import tables
from tf_helen.core.rows import RowBlock
from tf_helen.core.table_group import TableGroup

SIZES = st.lists(st.integers(1, 30), min_size=1, max_size=4)


def group_of(sizes, shards):
    return TableGroup({f"f{i}": size for i, size in enumerate(sizes)}, min(shards, sum(sizes)))


@given(sizes=SIZES, shards=st.integers(1, 9))
@examples(15)
def test_every_row_has_one_place(sizes, shards):
    group = group_of(sizes, shards)
    rank, local = (x.numpy() for x in group.places(tf.range(group.rows)))
    np.testing.assert_array_equal(rank, np.arange(group.rows) % group.shards)
    assert [group.size(i) for i in range(group.shards)] == np.bincount(rank).tolist()
    for i in range(group.shards):
        np.testing.assert_array_equal(np.sort(local[rank == i]), np.arange(group.size(i)))
        rows = group.rows_of(i, tf.range(group.size(i)))
        np.testing.assert_array_equal(rows, np.flatnonzero(rank == i))


@given(sizes=SIZES, shards=st.integers(1, 9), seed=st.integers(0, 99), n=st.integers(0, 40))
@examples(12)
def test_lookups_and_updates_reach_the_owners_and_no_other_row(sizes, shards, seed, n):
    rng, group = np.random.default_rng(seed), group_of(sizes, shards)
    whole = rng.normal(size=(group.rows, 2)).astype(np.float32)
    parts = [tf.Variable(group.part(whole, i)) for i in range(group.shards)]
    ids = rng.integers(0, group.rows, n)
    found = group.lookup(tf.constant(ids), lambda i, local: parts[i].sparse_read(local))
    np.testing.assert_array_equal(found, whole[ids])
    distinct = np.unique(ids)
    new = rng.normal(size=(len(distinct), 2)).astype(np.float32)

    def write(rank, local, rows):
        assert np.all(np.isin(group.rows_of(rank, local), distinct))
        parts[rank].scatter_update(tf.IndexedSlices(rows, local))

    group.send(tf.constant(distinct), tf.constant(new), write)
    whole[distinct] = new
    np.testing.assert_array_equal(group.whole([part.numpy() for part in parts]), whole)


@given(sizes=SIZES, shards=st.integers(1, 9), seed=st.integers(0, 99))
@examples(12)
def test_blocks_join_and_split(sizes, shards, seed):
    rng, group = np.random.default_rng(seed), group_of(sizes, shards)
    blocks = []
    for rank in range(group.shards):
        local = rng.permutation(group.size(rank))[: rng.integers(0, 4)]
        values = tf.constant(rng.normal(size=(len(local), 2)))
        counts = tf.constant(rng.integers(1, 5, len(local)), tf.int32)
        blocks.append(RowBlock(values, tf.constant(local), counts))
    joined = group.join(blocks, range(group.shards))
    rank, local = group.places(joined.ids)
    np.testing.assert_array_equal(local, np.concatenate([block.ids for block in blocks]))
    np.testing.assert_array_equal(
        rank, np.repeat(range(group.shards), [len(b.ids) for b in blocks])
    )
    fields = np.repeat(np.arange(len(sizes)), sizes)
    np.testing.assert_array_equal(group.field_of_rows(joined.ids), fields[joined.ids.numpy()])
    for part, block in zip(group.split(joined.values, blocks), blocks, strict=True):
        np.testing.assert_array_equal(part, block.values)


@pytest.mark.parametrize("shards", [1, 7])
def test_rows_beyond_two_to_the_power_of_31(shards):
    """A table of five billion rows, without its variables."""
    group = TableGroup({"user": 3_000_000_000, "item": 2_000_000_000}, shards)
    assert group.rows == sum(group.size(i) for i in range(shards)) == 5_000_000_000
    ids = np.array([0, 2_999_999_999, 3_000_000_000, 4_999_999_999, 2**31, 2**32])
    rank, local = group.places(tf.constant(ids))
    np.testing.assert_array_equal(local.numpy() * shards + rank.numpy(), ids)
    np.testing.assert_array_equal(group.field_of_rows(tf.constant(ids)), [0, 0, 1, 1, 0, 1])
    for i in range(shards):
        mine = tf.boolean_mask(local, rank == i)
        # The rows of a shard may be int32.
        mine = mine if shards == 1 else tf.cast(mine, tf.int32)
        np.testing.assert_array_equal(group.rows_of(i, mine), ids[rank == i])


def test_the_shards_of_a_table_are_one_group():
    first = tf_helen.layers.Embedding({"a": 5, "b": 2}, 2, shards=3)
    second = tf_helen.layers.Embedding(4, 2)
    first.build()
    second.build()
    a, b, c = first.trainable_variables
    assert tables.grouped([c, *second.trainable_variables, a, b]) == [[2, 3, 0], [1]]
    assert [tables.of(v).rows for v in (a, b, c)] == [3, 2, 2]

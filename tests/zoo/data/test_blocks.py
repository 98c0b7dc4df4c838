"""Blocks: any rows are read as written, in an exact order, from any batch on, and by any worker."""

import zlib

import hypothesis.strategies as st
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from properties import examples
from record_rows import SCHEMA, WEIGHTED, collect, cut, make_rows, order, write_records

from zoo import (
    Categorical,
    DataError,
    Ledger,
    Numeric,
    Schema,
    SchemaMismatchError,
    read_tfrecords,
    write_tfrecords,
)
from zoo.data.batch_check import checked_batch
from zoo.data.block_bytes import BlockBytes
from zoo.data.block_check import explain_block
from zoo.data.block_index import Blocks
from zoo.data.block_layout import HEAD, BlockHead, BlockLayout
from zoo.data.block_order import RowNumbers, ordered_rows
from zoo.data.block_parse import block_decoder, block_parser
from zoo.data.record_frame import FOOTER, HEADER
from zoo.data.record_order import Order


def record_of(schema: Schema, rows: dict, compressed: bool = False) -> bytes:
    """The content of the record of all rows."""
    framed = BlockBytes(schema, compressed).of(checked_batch(rows, schema, 0))
    return framed[HEADER:-FOOTER]


@st.composite
def tables(draw) -> tuple[Schema, dict[str, np.ndarray]]:
    """A schema and rows of it, with the smallest and largest values that it allows."""
    lengths = draw(st.lists(st.integers(1, 4), max_size=4))
    sizes = [draw(st.sampled_from([1, 2, 300, 2**31 - 1])) for _ in lengths]
    numbers = draw(st.integers(0 if lengths else 1, 3))
    weight, group = draw(st.booleans()), draw(st.booleans())
    fields = [
        Categorical(f"f{i}", size, n)
        for i, (size, n) in enumerate(zip(sizes, lengths, strict=True))
    ]
    schema = Schema(
        "any", fields, [Numeric(f"n{i}") for i in range(numbers)], "label",
        "weight" if weight else None, "group" if group else None,
    )  # fmt: skip
    count = draw(st.integers(1, 40))
    dice = np.random.default_rng(draw(st.integers(0, 2**32)))
    ids = [
        dice.choice([size - 1, 0, *([-1, size // 2] if n > 1 else [])], (count, n))
        for size, n in zip(sizes, lengths, strict=True)
    ]
    floats = np.array([0.0, -0.0, 1e-40, -3.5, 3.4e38], np.float32)
    rows = {"label": dice.choice([0.0, 0.25, 1.0], count).astype(np.float32)}
    if lengths:
        rows["ids"] = np.concatenate(ids, axis=1)
    if numbers:
        rows["numeric"] = dice.choice(floats, (count, numbers))
    if weight:
        rows["weight"] = dice.choice(np.abs(floats), count)
    if group:
        rows["group"] = dice.integers(-(2**63), 2**63 - 1, count, endpoint=True)
    return schema, rows


@examples(30)
@given(tables(), st.booleans())
def test_rows_of_any_schema_come_back_bit_for_bit(table, compressed):
    schema, rows = table
    record, count = record_of(schema, rows, compressed), len(rows["label"])
    assert explain_block(record, schema) == (count, None)
    assert len(record) <= BlockLayout(schema).most_bytes
    words = block_decoder(schema, compressed)(tf.constant(record), tf.constant(count))
    features, label, *weight = block_parser(schema, schema.group is not None)(words)
    read = {**features, "label": label, **({"weight": weight[0]} if weight else {})}
    assert set(read) == set(rows)
    for key, value in read.items():
        expected = rows[key].astype({"ids": np.int32}.get(key, rows[key].dtype))
        assert value.numpy().reshape(expected.shape).tobytes() == expected.tobytes(), key


@examples(30)
@given(st.data(), st.booleans())
def test_mutated_contents_are_refused_or_still_allowed(data, compressed):
    record = bytearray(record_of(WEIGHTED, make_rows(7), compressed))
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(record) - 1))
        record[place] = data.draw(st.integers(0, 255))
    record = bytes(record[: data.draw(st.sampled_from([len(record), len(record) - 4, 5]))])
    rows, trouble = explain_block(record, WEIGHTED)
    assert rows >= 1
    if trouble is None:  # then TensorFlow reads it, and all values are allowed
        words = block_decoder(WEIGHTED, compressed)(tf.constant(record), tf.constant(rows))
        features, label, weight = block_parser(WEIGHTED)(words)
        ids = features["ids"].numpy()
        assert ((ids >= [0, -1, -1, -1]) & (ids < [100_000, 300, 300, 300])).all()
        assert np.isfinite(features["numeric"]).all() and np.isfinite(weight).all()
        assert ((label >= 0) & (label <= 1)).numpy().all() and rows == 7


@pytest.mark.parametrize("compressed", [False, True])
def test_what_is_wrong_with_a_block_is_named(compressed):
    rows = make_rows(3)

    def changed(**values) -> bytes:
        wide = Schema(
            "wide", [Categorical("row", 2**31 - 1), Categorical("tags", 2**31 - 1, length=3)],
            SCHEMA.numeric, "clicked", "cost", "row",
        )  # fmt: skip
        return record_of(wide, {**rows, **values}, compressed)

    good = record_of(WEIGHTED, rows, compressed)
    head = BlockHead.of(good)
    for record, word in (
        (changed(ids=np.add(rows["ids"], [100_000, 0, 0, 0])), "field 'row' has id 100000"),
        (changed(ids=np.maximum(rows["ids"], [[0, 300, 0, 0]])), "field 'tags' has id 300"),
        (good[:7], r"not a block of rows \(7 bytes\)"),
        (b"\x0a" + good[1:], "not a block"),
        (BlockHead(2, head.words, compressed).to_bytes() + good[HEAD.size :], "block of 2 rows"),
        (BlockHead(0, head.words, compressed).to_bytes() + good[HEAD.size :], "block of 0 rows"),
        (BlockHead(3, head.words - 1, compressed).to_bytes() + good[HEAD.size :], "whose content"),
        (good + b"\0\0\0\0", "whose content"),
    ):
        with pytest.raises(AssertionError, match=word):
            count, trouble = explain_block(record, WEIGHTED)
            raise AssertionError(trouble)
        assert count in (1, 2, 3)


def test_a_small_record_that_unpacks_to_much_is_not_unpacked():
    bomb = zlib.compressobj(wbits=31)
    body = bomb.compress(bytes(1 << 24)) + bomb.flush()
    record = BlockHead(3, 27, True).to_bytes() + body
    assert "whose content" in explain_block(record, WEIGHTED)[1]


@st.composite
def readings(draw) -> dict:
    """Blocks of any size, and how they are read."""
    files = draw(st.lists(st.integers(0, 50), min_size=1, max_size=4))
    size = draw(st.integers(1, 60))
    rows = [[min(size, n - start) for start in range(0, n, size)] for n in files]
    numbers = np.repeat(np.arange(len(files)), [len(found) for found in rows])
    sizes = np.array([n for found in rows for n in found], np.int64)
    count = draw(st.integers(1, 3))
    return {
        "blocks": Blocks(("",) * len(files), numbers, np.zeros_like(sizes), sizes, False),
        "batch": draw(st.integers(1, 70)),
        "count": count,
        "shuffle": draw(st.sampled_from([False, 1, 30, True])),
        "seed": draw(st.integers(0, 5)),
        "drop": draw(st.booleans()),
        "skip": draw(st.integers(0, 12)),
        "repeat": draw(st.sampled_from([False, 2])),
    }


@examples(3)
@given(readings())
def test_every_row_once_per_epoch_and_from_any_batch_on(how):
    blocks, batch, total = how["blocks"], how["batch"], int(how["blocks"].rows.sum())
    all_rows = []
    for index in range(how["count"]):
        plan = Order(how["shuffle"], how["seed"], how["repeat"], False, (index, how["count"]))

        def read(skip: int, plan=plan) -> list[list[int]]:
            data = ordered_rows(blocks, RowNumbers(blocks), plan, batch, how["drop"], skip)
            return [numbers.tolist() for numbers in data.as_numpy_iterator()]

        batches = read(0)
        assert read(how["skip"]) == batches[how["skip"] :]
        first, last = total * index // how["count"], total * (index + 1) // how["count"]
        per_epoch = (last - first) // batch if how["drop"] else -(-(last - first) // batch)
        epochs = how["repeat"] or 1
        assert len(batches) == epochs * per_epoch
        for epoch in range(epochs):
            part = batches[epoch * per_epoch : (epoch + 1) * per_epoch]
            rows = [row for found in part for row in found]
            assert all(len(found) == batch for found in part[:-1])
            if not how["drop"]:
                assert sorted(rows) == list(range(first, last))
            assert len(set(rows)) == len(rows) and set(rows) <= set(range(first, last))
            if not how["shuffle"]:
                assert rows == sorted(rows)
            all_rows += rows if not epoch else []
    if not how["drop"]:
        assert sorted(all_rows) == list(range(total))


def test_files_are_read_in_an_exact_order(tmp_path):
    rows = make_rows(1000)
    write_tfrecords(tmp_path, SCHEMA, "train", cut(rows, 130), 3, "GZIP", "blocks", block_rows=17)
    read = collect(read_tfrecords(tmp_path, "train", batch_size=64))
    for key, value in read.items():
        np.testing.assert_array_equal(value, rows[key])
    how = {"batch_size": 64, "shuffle": 300, "seed": 3}
    whole = order(read_tfrecords(tmp_path, "train", **how))
    assert sorted(whole) == list(range(1000)) and whole != sorted(whole)
    rest = collect(read_tfrecords(tmp_path, "train", skip_batches=6, **how))
    assert rest["ids"][:, 0].tolist() == whole[6 * 64 :]
    np.testing.assert_array_equal(rest["numeric"], rows["numeric"][whole[6 * 64 :]])


@pytest.mark.slow
def test_a_run_goes_on_from_every_batch(tmp_path):
    write_tfrecords(tmp_path, SCHEMA, "train", [make_rows(700)], 3, None, "blocks", block_rows=9)
    how = {"batch_size": 32, "shuffle": 200, "seed": 3, "repeat": 2}
    data = read_tfrecords(tmp_path, "train", **how)
    batches = [features["ids"][:, 0].tolist() for features, _ in data.as_numpy_iterator()]
    for skip in range(len(batches) + 1):
        data = read_tfrecords(tmp_path, "train", skip_batches=skip, **how)
        rest = [features["ids"][:, 0].tolist() for features, _ in data.as_numpy_iterator()]
        assert rest == batches[skip:], skip


def test_damage_loses_its_block_and_is_counted_in_rows(tmp_path):
    rows = make_rows(100)
    split = write_tfrecords(tmp_path, SCHEMA, "train", [rows], 1, "GZIP", "blocks", block_rows=16)
    assert split.files == ("train-00000-of-00001.tfrecord",)  # the records are compressed
    path = tmp_path / split.files[0]
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match="16 of 100 rows are lost"):
        read_tfrecords(tmp_path, "train")
    ledger = Ledger()
    read = order(read_tfrecords(tmp_path, "train", max_lost=0.2, ledger=ledger))
    lost = sorted(set(range(100)) - set(read))
    assert (ledger.total_read, ledger.total_lost, ledger.exact) == (84, 16, True)
    assert lost == list(range(lost[0], lost[0] + 16)) and lost[0] % 16 == 0
    assert "damaged blocks of 16 rows skipped at byte" in ledger.report()
    (tmp_path / "manifest.json").unlink()  # then only the number of damaged places is known
    ledger = Ledger()
    assert order(read_tfrecords(tmp_path, "train", max_lost=0.2, ledger=ledger)) == read
    assert ledger.total_lost == 1 and not ledger.exact


def test_rows_of_another_schema_are_refused(tmp_path):
    write_tfrecords(tmp_path, SCHEMA, "train", [make_rows(50)], layout="blocks", block_rows=10)
    small = Schema("tiny", [Categorical("row", 20), *SCHEMA.categorical[1:]], SCHEMA.numeric)
    small.save(tmp_path)
    with pytest.raises(SchemaMismatchError, match="field 'row' has id 20, allowed"):
        read_tfrecords(tmp_path, "train")
    ledger = Ledger()
    rows = order(read_tfrecords(tmp_path, "train", max_lost=0.7, ledger=ledger))
    assert rows == list(range(20)) and ledger.total_lost == 30


def test_unchecked_files_raise_clear_errors(tmp_path):
    split = write_tfrecords(
        tmp_path, SCHEMA, "train", [make_rows(50)], layout="blocks", block_rows=10
    )
    path = tmp_path / split.files[0]
    content = path.read_bytes()
    for changed, words in (
        (b"\1" + content[1:], "a damaged header at byte 0"),
        (content[:-1], "a damaged header at byte "),
    ):
        path.write_bytes(changed)
        with pytest.raises(DataError, match=words):
            read_tfrecords(tmp_path, "train", verify=False)
    write_records(path, [b"an Example"])
    with pytest.raises(DataError, match="a record that is not a block of rows at byte 0"):
        read_tfrecords(tmp_path, "train", verify=False)


def test_block_sizes_and_arguments(tmp_path):
    long = BlockLayout(Schema("s", [Categorical("history", 9, length=100_000)]))
    assert (long.default_rows, long.most_rows) == (2, 41)
    assert BlockLayout(SCHEMA).default_rows == 1024
    for size in (0, 1.5, True, 10**9):
        with pytest.raises(DataError, match=r"block_rows=.*; use an integer from 1 to"):
            write_tfrecords(tmp_path, SCHEMA, "t", [make_rows(2)], layout="blocks", block_rows=size)
    with pytest.raises(DataError, match="block_rows=4 is for layout='blocks'"):
        write_tfrecords(tmp_path, SCHEMA, "t", [make_rows(2)], layout="packed", block_rows=4)


def test_a_folder_without_a_manifest_shows_its_layout(tmp_path):
    write_tfrecords(tmp_path, SCHEMA, "train", [make_rows(30)], layout="blocks")
    (tmp_path / "manifest.json").unlink()
    assert order(read_tfrecords(tmp_path, "train")) == list(range(30))


def test_shuffled_batches_hold_rows_of_many_places(tmp_path):
    write_tfrecords(tmp_path, SCHEMA, "train", [make_rows(4000)], 8, layout="blocks", block_rows=25)
    first = order(read_tfrecords(tmp_path, "train", shuffle=100, seed=1))[:400]
    assert len({row // 25 for row in first}) == 16  # of at least 16 blocks, whatever is asked
    assert len({row // 500 for row in first}) > 4

"""Undamaged records that do not fit the schema are skipped, up to a limit."""

import math
import os
import tempfile

import numpy as np
import pytest
import tensorflow as tf
from record_rows import (
    SCHEMA,
    WEIGHTED,
    make_rows,
    order,
    packed_examples,
    write_packed,
    write_records,
)

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
from zoo.data.record_file import walk

ONE = {"ids": [[5, 1, 2, -1]], "numeric": [[0.5, 0.5]], "label": [1.0], "weight": [1.0]}
LARGE = Schema("large", [Categorical("user", 2**31 - 1)])


def record(**changes) -> bytes:
    return packed_examples(**{**ONE, **changes})[0]


def other_kind() -> bytes:
    """A record whose ids are floats."""
    example = tf.train.Example.FromString(record())
    example.features.feature["ids"].float_list.value.extend([1.0] * 4)
    return example.SerializeToString()


def without(key: str) -> bytes:
    example = tf.train.Example.FromString(record())
    del example.features.feature[key]
    return example.SerializeToString()


def not_text() -> bytes:
    """A record that lacks its label, and has a feature whose name is no UTF-8 text."""
    return without("label").replace(b"numeric", b"\xff\xfe\x97eric")


MISFITS = {
    "garbage": (b"no example at all", ["tf.train.Example", "17 bytes"]),
    "not text": (not_text(), ["tf.train.Example"]),
    "empty": (b"", ["expected 4 values", "'ids'", "found 0"]),
    "short ids": (record(ids=[[1, 2, 3]]), ["4 values of type int64_list in 'ids', found 3"]),
    "long ids": (record(ids=[[1] * 5]), ["expected 4 values", "'ids', found 5"]),
    "other kind": (other_kind(), ["int64_list in 'ids'", "a float_list"]),
    "short numeric": (record(numeric=[[1.0]]), ["'numeric', found 1"]),
    "no label": (without("label"), ["expected 1 values", "'label'", "found 0"]),
    "large id": (record(ids=[[0, 300, 0, 0]]), ["'tags'", "id 300", "size 300"]),
    "negative id": (record(ids=[[-1, 0, 0, 0]]), ["'row'", "id -1", "0 to 99999"]),
    "id of 33 bits": (record(ids=[[2**32 + 7, 0, 0, 0]]), ["'row'", "id 4294967303"]),
    "id of 63 bits": (record(ids=[[2**63 - 1, 0, 0, 0]]), ["'row'", "id 9223372036854775807"]),
    "nan": (record(numeric=[[0.5, math.nan]]), ["column 'age' is nan"]),
    "infinite": (record(numeric=[[-math.inf, 0.5]]), ["column 'price' is -inf"]),
    "large label": (record(label=[1.5]), ["the label is 1.5", "0 to 1"]),
    "nan label": (record(label=[math.nan]), ["the label is nan"]),
    "no weight": (without("weight"), ["'weight'", "found 0"]),
    "negative weight": (record(weight=[-0.5]), ["the weight is -0.5", "0 or more"]),
    "nan weight": (record(weight=[math.nan]), ["the weight is nan"]),
}
WEIGHTY = Schema("weighty", SCHEMA.categorical, SCHEMA.numeric, weight="weight")


def spoilt_folder(folder, misfit: bytes, compression: str = ""):
    """Six rows, of which the fourth is replaced; gives the file and where the fourth stands."""
    rows = make_rows(6)
    write_packed(folder, WEIGHTY, "train", [rows], compression=compression)
    path = next(folder.glob("train-*"))
    records = packed_examples(*(rows[key] for key in ("ids", "numeric", "label", "weight")))
    records[3] = misfit
    write_records(path, records, compression)
    return path, sum(len(one) + 16 for one in records[:3])


@pytest.mark.parametrize("name", MISFITS)
def test_a_sound_record_that_does_not_fit_loses_itself(tmp_path, name):
    misfit, words = MISFITS[name]
    path, offset = spoilt_folder(tmp_path, misfit)
    with pytest.raises(SchemaMismatchError) as caught:  # one of six is more than 1 in 10,000
        read_tfrecords(tmp_path, "train")
    for word in [path.name, f"record at byte {offset}", "do not belong together", *words]:
        assert word in str(caught.value)
    ledger = Ledger()
    data = read_tfrecords(tmp_path, "train", ledger=ledger, max_lost=0.2)
    assert order(data) == [0, 1, 2, 4, 5]
    (account,) = ledger.files.values()
    assert (account.read, account.lost, account.exact) == (5, 1, True)
    (damage,) = account.damages
    assert damage.misfit and damage.offset == offset
    assert all(word in damage.reason for word in words)


@pytest.mark.parametrize("compression", ["", "GZIP"])
@pytest.mark.parametrize("manifest", [True, False])
def test_misfits_of_compressed_files_and_without_a_manifest(tmp_path, compression, manifest):
    _, offset = spoilt_folder(tmp_path, MISFITS["nan"][0], compression)
    if not manifest:
        (tmp_path / "manifest.json").unlink()
    with pytest.raises(SchemaMismatchError, match=f"record at byte {offset}: column 'age' is nan"):
        read_tfrecords(tmp_path, "train")
    ledger = Ledger()
    assert order(read_tfrecords(tmp_path, "train", ledger=ledger, max_lost=1.0)) == [0, 1, 2, 4, 5]
    assert (ledger.total_lost, ledger.exact) == (1, True)


def test_an_id_beyond_32_bits_is_not_taken_for_another(tmp_path):
    write_packed(tmp_path, LARGE, "train", [{"ids": [[7], [8]], "label": [0, 1]}])
    path = next(tmp_path.glob("train-*"))
    records = []
    for user in (7, 2**32 + 8):
        example = tf.train.Example()
        example.features.feature["ids"].int64_list.value.append(user)
        example.features.feature["label"].float_list.value.append(0.0)
        records.append(example.SerializeToString())
    write_records(path, records)
    assert order(read_tfrecords(tmp_path, "train", max_lost=0.5)) == [7]
    assert order(read_tfrecords(tmp_path, "train", verify=False)) == [7, 2**31 - 1]  # not 8


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("row", [], "expected 1 values of type int64_list in 'row', found 0"),
        ("row", [100_000], "id 100000"),
        ("tags", [1, 2, 3, 4], "expected up to 3 values of type int64_list in 'tags', found 4"),
        ("tags", [1, 300], "id 300"),
        ("price", [math.nan], "column 'price' is nan"),
        ("clicked", [2.0], "the label is 2.0"),
        ("cost", [-1.0], "the weight is -1.0"),
        ("group_id", [], "'group_id', found 0"),
    ],
)
def test_misfits_with_a_feature_per_column(tmp_path, name, value, words):
    write_tfrecords(tmp_path, WEIGHTED, "train", [make_rows(20)], layout="columns")
    path = next(tmp_path.glob("train-*"))
    records = list(tf.data.TFRecordDataset(str(path)).as_numpy_iterator())
    example = tf.train.Example.FromString(records[7])
    feature = example.features.feature[name]
    feature.Clear()
    integers = name in ("row", "tags", "group_id")
    (feature.int64_list if integers else feature.float_list).value.extend(value)
    records[7] = example.SerializeToString()
    write_records(path, records)
    ledger = Ledger()
    data = read_tfrecords(tmp_path, "train", ledger=ledger, max_lost=0.1)
    assert order(data) == [row for row in range(20) if row != 7]
    (account,) = ledger.files.values()
    assert words in account.damages[0].reason


def test_many_misfits_among_many_records_are_found_natively(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    count = 20_000
    schema = Schema("wide", [], [Numeric("x")])
    numbers = np.arange(count, dtype=np.float32)[:, None]
    split = write_packed(tmp_path, schema, "train", [{"numeric": numbers, "label": [0] * count}])
    path = tmp_path / split.files[0]
    records = list(tf.data.TFRecordDataset(str(path)).as_numpy_iterator())
    for row in (5, 6, 7777, 19_999):
        records[row] = records[row].replace(np.float32(row).tobytes(), np.float32(np.nan).tobytes())
    records[4444] = b"\x97"
    write_records(path, records)
    ledger = Ledger()
    data = read_tfrecords(tmp_path, "train", batch_size=count, ledger=ledger, max_lost=1e-3)
    kept = np.delete(np.arange(count), [5, 6, 4444, 7777, 19_999])
    np.testing.assert_array_equal(next(iter(data))[0]["numeric"][:, 0], kept)
    (account,) = ledger.files.values()
    size = len(records[0]) + 16
    assert [damage.offset for damage in account.damages[:2]] == [5 * size, 6 * size]
    assert (account.lost, len(account.damages)) == (5, 5)


def test_damage_and_misfits_are_counted_together(tmp_path):
    path, offset = spoilt_folder(tmp_path, MISFITS["nan"][0])
    content = bytearray(path.read_bytes())
    content[20] ^= 1  # in the first record
    path.write_bytes(content)
    ledger = Ledger()
    assert order(read_tfrecords(tmp_path, "train", ledger=ledger, max_lost=0.4)) == [1, 2, 4, 5]
    (account,) = ledger.files.values()
    assert [(damage.offset, damage.misfit) for damage in account.damages] == [
        (0, False),
        (offset, True),
    ]
    with pytest.raises(DataError, match=r"2 of 6 records are lost, a share of 0.33"):
        read_tfrecords(tmp_path, "train", max_lost=0.2)


def test_a_file_that_changes_is_checked_again(tmp_path):
    """Within a second, and with its size as before."""
    write_packed(tmp_path, SCHEMA, "train", [make_rows(6)])
    path = next(tmp_path.glob("train-*"))
    content = path.read_bytes()
    offsets = [offset for offset, _ in walk(content)]
    for row in range(3):
        assert order(read_tfrecords(tmp_path, "train")) == list(range(6))
        spoilt = bytearray(content)
        spoilt[offsets[row] + 20] ^= 1
        path.write_bytes(spoilt)
        os.utime(path, ns=(0, row + 1))
        left = [other for other in range(6) if other != row]
        assert order(read_tfrecords(tmp_path, "train", max_lost=0.2)) == left
        path.write_bytes(content)
        os.utime(path, ns=(0, row + 100))

"""Damaged record files: the rest is read, and every lost record is counted and located."""

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import example, given
from hypothesis import strategies as st
from properties import examples
from record_rows import write_packed

from zoo import Categorical, DataError, Ledger, Schema, read_tfrecords
from zoo.data.ledger import Damage
from zoo.data.record_file import walk
from zoo.data.record_frame import masked_crc32c

SCHEMA = Schema("tiny", [Categorical("row", 1_000_000), Categorical("other", 1_000_000)])
COUNT = 300


def write(folder: Path, compression: str = "", manifest: bool = True) -> Path:
    """Writes rows 0 to 299 to a single file; the id of `row` is the row's number."""
    rows = np.arange(COUNT)
    ids = np.stack([rows, 999_999 - rows * 7], axis=1)
    batch = {"ids": ids, "label": rows % 2}
    split = write_packed(folder, SCHEMA, "train", [batch], compression=compression)
    if not manifest:
        (folder / "manifest.json").unlink()
    return folder / split.files[0]


def frames(path: Path) -> list[tuple[int, int]]:
    """Offset and length of each frame, by the lengths alone; an account independent of `walk`."""
    content, position, found = path.read_bytes(), 0, []
    while position < len(content):
        length = struct.unpack_from("<Q", content, position)[0] + 16
        found.append((position, length))
        position += length
    return found


def flip(path: Path, offset: int) -> None:
    content = bytearray(path.read_bytes())
    content[offset] ^= 0xFF
    path.write_bytes(content)


def read(folder: Path) -> tuple[list[int], Ledger]:
    ledger = Ledger()
    data = read_tfrecords(folder, "train", batch_size=64, ledger=ledger, max_lost=1.0)
    rows = [int(row) for features, _ in data for row in features["ids"][:, 0]]
    assert ledger.total_read == len(rows)
    return rows, ledger


def damages(ledger: Ledger) -> list[Damage]:
    (account,) = ledger.files.values()
    return account.damages


def test_checksum_is_that_of_tensorflow(tmp_path):
    path = tmp_path / "one"
    with tf.io.TFRecordWriter(str(path)) as writer:
        writer.write(b"some data")
    content = path.read_bytes()
    assert struct.unpack("<I", content[-4:])[0] == masked_crc32c(b"some data")
    assert struct.unpack("<I", content[8:12])[0] == masked_crc32c(content[:8])


@pytest.mark.parametrize("manifest", [True, False])
def test_a_flipped_data_byte_loses_one_record(tmp_path, manifest):
    path = write(tmp_path, manifest=manifest)
    offset, _ = frames(path)[100]
    flip(path, offset + 20)
    with pytest.raises(tf.errors.DataLossError):  # what the reader alone does
        list(tf.data.TFRecordDataset(str(path)))
    rows, ledger = read(tmp_path)
    assert rows == [row for row in range(COUNT) if row != 100]
    assert (ledger.total_lost, ledger.exact) == (1, True)
    assert damages(ledger) == [Damage(offset, "data checksum", True)]
    assert ledger.report().splitlines() == [
        f"{path.name}: 1 damaged record skipped at byte {offset} (data checksum), 299 rows read",
        "1 files: 299 rows read, 1 lost",
    ]


@pytest.mark.parametrize("place", [0, 3, 7, 8, 11])  # in the length, or in its checksum
def test_a_flipped_length_byte_loses_one_record(tmp_path, place):
    path = write(tmp_path)
    offset, _ = frames(path)[100]
    flip(path, offset + place)
    rows, ledger = read(tmp_path)
    assert rows == [row for row in range(COUNT) if row != 100]
    assert ledger.total_lost == 1
    assert [(d.offset, d.reason) for d in damages(ledger)] == [(offset, "length checksum")]


def test_first_and_last_record_can_be_the_damaged_ones(tmp_path):
    path = write(tmp_path)
    flip(path, 0)
    flip(path, frames(write(tmp_path / "sound"))[-1][0] + 15)
    rows, ledger = read(tmp_path)
    assert rows == list(range(1, COUNT - 1))
    assert ledger.total_lost == 2 and len(damages(ledger)) == 2


@pytest.mark.parametrize("manifest", [True, False])
@pytest.mark.parametrize("keep", [1, 11, 12, 20])  # bytes left of record 250
def test_a_truncated_file(tmp_path, manifest, keep):
    path = write(tmp_path, manifest=manifest)
    offset, _ = frames(path)[250]
    path.write_bytes(path.read_bytes()[: offset + keep])
    rows, ledger = read(tmp_path)
    assert rows == list(range(250))
    assert damages(ledger) == [Damage(offset, "truncated record", False)]
    # Only the manifest knows how many rows followed.
    assert (ledger.total_lost, ledger.exact) == ((50, True) if manifest else (1, False))
    assert ("at least" in ledger.report()) != manifest


def test_a_file_cut_between_two_records_is_noticed_by_the_manifest(tmp_path):
    path = write(tmp_path)
    offset, _ = frames(path)[250]
    path.write_bytes(path.read_bytes()[:offset])
    rows, ledger = read(tmp_path)
    assert rows == list(range(250))
    assert ledger.total_lost == 50 and damages(ledger)[0].reason == "file ends early"


@pytest.mark.parametrize("garbage", [b"\0" * 5000, bytes(range(256)) * 20, b"x"])
def test_garbage_written_over_the_middle(tmp_path, garbage):
    path = write(tmp_path)
    content, (offset, _) = path.read_bytes(), frames(path)[100]
    path.write_bytes(content[: offset + 2] + garbage + content[offset + 2 + len(garbage) :])
    whole = [
        row
        for row, (start, length) in enumerate(frames(write(tmp_path / "sound")))
        if start + length <= offset + 2 or start >= offset + 2 + len(garbage)
    ]
    rows, ledger = read(tmp_path)
    assert rows == whole and len(rows) < COUNT
    assert ledger.total_lost == COUNT - len(whole)
    assert damages(ledger)[0].offset == offset


def test_bytes_added_or_missing_do_not_shift_the_rest(tmp_path):
    path = write(tmp_path)
    content, places = path.read_bytes(), frames(path)
    between, within = places[50][0], places[100][0] + 20
    added = content[:between] + b"garbage between" + content[between:within] + b"garbage within"
    missing = places[200][0] + 15
    path.write_bytes(added + content[within:missing] + content[missing + 5 :])
    rows, ledger = read(tmp_path)
    assert rows == [row for row in range(COUNT) if row not in (100, 200)]
    assert ledger.total_lost == 2 and len(damages(ledger)) == 3


@pytest.mark.parametrize("manifest", [True, False])
def test_a_truncated_gzip_file_loses_only_what_follows(tmp_path, manifest):
    path = write(tmp_path, "GZIP", manifest)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    # Depending on the cut, TensorFlow's own reader takes such a file for a shorter one in silence.
    rows, ledger = read(tmp_path)
    assert rows == list(range(len(rows))) and 100 < len(rows) < COUNT
    assert damages(ledger)[-1].reason == "truncated gzip stream"
    assert ledger.exact == manifest
    assert ledger.total_lost == COUNT - len(rows) if manifest else ledger.total_lost >= 1


def test_a_corrupt_gzip_file_gives_what_precedes_the_damage(tmp_path):
    path = write(tmp_path, "GZIP")
    flip(path, path.stat().st_size // 2)
    rows, ledger = read(tmp_path)
    # What is read is sound: every record has passed its own checksum.
    assert 50 < len(rows) < COUNT and set(rows[:50]) == set(range(50))
    assert ledger.total_lost == COUNT - len(rows)


def test_a_damaged_record_within_a_sound_gzip_stream(tmp_path):
    path = write(tmp_path, "GZIP")
    plain = write(tmp_path / "plain")
    offset, _ = frames(plain)[100]
    flip(plain, offset + 20)
    path.write_bytes(gzip.compress(plain.read_bytes()[:4000]) + gzip.compress(
        plain.read_bytes()[4000:]
    ))  # fmt: skip
    rows, ledger = read(tmp_path)
    assert rows == [row for row in range(COUNT) if row != 100]
    assert damages(ledger) == [Damage(offset, "data checksum", True)]


def test_only_the_damaged_shard_is_replaced_and_each_is_accounted(tmp_path):
    rows = np.arange(400)
    batch = {"ids": np.stack([rows, rows], axis=1), "label": rows % 2}
    split = write_packed(tmp_path, SCHEMA, "train", [batch], shards=4)
    offset, _ = frames(tmp_path / split.files[1])[5]
    flip(tmp_path / split.files[1], offset + 13)
    before = {path.name: path.read_bytes() for path in tmp_path.glob("train-*")}
    found, ledger = read(tmp_path)
    assert sorted(found) == [row for row in range(400) if row != 100 + 5]
    assert [account.lost for account in ledger.files.values()] == [0, 1, 0, 0]
    assert {path.name: path.read_bytes() for path in tmp_path.glob("train-*")} == before


def test_nothing_readable_and_too_many_rows_are_errors(tmp_path):
    path = write(tmp_path)
    content = path.read_bytes()
    path.write_bytes(content + content)
    with pytest.raises(DataError, match="holds 600 rows, its manifest says 300"):
        read_tfrecords(tmp_path, "train")
    path.write_bytes(b"not a record file at all")
    with pytest.raises(DataError, match="no readable record"):
        read_tfrecords(tmp_path, "train")


def test_without_the_check_damage_is_an_error_not_a_silent_loss(tmp_path):
    path = write(tmp_path)
    flip(path, frames(path)[100][0] + 20)
    with pytest.raises(tf.errors.DataLossError):
        list(read_tfrecords(tmp_path, "train", verify=False))


@examples(150)
@given(
    lengths=st.lists(st.integers(0, 40), min_size=1, max_size=12),
    change=st.tuples(st.floats(0, 0.999), st.integers(1, 255)),
)
@example(lengths=[8, 0], change=(0.0, 1))  # data and checksum that look like a header
def test_one_changed_byte_never_costs_more_than_its_record(lengths, change):
    content, starts = b"", []
    for number, length in enumerate(lengths):
        data, head = bytes([number]) * length, struct.pack("<Q", length)
        starts.append((len(content), length + 16))
        content += head + struct.pack("<I", masked_crc32c(head))
        content += data + struct.pack("<I", masked_crc32c(data))
    assert list(walk(content)) == starts
    offset = int(change[0] * len(content))
    spoilt = bytearray(content)
    spoilt[offset] ^= change[1]
    hit = next(i for i, (start, length) in enumerate(starts) if start + length > offset)
    found = list(walk(bytes(spoilt)))
    assert [item for item in found if not isinstance(item, Damage)] == (
        starts[:hit] + starts[hit + 1 :]
    )
    assert [item.offset for item in found if isinstance(item, Damage)] == [starts[hit][0]]

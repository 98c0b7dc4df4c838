"""Wrong lengths, records that are too large, and files of other formats."""

import gzip
import json
import shutil
import struct
import tempfile

import numpy as np
import pytest
import tensorflow as tf
from record_rows import SCHEMA, make_rows, order, write_packed, write_records

from zoo import DataError, Ledger, SchemaMismatchError, read_tfrecords
from zoo.data import record_survey as module
from zoo.data.record_frame import header, masked_crc32c
from zoo.data.record_survey import survey

ROWS = 20


def frame(data: bytes) -> bytes:
    return header(len(data)) + data + struct.pack("<I", masked_crc32c(data))


@pytest.fixture(autouse=True)
def own_copies(tmp_path_factory, monkeypatch):
    """Copies of good records go to a folder of the test."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path_factory.mktemp("copies")))


def written(folder, compression="", shards=1):
    """A data folder; gives its first file and the content of it, decompressed."""
    split = write_packed(folder, SCHEMA, "train", [make_rows(ROWS)], shards, compression)
    path = folder / split.files[0]
    content = path.read_bytes()
    return path, gzip.decompress(content) if compression else content


def put(path, content):
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


def read(folder, **options):
    ledger = Ledger()
    rows = order(read_tfrecords(folder, "train", ledger=ledger, max_lost=1.0, **options))
    (account,) = ledger.files.values()
    return rows, account


@pytest.mark.parametrize("manifest", [True, False])
@pytest.mark.parametrize("compression", ["", "GZIP"])
@pytest.mark.parametrize("length", [1 << 31, 1 << 36, 1 << 62, (1 << 64) - 1, (1 << 64) - 16])
def test_a_length_beyond_the_file_is_counted_as_damage(tmp_path, length, compression, manifest):
    path, content = written(tmp_path, compression)
    if not manifest:
        (tmp_path / "manifest.json").unlink()
    put(path, content + header(length) + b"xxxx")
    rows, account = read(tmp_path)
    assert rows == list(range(ROWS))
    (damage,) = account.damages
    assert (damage.offset, damage.reason) == (len(content), "truncated record")
    assert account.lost == (0 if manifest else 1)  # all rows that were promised are there
    if not compression:
        with pytest.raises(DataError, match=rf"whose length is {length:,} bytes.*verify=True"):
            read_tfrecords(tmp_path, "train", verify=False)


def test_a_length_beyond_the_file_in_the_middle(tmp_path):
    path, content = written(tmp_path)
    size = len(frame(next(iter(tf.data.TFRecordDataset(str(path)))).numpy()))
    put(path, content[:size] + header(1 << 36) + content[size + 12 :])
    rows, account = read(tmp_path)
    assert (rows, account.lost) == ([0, *range(2, ROWS)], 1)


@pytest.mark.parametrize("compression", ["", "GZIP"])
def test_a_sound_record_that_is_too_large_loses_itself(tmp_path, compression):
    path, content = written(tmp_path, compression)
    (size,) = struct.unpack_from("<Q", content)
    large = b"\x0a\x03abc" * 60_000  # 300,000 bytes; a batch of such would take gigabytes
    put(path, frame(large) + content[size + 16 :])
    with pytest.raises(SchemaMismatchError, match=r"300,000 bytes, allowed are 262,144"):
        read_tfrecords(tmp_path, "train")
    rows, account = read(tmp_path)
    assert rows == list(range(1, ROWS))
    assert (account.lost, account.exact, account.damages[0].misfit) == (1, True, True)
    if not compression:
        with pytest.raises(DataError, match=r"300,000 bytes, allowed are 262,144"):
            read_tfrecords(tmp_path, "train", verify=False)


def test_records_with_other_features_are_read(tmp_path):
    """Of up to 256 KiB: other programs put more into a record than this one reads."""
    path, _ = written(tmp_path)
    (tmp_path / "manifest.json").unlink()
    records = []
    for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
        example = tf.train.Example.FromString(record)
        example.features.feature["text"].bytes_list.value.append(b"x" * 100_000)
        records.append(example.SerializeToString())
    write_records(path, records)
    assert read(tmp_path) == (list(range(ROWS)), read(tmp_path)[1])
    assert order(read_tfrecords(tmp_path, "train", verify=False)) == list(range(ROWS))


def test_a_compressed_file_that_fills_the_disk_is_refused(tmp_path, monkeypatch):
    path, content = written(tmp_path, "GZIP")
    put(path, content + bytes(3_000_000))
    monkeypatch.setattr(module, "_SMALL", 1_000_000)
    with pytest.raises(DataError, match=r"more than [\d,]+ bytes after decompression"):
        read_tfrecords(tmp_path, "train", max_lost=1.0)


def test_a_survey_in_small_pieces_says_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_CHUNK", 7)
    for compression in ("", "GZIP"):
        path, content = written(tmp_path / (compression or "plain"), compression)
        found = survey(str(path), compression)
        lengths, at = [], 0
        while at < len(content):
            lengths.append(struct.unpack_from("<Q", content, at)[0])
            at += lengths[-1] + 16
        assert (found.size, found.longest, found.whole) == (
            path.stat().st_size,
            max(lengths),
            True,
        )
        for changed in (content[:-1], content + b"x", content + header(5), content[3:]):
            put(path, changed)
            assert not survey(str(path), compression).whole
    put(path, content)
    path.write_bytes(path.read_bytes() + gzip.compress(frame(b"a" * 1000)))  # a second stream
    found = survey(str(path), "GZIP")
    assert (found.longest, found.whole) == (1000, True)
    path.write_bytes(path.read_bytes()[:-9])
    assert not survey(str(path), "GZIP").whole


@pytest.mark.parametrize("shards", [2, 3])  # of equal and of unequal numbers of rows
@pytest.mark.parametrize("compression", ["", "GZIP"])
def test_a_shard_in_the_place_of_another_is_named(tmp_path, compression, shards):
    first, _ = written(tmp_path, compression, shards)
    second = next(path for path in tmp_path.glob("train-00001-*"))
    shutil.copy(second, first)
    with pytest.raises(DataError, match=rf"{first.name} is a copy of {second.name}"):
        read_tfrecords(tmp_path, "train", max_lost=1.0)


def test_a_shard_of_another_split_is_named(tmp_path):
    path, _ = written(tmp_path)
    valid = write_packed(tmp_path, SCHEMA, "valid", [make_rows(7)]).files[0]
    shutil.copy(tmp_path / valid, path)
    with pytest.raises(DataError, match=rf"{path.name} is a copy of {valid}"):
        read_tfrecords(tmp_path, "train", max_lost=1.0)


@pytest.mark.parametrize("compression", ["", "GZIP"])
def test_sound_records_that_were_not_written_are_refused(tmp_path, compression):
    path, _ = written(tmp_path / "data", compression)
    write_packed(tmp_path / "o", SCHEMA, "train", [make_rows(ROWS, 1)], compression=compression)
    shutil.copy(tmp_path / "o" / path.name, path)
    with pytest.raises(DataError, match=rf"{path.name} has the SHA-256 .*20 rows are intact"):
        read_tfrecords(tmp_path / "data", "train", max_lost=1.0)


@pytest.mark.parametrize(
    "name", ["train-00002-of-00003.tfrecord", "train-00000-of-00001.tfrecord.gz"]
)
@pytest.mark.parametrize("manifest", [True, False])
def test_a_file_that_belongs_to_no_split_is_named(tmp_path, name, manifest):
    path, _ = written(tmp_path, shards=2)
    if not manifest:
        (tmp_path / "manifest.json").unlink()
    shutil.copy(path, tmp_path / name)
    words = rf"{name} looks like a file of split 'train'.*remove it"
    if not manifest:
        words = r"files of several preparations of split 'train'.*00002.*remove the old"
    with pytest.raises(DataError, match=words):
        read_tfrecords(tmp_path, "train")


def test_what_is_checked_once_is_remembered(tmp_path, monkeypatch):
    path, _ = written(tmp_path)
    assert read(tmp_path)[0] == list(range(ROWS))
    from zoo.data import record_check

    def again(*arguments, **options):
        raise AssertionError("read a second time")

    monkeypatch.setattr(record_check, "survey", again)
    monkeypatch.setattr(record_check, "followed_length", again)
    assert read(tmp_path)[0] == list(range(ROWS))
    assert order(read_tfrecords(tmp_path, "train", verify=False)) == list(range(ROWS))
    path.touch()
    with pytest.raises(AssertionError, match="second time"):
        read(tmp_path)


def test_a_manifest_of_version_1_has_no_checksums_to_compare(tmp_path):
    path, _ = written(tmp_path)
    manifest = tmp_path / "manifest.json"
    content = json.loads(manifest.read_text())
    content["version"] = 1
    content["splits"]["train"]["files"] = [{"file": path.name, "rows": ROWS}]
    manifest.write_text(json.dumps(content))
    other = write_packed(tmp_path / "o", SCHEMA, "train", [make_rows(ROWS, 1)]).files[0]
    shutil.copy(tmp_path / "o" / other, path)
    np.testing.assert_array_equal(read(tmp_path)[0], np.arange(ROWS))

"""Shards: contiguous, independent of the batches, and continued after an interruption."""

import itertools

import pytest
import tensorflow as tf
from record_rows import SCHEMA, cut, make_rows, order

from zoo import DataError, read_tfrecords
from zoo.data.manifest import save_split
from zoo.data.shard_writer import shard_bounds, split_of, write_shards


def write(folder, batches, bounds, **options):
    return list(write_shards(folder, SCHEMA, "train", batches, bounds, **options))


@pytest.mark.parametrize(("rows", "shards"), [(10, 1), (10, 3), (2, 5), (0, 2), (4096, 7)])
def test_bounds_are_contiguous_and_even(rows, shards):
    bounds = shard_bounds(rows, shards)
    assert len(bounds) == shards
    assert [bounds[0][0], bounds[-1][1]] == [0, rows]
    assert all(a[1] == b[0] for a, b in itertools.pairwise(bounds))
    sizes = [stop - start for start, stop in bounds]
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize(("rows", "shards"), [(-1, 2), (5, 0), (5, 1.5), (True, 1)])
def test_bounds_of_nonsense_are_refused(rows, shards):
    with pytest.raises(DataError, match="use an integer of at least"):
        shard_bounds(rows, shards)


@pytest.mark.parametrize("compression", [None, "GZIP"])
@pytest.mark.parametrize("layout", ["packed", "columns", "blocks"])
def test_the_same_bytes_whatever_the_batches(tmp_path, compression, layout):
    rows, bounds = make_rows(10_000), shard_bounds(10_000, 3)
    options = {"layout": layout, "compression": compression}
    whole = write(tmp_path / "whole", [rows], bounds, **options)
    parts = write(tmp_path / "parts", iter(cut(rows, 777)), bounds, **options)
    # Compressed bytes depend on nothing but the content; sums of labels are of whole numbers.
    assert whole == parts
    for shard in whole:
        contents = [(tmp_path / name / shard.file).read_bytes() for name in ("whole", "parts")]
        assert contents[0] == contents[1] and len(contents[0]) == shard.bytes
    save_split(tmp_path / "whole", "train", split_of(whole, layout, compression))
    SCHEMA.save(tmp_path / "whole")
    assert order(read_tfrecords(tmp_path / "whole", "train")) == list(range(10_000))


def test_each_shard_is_there_before_the_next_and_writing_can_go_on(tmp_path):
    rows, bounds = make_rows(100), shard_bounds(100, 4)
    expected = write(tmp_path / "whole", [rows], bounds)

    def broken():
        yield from cut({key: value[:60] for key, value in rows.items()}, 7)
        raise OSError("the source is gone")

    done = []
    with pytest.raises(OSError, match="gone"):
        for shard in write_shards(tmp_path, SCHEMA, "train", broken(), bounds):
            done.append(shard)
            names = [f"train-{index:05d}-of-00004.tfrecord" for index in range(len(done))]
            files = [path for path in tmp_path.iterdir() if path.is_file()]
            assert sorted(path.name for path in files) == names
    assert done == expected[:2]
    assert not list(tmp_path.glob(".*"))
    left = {key: value[bounds[2][0] :] for key, value in rows.items()}
    assert write(tmp_path, cut(left, 9), bounds, first=2) == expected[2:]
    assert write(tmp_path, [], bounds, first=4) == []


def test_more_shards_than_rows_and_other_numbers_of_rows(tmp_path):
    shards = write(tmp_path, [make_rows(2)], shard_bounds(2, 3))
    assert [shard.rows for shard in shards] == [0, 1, 1]
    assert (tmp_path / shards[0].file).read_bytes() == b""
    for compression in ("", "GZIP"):
        name = write(tmp_path / "none", [], ((0, 0),), compression=compression)[0].file
        data = tf.data.TFRecordDataset(str(tmp_path / "none" / name), compression)
        assert list(data) == []
    with pytest.raises(DataError, match="has 2 rows, but 3 were announced"):
        write(tmp_path / "few", [make_rows(2)], shard_bounds(3, 2))
    with pytest.raises(DataError, match="more rows than the 2 announced"):
        write(tmp_path / "many", [make_rows(3)], shard_bounds(2, 1))
    assert not list((tmp_path / "many").iterdir())
    with pytest.raises(DataError, match="first=4; use a shard from 0 to 3"):
        write(tmp_path, [], shard_bounds(2, 3), first=4)

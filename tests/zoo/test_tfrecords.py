"""Record files: what is written is read, in a known order, and what is wrong is named."""

import json

import numpy as np
import pytest
import tensorflow as tf

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

SCHEMA = Schema(
    "tiny",
    [Categorical("row", 100_000), Categorical("tags", 300, length=3)],
    [Numeric("price"), Numeric("age")],
)


def serialize_examples(ids, numeric, label) -> list[bytes]:
    """Packed records by protobuf's own writer; the arrays need not fit the schema."""
    records = []
    for row in range(len(label)):
        example = tf.train.Example()
        example.features.feature["ids"].int64_list.value.extend(ids[row])
        example.features.feature["numeric"].float_list.value.extend(numeric[row])
        example.features.feature["label"].float_list.value.append(label[row])
        records.append(example.SerializeToString())
    return records


def make_rows(count: int, seed: int = 0) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    tags = random.integers(-1, 300, (count, 3))
    return {
        "ids": np.concatenate([np.arange(count)[:, None], tags], axis=1),
        "numeric": random.normal(size=(count, 2)).astype(np.float32),
        "label": (random.random(count) < 0.3).astype(np.float32),
    }


def collect(data: tf.data.Dataset) -> dict[str, np.ndarray]:
    batches = [(features, label) for features, label in data.as_numpy_iterator()]
    result = {key: np.concatenate([f[key] for f, _ in batches]) for key in batches[0][0]}
    return {**result, "label": np.concatenate([label for _, label in batches])[:, 0]}


def order(data: tf.data.Dataset) -> list[int]:
    return collect(data)["ids"][:, 0].tolist()


@pytest.mark.parametrize("shards", [1, 3])
@pytest.mark.parametrize("compression", [None, "GZIP"])
def test_round_trip_in_the_order_of_writing(tmp_path, shards, compression):
    rows = make_rows(1000)
    parts = [{key: value[a : a + 300] for key, value in rows.items()} for a in range(0, 1000, 300)]
    split = write_tfrecords(tmp_path, SCHEMA, "train", parts, shards, compression)
    ending = ".gz" if compression else ""
    assert split.files[-1] == f"train-{shards - 1:05d}-of-{shards:05d}.tfrecord{ending}"
    ledger = Ledger()
    data = read_tfrecords(tmp_path, "train", SCHEMA, batch_size=128, ledger=ledger)
    assert data.element_spec[0]["ids"].dtype == tf.int32
    assert data.element_spec[1].dtype == tf.float32
    read = collect(data)
    for key, value in rows.items():
        np.testing.assert_array_equal(read[key], value)
    assert (ledger.total_read, ledger.total_lost, len(ledger.files)) == (1000, 0, shards)
    manifest = json.loads((tmp_path / "manifest.json").read_text())["splits"]["train"]
    assert manifest["rows"] == 1000 == sum(file["rows"] for file in manifest["files"])
    assert manifest["positives"] == int(rows["label"].sum())
    assert not list(tmp_path.glob(".*"))  # no temporary file is left


def test_shapes_and_columns_that_are_absent(tmp_path):
    ids_only = Schema("a", [Categorical("u", 5)])
    write_tfrecords(tmp_path / "a", ids_only, "t", [{"ids": [[1], [4]], "label": [0, 1]}])
    features, label = next(iter(read_tfrecords(tmp_path / "a", "t")))
    assert set(features) == {"ids"} and features["ids"].shape == (2, 1) and label.shape == (2, 1)
    numbers_only = Schema("b", [], [Numeric("x")])
    write_tfrecords(tmp_path / "b", numbers_only, "t", [{"numeric": [[1.5]], "label": [[1]]}])
    features, label = next(iter(read_tfrecords(tmp_path / "b", "t")))
    assert set(features) == {"numeric"} and features["numeric"].numpy().tolist() == [[1.5]]


def test_records_are_plain_examples(tmp_path):
    rows = make_rows(50)
    rows["ids"][0] = [99_999, -1, 127, 128]
    write_tfrecords(tmp_path, SCHEMA, "t", [rows])
    path = tmp_path / "t-00000-of-00001.tfrecord"
    records = list(tf.data.TFRecordDataset(str(path)).as_numpy_iterator())
    assert len(records) == 50
    for index, record in enumerate(records):
        feature = tf.train.Example.FromString(record).features.feature
        assert list(feature["ids"].int64_list.value) == rows["ids"][index].tolist()
        assert list(feature["numeric"].float_list.value) == rows["numeric"][index].tolist()
        assert list(feature["label"].float_list.value) == [rows["label"][index]]


@pytest.mark.parametrize("shards", [1, 3])
def test_a_seed_fixes_the_order_of_every_epoch(tmp_path, shards):
    write_tfrecords(tmp_path, SCHEMA, "train", [make_rows(2000)], shards)

    def epochs(seed: int) -> list[list[int]]:
        data = read_tfrecords(tmp_path, "train", batch_size=100, shuffle=500, seed=seed)
        return [order(data) for _ in range(3)]

    first, again, other = epochs(7), epochs(7), epochs(8)
    assert first == again
    assert first[0] != first[1] != first[2] and first[0] != other[0]
    for epoch in (*first, *other):
        assert sorted(epoch) == list(range(2000))


def test_repeat_reshuffles_and_drop_remainder_drops(tmp_path):
    write_tfrecords(tmp_path, SCHEMA, "train", [make_rows(250)])
    twice = order(read_tfrecords(tmp_path, "train", batch_size=100, shuffle=True, seed=1, repeat=2))
    assert len(twice) == 500 and twice[:250] != twice[250:]
    assert sorted(twice[:250]) == sorted(twice[250:])
    short = read_tfrecords(tmp_path, "train", batch_size=100, drop_remainder=True)
    assert [label.shape for _, label in short] == [(100, 1), (100, 1)]
    cached = read_tfrecords(tmp_path, "train", batch_size=100, cache=True)
    assert order(cached) == order(cached) == list(range(250))


@pytest.mark.parametrize(("files", "workers", "policy"), [(1, 0, 2), (2, 2, 0), (2, 3, 2)])
def test_more_workers_than_files_share_the_rows(tmp_path, monkeypatch, files, workers, policy):
    hosts = [f"localhost:{9000 + worker}" for worker in range(workers)]
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": {"worker": hosts}} if hosts else {}))
    write_tfrecords(tmp_path, SCHEMA, "train", [make_rows(200)], files)
    options = read_tfrecords(tmp_path, "train").options()
    # TensorFlow refuses to deal fewer files than workers: 0 is AUTO (by file), 2 is DATA.
    assert options.experimental_distribute.auto_shard_policy.value == policy
    orders = [order(read_tfrecords(tmp_path, "train", shuffle=True)) for _ in range(2)]
    # Two workers that shuffle apart would both train on some rows and neither on others.
    assert (orders[0] == orders[1]) == (workers > 1)


def test_writing_a_split_again_removes_its_old_files(tmp_path):
    write_tfrecords(tmp_path, SCHEMA, "train", [make_rows(300)], shards=3)
    write_tfrecords(tmp_path, SCHEMA, "valid", [make_rows(10)])
    write_tfrecords(tmp_path, SCHEMA, "train", [make_rows(200)], shards=2)
    assert len(list(tmp_path.glob("train-*"))) == 2
    assert order(read_tfrecords(tmp_path, "train")) == list(range(200))
    assert order(read_tfrecords(tmp_path, "valid")) == list(range(10))


def spoil(key: str, value) -> dict[str, np.ndarray]:
    rows = make_rows(20)
    rows[key] = value(rows[key]) if callable(value) else value
    return rows


@pytest.mark.parametrize(
    ("batch", "words"),
    [
        (spoil("ids", lambda ids: np.add(ids, [[0, 290, 0, 0]])), ["'tags'", "size 300"]),
        (spoil("ids", lambda ids: ids - [[1, 0, 0, 0]]), ["row 0", "'row'", "id -1", "0 to 99999"]),
        (spoil("ids", lambda ids: ids[:, :3]), ["(20, 3)", "(20, 4)"]),
        (spoil("ids", lambda ids: ids.astype(float)), ["float64", "integer"]),
        (spoil("numeric", np.full((20, 2), np.nan)), ["'price'", "nan"]),
        (spoil("label", np.full(20, 2.0)), ["'label'", "0 to 1"]),
        (spoil("label", np.full(20, np.nan)), ["'label'"]),
        ({"ids": make_rows(2)["ids"], "label": np.zeros(2)}, ["'numeric'"]),
    ],
)
def test_bad_arrays_are_named_and_nothing_is_written(tmp_path, batch, words):
    with pytest.raises(DataError) as caught:
        write_tfrecords(tmp_path, SCHEMA, "train", [batch])
    for word in words:
        assert word in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["schema.json"]


def test_no_row_and_bad_arguments_are_refused(tmp_path):
    with pytest.raises(DataError, match="no row"):
        write_tfrecords(tmp_path, SCHEMA, "train", [])
    with pytest.raises(DataError, match="shards=0"):
        write_tfrecords(tmp_path, SCHEMA, "train", [make_rows(2)], shards=0)
    with pytest.raises(DataError, match="'ZIP'"):
        write_tfrecords(tmp_path, SCHEMA, "train", [make_rows(2)], compression="ZIP")
    with pytest.raises(DataError, match="batch_size=0"):
        read_tfrecords(tmp_path, "train", batch_size=0)


def test_missing_data_says_what_to_run(tmp_path):
    for folder in (tmp_path / "absent", tmp_path):
        with pytest.raises(DataError, match=r"python -m launch\.prepare"):
            read_tfrecords(folder, "train")
    write_tfrecords(tmp_path, SCHEMA, "train", [make_rows(200)], shards=2)
    with pytest.raises(DataError, match=r"no split 'test' \(splits there: train\)"):
        read_tfrecords(tmp_path, "test")
    (tmp_path / "train-00001-of-00002.tfrecord").unlink()
    with pytest.raises(DataError, match=r"1 of 2 files .*train-00001-of-00002"):
        read_tfrecords(tmp_path, "train")


def test_another_schema_is_refused_on_both_ways(tmp_path):
    write_tfrecords(tmp_path, SCHEMA, "train", [make_rows(5)])
    other = Schema("tiny", [Categorical("row", 7), *SCHEMA.categorical[1:]], SCHEMA.numeric)
    with pytest.raises(SchemaMismatchError, match="'row'"):
        read_tfrecords(tmp_path, "train", other)
    with pytest.raises(SchemaMismatchError, match="'row'"):
        write_tfrecords(tmp_path, other, "valid", [make_rows(5)])


@pytest.mark.parametrize(
    ("record", "words"),
    [
        (b"no example at all", ["record at byte", "tf.train.Example", "17 bytes"]),
        (b"", ["record at byte", "expected 4 values", "'ids'", "found 0"]),
        (
            serialize_examples(np.zeros((1, 3), int), np.zeros((1, 2)), np.zeros(1))[0],
            ["record at byte", "expected 4 values of type int64_list in 'ids', found 3"],
        ),
        (
            serialize_examples(np.full((1, 4), 300), np.zeros((1, 2)), np.zeros(1))[0],
            ["record at byte", "'tags'", "id 300", "size 300"],
        ),
        (
            serialize_examples(np.zeros((1, 4), int), np.zeros((1, 1)), np.zeros(1))[0],
            ["record at byte", "'numeric', found 1"],
        ),
    ],
)
@pytest.mark.parametrize("compression", ["", "GZIP"])
def test_a_sound_record_that_does_not_fit_is_named(tmp_path, record, words, compression):
    rows = make_rows(6)
    write_tfrecords(tmp_path, SCHEMA, "train", [rows], compression=compression)
    path = next(tmp_path.glob("train-*"))
    records = serialize_examples(rows["ids"], rows["numeric"], rows["label"])
    records[3] = record
    with tf.io.TFRecordWriter(str(path), compression) as writer:
        for item in records:
            writer.write(item)
    with pytest.raises(SchemaMismatchError) as caught:
        read_tfrecords(tmp_path, "train")
    for word in [path.name, *words]:
        assert word in str(caught.value)

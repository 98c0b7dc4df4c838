"""Record files: rows are read as written, in a known order; errors name the problem."""

import hashlib
import json

import numpy as np
import pytest
import tensorflow as tf
from record_rows import (
    SCHEMA,
    WEIGHTED,
    collect,
    cut,
    make_rows,
    order,
)

from zoo import (
    Categorical,
    DataError,
    Ledger,
    Numeric,
    Schema,
    SchemaError,
    SchemaMismatchError,
    read_tfrecords,
    write_tfrecords,
)


@pytest.mark.parametrize("shards", [1, 3])
@pytest.mark.parametrize("compression", [None, "GZIP"])
@pytest.mark.parametrize("layout", ["packed", "columns", "blocks"])
def test_round_trip_in_the_order_of_writing(tmp_path, shards, compression, layout):
    rows = make_rows(1000)
    parts = cut(rows, 300)
    split = write_tfrecords(tmp_path, SCHEMA, "train", parts, shards, compression, layout)
    ending = ".gz" if compression and layout != "blocks" else ""
    assert split.files[-1] == f"train-{shards - 1:05d}-of-{shards:05d}.tfrecord{ending}"
    ledger = Ledger()
    data = read_tfrecords(tmp_path, "train", SCHEMA, batch_size=128, ledger=ledger)
    assert data.element_spec[0]["ids"].dtype == tf.int32
    assert data.element_spec[0]["ids"].shape.as_list() == [None, 4]
    assert data.element_spec[1].dtype == tf.float32
    read = collect(data)
    assert set(read) == {"ids", "numeric", "label"}
    for key, value in read.items():
        np.testing.assert_array_equal(value, rows[key])
    assert (ledger.total_read, ledger.total_lost, len(ledger.files)) == (1000, 0, shards)
    manifest = json.loads((tmp_path / "manifest.json").read_text())["splits"]["train"]
    assert manifest["rows"] == 1000 == sum(file["rows"] for file in manifest["files"])
    assert manifest["positives"] == int(rows["label"].sum())
    assert (manifest["layout"], manifest["compression"]) == (layout, compression or "")
    for file in manifest["files"]:
        content = (tmp_path / file["file"]).read_bytes()
        assert file["bytes"] == len(content)
        assert file["sha256"] == hashlib.sha256(content).hexdigest()
    assert not list(tmp_path.glob(".*"))  # no temporary file is left


@pytest.mark.parametrize("layout", ["packed", "columns", "blocks"])
def test_weights_and_groups(tmp_path, layout):
    rows = make_rows(200)
    write_tfrecords(tmp_path, WEIGHTED, "train", [rows], layout=layout)
    data = read_tfrecords(tmp_path, "train", batch_size=64)
    assert len(data.element_spec) == 3 and set(data.element_spec[0]) == {"ids", "numeric"}
    assert data.element_spec[2] == data.element_spec[1]
    read = collect(read_tfrecords(tmp_path, "train", batch_size=64, group=True))
    assert read["group"].dtype == np.int64
    for key, value in rows.items():
        np.testing.assert_array_equal(read[key], value)
    write_tfrecords(tmp_path / "none", SCHEMA, "train", [rows])
    with pytest.raises(DataError, match="group=True"):
        read_tfrecords(tmp_path / "none", "train", group=True)


def test_layouts_of_one_row_per_record_are_plain_examples(tmp_path):
    rows = make_rows(50)
    rows["ids"][0] = [99_999, 127, 128, -1]
    rows["ids"][1, 1:] = -1
    found = {}
    for layout in ("packed", "columns"):
        split = write_tfrecords(tmp_path / layout, WEIGHTED, "t", [rows], layout=layout)
        data = tf.data.TFRecordDataset(str(tmp_path / layout / split.files[0]))
        found[layout] = [
            tf.train.Example.FromString(record).features.feature
            for record in data.as_numpy_iterator()
        ]
        assert len(found[layout]) == 50
    for index, feature in enumerate(found["packed"]):
        assert set(feature) == {"ids", "numeric", "label", "weight", "group"}
        assert list(feature["ids"].int64_list.value) == rows["ids"][index].tolist()
        assert list(feature["numeric"].float_list.value) == rows["numeric"][index].tolist()
        assert list(feature["label"].float_list.value) == [rows["label"][index]]
    for index, feature in enumerate(found["columns"]):
        assert set(feature) == {"row", "tags", "price", "age", "clicked", "cost", "group_id"}
        assert list(feature["row"].int64_list.value) == [rows["ids"][index, 0]]
        tags = [tag for tag in rows["ids"][index, 1:].tolist() if tag >= 0]
        assert list(feature["tags"].int64_list.value) == tags
        assert list(feature["age"].float_list.value) == [rows["numeric"][index, 1]]
        assert list(feature["clicked"].float_list.value) == [rows["label"][index]]
        assert list(feature["cost"].float_list.value) == [rows["weight"][index]]
        assert list(feature["group_id"].int64_list.value) == [rows["group"][index]]


def test_a_column_named_as_the_group_is_refused_in_columns(tmp_path):
    schema = Schema("s", [Categorical("group_id", 5)], group="group_id")
    rows = {"ids": [[1]], "label": [1], "group": [7]}
    write_tfrecords(tmp_path / "packed", schema, "t", [rows], layout="packed")
    with pytest.raises(SchemaError, match=r"'group_id'.*rename"):
        write_tfrecords(tmp_path / "columns", schema, "t", [rows], layout="columns")


def test_a_folder_without_a_manifest_is_told_its_layout(tmp_path):
    rows = make_rows(30)
    write_tfrecords(tmp_path, SCHEMA, "train", [rows], layout="columns")
    with pytest.raises(DataError, match=r"layout='packed', but .* 'columns'"):
        read_tfrecords(tmp_path, "train", layout="packed")
    (tmp_path / "manifest.json").unlink()
    assert order(read_tfrecords(tmp_path, "train", layout="columns")) == list(range(30))
    with pytest.raises(SchemaMismatchError, match="'ids'"):
        read_tfrecords(tmp_path, "train")


def test_shapes_and_columns_that_are_absent(tmp_path):
    ids_only = Schema("a", [Categorical("u", 5)])
    write_tfrecords(tmp_path / "a", ids_only, "t", [{"ids": [[1], [4]], "label": [0, 1]}])
    features, label = next(iter(read_tfrecords(tmp_path / "a", "t")))
    assert set(features) == {"ids"} and features["ids"].shape == (2, 1) and label.shape == (2, 1)
    numbers_only = Schema("b", [], [Numeric("x")])
    write_tfrecords(tmp_path / "b", numbers_only, "t", [{"numeric": [[1.5]], "label": [[1]]}])
    features, label = next(iter(read_tfrecords(tmp_path / "b", "t")))
    assert set(features) == {"numeric"} and features["numeric"].numpy().tolist() == [[1.5]]


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
        (spoil("numeric", np.full((20, 2), 1e300)), ["'price'", "inf"]),
        (spoil("weight", np.full(20, -1.0)), ["row 0", "'weight' is -1.0"]),
        (spoil("weight", np.full(20, np.nan)), ["'weight'"]),
        (spoil("weight", np.ones(19)), ["'weight'", "(19,)"]),
        (spoil("group", np.ones(20)), ["'group'", "float64"]),
        (spoil("group", np.full(20, 2**64 - 1, np.uint64)), ["'group'", "2**63"]),
        ({"ids": make_rows(2)["ids"], "label": np.zeros(2)}, ["'numeric'"]),
    ],
)
def test_bad_arrays_are_named_and_nothing_is_written(tmp_path, batch, words):
    with pytest.raises(DataError) as caught:
        write_tfrecords(tmp_path, WEIGHTED, "train", [batch])
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
    with pytest.raises(DataError, match="max_lost=2"):
        read_tfrecords(tmp_path, "train", max_lost=2)
    with pytest.raises(DataError, match=r"shard=\(2, 2\)"):
        read_tfrecords(tmp_path, "train", shard=(2, 2))
    with pytest.raises(DataError, match=r"layout='rows'.*packed, columns"):
        write_tfrecords(tmp_path, SCHEMA, "train", [make_rows(2)], layout="rows")
    with pytest.raises(DataError, match=r"needs the number of rows.*rows=NUMBER"):
        write_tfrecords(tmp_path, SCHEMA, "train", iter([make_rows(2)]), shards=2)
    for rows, words in ((1, "more rows than the 1"), (3, "has 2 rows, but 3")):
        with pytest.raises(DataError, match=words):
            write_tfrecords(tmp_path, SCHEMA, "train", iter([make_rows(2)]), rows=rows)
    assert [path.name for path in tmp_path.iterdir()] == ["schema.json"]


def test_a_schema_without_sizes_is_refused(tmp_path):
    with pytest.raises(SchemaError, match="field 'user' has no size yet"):
        rows = {"ids": [[1]], "label": [1]}
        write_tfrecords(tmp_path, Schema("s", [Categorical("user")]), "train", [rows])


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

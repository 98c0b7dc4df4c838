"""Rows to write and read in the tests of record files."""

import functools

import numpy as np
import tensorflow as tf

import zoo

SCHEMA = zoo.Schema(
    "tiny",
    [zoo.Categorical("row", 100_000), zoo.Categorical("tags", 300, length=3)],
    [zoo.Numeric("price"), zoo.Numeric("age")],
)
WEIGHTED = zoo.Schema(
    "weighted", SCHEMA.categorical, SCHEMA.numeric, label="clicked", weight="cost", group="row"
)


# For tests of damage to single rows: a record of the default layout holds many.
write_packed = functools.partial(zoo.write_tfrecords, layout="packed")


def make_rows(count: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Rows of both schemas; the id of `row` is the row's number, and padding stands at the end."""
    random = np.random.default_rng(seed)
    tags = -np.sort(-random.integers(-1, 300, (count, 3)), axis=1)
    return {
        "ids": np.concatenate([np.arange(count)[:, None], tags], axis=1),
        "numeric": random.normal(size=(count, 2)).astype(np.float32),
        "label": (random.random(count) < 0.3).astype(np.float32),
        "weight": random.exponential(size=count).astype(np.float32),
        "group": random.integers(-(2**63), 2**63 - 1, count),
    }


def cut(rows: dict[str, np.ndarray], size: int) -> list[dict[str, np.ndarray]]:
    """The same rows in batches."""
    starts = range(0, len(rows["label"]), size)
    return [{key: value[a : a + size] for key, value in rows.items()} for a in starts]


def collect(data: tf.data.Dataset) -> dict[str, np.ndarray]:
    """All rows of a data set, as `make_rows` gives them."""
    batches = []
    for features, label, *weight in data.as_numpy_iterator():
        one = {**features, "label": label[:, 0]}
        one |= {"weight": weight[0][:, 0]} if weight else {}
        one |= {"group": features["group"][:, 0]} if "group" in features else {}
        batches.append(one)
    return {key: np.concatenate([one[key] for one in batches]) for key in batches[0]}


def order(data: tf.data.Dataset) -> list[int]:
    """Numbers of the rows, in the order in which they are read."""
    return collect(data)["ids"][:, 0].tolist()


def packed_examples(ids, numeric, label, weight=None) -> list[bytes]:
    """Packed records by protobuf's own writer; the arrays need not fit a schema."""
    records = []
    for row in range(len(label)):
        example = tf.train.Example()
        feature = example.features.feature
        feature["ids"].int64_list.value.extend(ids[row])
        feature["numeric"].float_list.value.extend(numeric[row])
        feature["label"].float_list.value.append(label[row])
        if weight is not None:
            feature["weight"].float_list.value.append(weight[row])
        records.append(example.SerializeToString())
    return records


def write_records(path, records: list[bytes], compression: str = "") -> None:
    """Writes a record file by TensorFlow's own writer."""
    with tf.io.TFRecordWriter(str(path), compression) as writer:
        for record in records:
            writer.write(record)

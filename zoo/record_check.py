"""Parses batches of records, and checks a record file before it is used for the first time."""

import os
import tempfile
import zlib
from collections.abc import Callable
from functools import cache

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError

from zoo.batch_check import explain_bad_id, id_limits
from zoo.files import DataError, join
from zoo.ledger import Damage, FileAccount
from zoo.record_file import copy_good_records
from zoo.schema import Schema, SchemaMismatchError

_BATCH = 4096  # records per native parse while checking
_Parsed = tuple[dict[str, tf.Tensor], tf.Tensor]
_checked: dict[tuple, tuple[str, str, FileAccount]] = {}


def parser(schema: Schema) -> Callable[[tf.Tensor], _Parsed]:
    """Makes the function that parses a batch of serialised records.

    Args:
        schema: Columns of the records.

    Returns:
        A function from [B] strings to `({"ids": int32 [B, W], "numeric": float32 [B, N]},
        label float32 [B, 1])`; "ids" and "numeric" only if the schema has such columns.

    Example:
        >>> example = tf.train.Example()
        >>> example.features.feature["ids"].int64_list.value.append(3)
        >>> example.features.feature["label"].float_list.value.append(1.0)
        >>> parse = parser(Schema("s", [Categorical("user", 5)]))
        >>> features, label = parse(tf.constant([example.SerializeToString()]))
        >>> features["ids"].numpy().tolist(), label.numpy().tolist()
        ([[3]], [[1.0]])
    """
    spec = {"label": tf.io.FixedLenFeature([1], tf.float32)}
    if schema.categorical:
        spec["ids"] = tf.io.FixedLenFeature([schema.ids_width], tf.int64)
    if schema.numeric:
        spec["numeric"] = tf.io.FixedLenFeature([len(schema.numeric)], tf.float32)

    def parse(serialized: tf.Tensor) -> _Parsed:
        features = tf.io.parse_example(serialized, spec)
        label = features.pop("label")
        if "ids" in features:
            features["ids"] = tf.cast(features["ids"], tf.int32)
        return features, label

    return parse


def usable_file(
    path: str, compression: str, expected_rows: int | None, schema: Schema
) -> tuple[str, str, FileAccount]:
    """Checks every record of a file; a damaged file is replaced by a copy of its good records.

    All checksums, the number of rows, the columns of each record and the range of each id are
    checked natively, at the speed of reading. Only where that fails are the frames walked one by
    one. The answer is kept for the process, by path, size and time of change.

    Args:
        path: TFRecord file, local or remote.
        compression: "" or "GZIP".
        expected_rows: Rows that the manifest promises, or None.
        schema: Columns that the records must have.

    Returns:
        Path to read (the file itself or the copy), its compression, and the account.

    Raises:
        SchemaMismatchError: If a sound record does not fit the schema.
        DataError: If the file holds more rows than the manifest says.

    Example:
        >>> usable_file("train-00000-of-00001.tfrecord", "", 100, schema)  # doctest: +SKIP
    """
    stat = tf.io.gfile.stat(path)
    key = (path, stat.length, stat.mtime_nsec, compression, expected_rows, schema)
    if key not in _checked:
        _checked[key] = _check(path, compression, expected_rows, schema, stat)
    return _checked[key]


def _check(
    path: str, compression: str, expected: int | None, schema: Schema, stat: tf.io.gfile.stat
) -> tuple[str, str, FileAccount]:
    rows, failure = _native_count(path, compression, schema)
    # Without a promised number the walk is needed: a gzip stream cut short raises no error.
    if rows is not None and rows == expected:
        return path, compression, FileAccount(path, rows)
    key = f"{path}:{stat.length}:{stat.mtime_nsec}".encode()
    repaired = join(_repair_folder(), f"{zlib.crc32(key):08x}-{os.path.basename(path)}.repaired")
    good, damages = copy_good_records(path, compression, repaired)
    if expected is not None and good > expected:
        raise DataError(
            f"{path} holds {good:,} rows, its manifest says {expected:,}: the two do not belong "
            "together; prepare the data again"
        )
    if damages:
        rows, failure = _native_count(repaired, "", schema)
    if rows is None:
        trouble = _first_trouble(repaired, schema)
        os.remove(repaired)
        if trouble is None:
            raise DataError(f"{path} cannot be read: {failure}")
        raise SchemaMismatchError(
            f"{path}: {trouble}; the file and the schema do not belong together, "
            "prepare the data again"
        )
    if not damages and good == (expected if expected is not None else good):
        os.remove(repaired)
        return path, compression, FileAccount(path, good)
    if not damages:
        damages = [Damage(stat.length, "file ends early", exact=False)]
    if expected is not None:
        lost, exact = expected - good, True
    else:
        lost, exact = len(damages), all(damage.exact for damage in damages)
    return repaired, "", FileAccount(path, good, lost, exact, damages)


def _native_count(path: str, compression: str, schema: Schema) -> tuple[int | None, str]:
    """Rows of a file in which all is well, or None and TensorFlow's complaint."""
    try:
        rows, in_range = _counter(schema)(tf.constant(path), tf.constant(compression))
    except (tf.errors.DataLossError, tf.errors.InvalidArgumentError) as error:
        return None, error.message
    return (int(rows), "") if in_range else (None, "an id is out of range")


@cache
def _counter(schema: Schema) -> Callable[[tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor]]:
    """One traced function per schema; tracing a pipeline anew for each file takes longer."""
    low, high = id_limits(schema)

    @tf.function(autograph=False)
    def count(path: tf.Tensor, compression: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        def check(serialized: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            features, _ = parser(schema)(serialized)
            ids = tf.cast(features.get("ids", tf.zeros([1, 0])), tf.int64)
            in_range = tf.reduce_all((ids >= low) & (ids <= high))
            return tf.size(serialized, tf.int64), in_range

        batches = tf.data.TFRecordDataset(path, compression).batch(_BATCH)
        return batches.map(check, num_parallel_calls=tf.data.AUTOTUNE).reduce(
            (tf.constant(0, tf.int64), tf.constant(True)),
            lambda total, found: (total[0] + found[0], total[1] & found[1]),
        )

    return count


def _first_trouble(path: str, schema: Schema) -> str | None:
    """Names the first sound record that does not fit the schema."""
    for number, record in enumerate(tf.data.TFRecordDataset(path).as_numpy_iterator()):
        trouble = _trouble(record, schema)
        if trouble:
            return f"record {number}: {trouble}"
    return None


def _trouble(record: bytes, schema: Schema) -> str | None:
    try:
        features = tf.train.Example.FromString(record).features.feature
    except DecodeError:
        return f"expected a tf.train.Example, found {len(record)} bytes that are none"
    wanted = {"label": ("float_list", 1)}
    if schema.categorical:
        wanted["ids"] = ("int64_list", schema.ids_width)
    if schema.numeric:
        wanted["numeric"] = ("float_list", len(schema.numeric))
    for name, (kind, number) in wanted.items():
        found = len(getattr(features[name], kind).value) if name in features else 0
        if found != number:
            return f"expected {number} values of type {kind} in {name!r}, found {found}"
    if not schema.categorical:
        return None
    return explain_bad_id(np.array(features["ids"].int64_list.value), schema)


def _repair_folder() -> str:
    """Where copies lie: the same place in every process, so that a resumed run finds its files."""
    user = os.getuid() if hasattr(os, "getuid") else 0
    folder = os.path.join(tempfile.gettempdir(), f"tf-helen-repaired-{user}")
    os.makedirs(folder, mode=0o700, exist_ok=True)
    if hasattr(os, "getuid") and os.stat(folder).st_uid != user:
        raise DataError(
            f"{folder} belongs to another user; remove it or set TMPDIR to a folder of your own"
        )
    return folder

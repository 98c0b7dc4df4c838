"""Checks a record file before it is used for the first time, and leaves out what is damaged."""

from __future__ import annotations

import hashlib
import os
import tempfile
from dataclasses import dataclass

import numpy as np
import tensorflow as tf
from absl import logging

from zoo.files import DataError, join
from zoo.ledger import Damage, FileAccount, mismatch
from zoo.record_file import copy_good_records
from zoo.record_parse import explain_record, good_records
from zoo.schema import Schema, SchemaMismatchError

_BATCH = 4096  # records per native parse while checking
# TensorFlow's complaint about a record may hold bytes of the record that are no text.
_UNPARSABLE = (tf.errors.InvalidArgumentError, UnicodeDecodeError)
_checked: dict[tuple, tuple[str, str, FileAccount]] = {}


@dataclass(frozen=True)
class Expected:
    """What the records of a split should be.

    Args:
        schema: Their columns.
        layout: "packed" or "columns".
        compression: "" or "GZIP".

    Example:
        >>> Expected(Schema("tiny", [Categorical("user", 10)]), "packed", "").layout
        'packed'
    """

    schema: Schema
    layout: str
    compression: str


def usable_file(
    path: str, expected: Expected, rows: int | None, most: float
) -> tuple[str, str, FileAccount]:
    """Checks every record of a file; a damaged file is replaced by a copy of its good records.

    All checksums, the number of rows, the columns of each record and the range of each value are
    checked natively, at the speed of reading. Only where that fails are the frames walked one by
    one. The answer is kept for the process, by path, size and time of change.

    Args:
        path: TFRecord file, local or remote.
        expected: What its records should be.
        rows: Rows that the manifest promises, or None.
        most: Records that may be lost because of their content; the search ends beyond it.

    Returns:
        Path to read (the file itself or the copy), its compression, and the account.

    Raises:
        SchemaMismatchError: If more than `most` sound records do not fit the schema.
        DataError: If the file holds more rows than the manifest says.

    Example:
        >>> usable_file("a.tfrecord", Expected(schema, "packed", ""), 9, 0)  # doctest: +SKIP
    """
    state = _state(path)
    key = (path, state, rows, expected)
    if key not in _checked:
        counted = _native_count(path, expected)
        # Without a promised number the walk is needed: TensorFlow takes a file that ends within
        # the first bytes of a record, and many a gzip stream that is cut short, for a whole one.
        if counted is not None and counted == rows:
            _checked[key] = path, expected.compression, FileAccount(path, counted)
        else:
            _checked[key] = _repaired(path, expected, rows, most, state)
    return _checked[key]


def _state(path: str) -> tuple[int, int]:
    """Size of a file and its time of change, by which a change is noticed."""
    if os.path.exists(path):  # of local files too, TensorFlow tells whole seconds only
        stat = os.stat(path)
        return stat.st_size, stat.st_mtime_ns
    stat = tf.io.gfile.stat(path)
    return stat.length, stat.mtime_nsec


def _repaired(
    path: str, expected: Expected, rows: int | None, most: float, state: tuple[int, int]
) -> tuple[str, str, FileAccount]:
    key = hashlib.sha256(repr((path, state, expected)).encode())
    name = f"{key.hexdigest()[:16]}-{os.path.basename(path)}.repaired"
    copy = join(_repair_folder(), name)
    misfits = 0

    def screen(offsets: list[int], records: list[bytes]) -> list[Damage]:
        nonlocal misfits
        found = _misfits(offsets, records, expected)
        misfits += len(found)
        if misfits > most:
            raise SchemaMismatchError(mismatch(path, found[0]))
        return found

    good, damages = copy_good_records(path, expected.compression, copy, screen)
    if rows is not None and good + misfits > rows:
        os.remove(copy)
        raise DataError(
            f"{path} holds {good + misfits:,} rows, its manifest says {rows:,}: the two do not "
            "belong together; prepare the data again"
        )
    if not damages and good == (good if rows is None else rows):
        os.remove(copy)
        return path, expected.compression, FileAccount(path, good)
    if rows is None:
        lost, exact = len(damages), all(damage.exact for damage in damages)
    else:
        lost, exact = rows - good, True
        if lost and not damages:
            damages = [Damage(state[0], "file ends early", exact=False)]
    account = FileAccount(path, good, lost, exact, damages)
    logging.warning("%s", account.line())  # here: once per process, not once per epoch
    return copy, "", account


def _native_count(path: str, expected: Expected) -> int | None:
    """Rows of a file in which all is well, else None."""
    fits, rows = good_records(expected.schema, expected.layout), 0
    # A `map` within the pipeline would be compiled for each file anew, for some 30 ms.
    batches = tf.data.TFRecordDataset(path, expected.compression).batch(_BATCH).prefetch(2)
    try:
        for batch in batches:
            if not tf.reduce_all(fits(batch)):
                return None
            rows += len(batch)
    except (tf.errors.DataLossError, *_UNPARSABLE):
        return None
    return rows


def _misfits(offsets: list[int], records: list[bytes], expected: Expected) -> list[Damage]:
    """The records that do not fit the schema; only these are looked at one by one."""
    found = []
    for index in np.flatnonzero(~_fitting(records, expected)):
        reason = explain_record(records[index], expected.schema, expected.layout)
        # What protobuf's own reader takes and TensorFlow's does not.
        reason = reason or "a tf.train.Example that TensorFlow cannot parse"
        found.append(Damage(offsets[index], reason, misfit=True))
    return found


def _fitting(records: list[bytes], expected: Expected) -> np.ndarray:
    """Which records fit; a batch that cannot be parsed is halved until the culprit is alone."""
    if not records:
        return np.ones(0, bool)
    try:
        return good_records(expected.schema, expected.layout)(tf.constant(records)).numpy()
    except _UNPARSABLE:
        if len(records) == 1:
            return np.zeros(1, bool)
        half = len(records) // 2
        halves = records[:half], records[half:]
        return np.concatenate([_fitting(part, expected) for part in halves])


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

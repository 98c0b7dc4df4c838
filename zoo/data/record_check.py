"""Checks a record file before it is used for the first time, and leaves out what is damaged."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import tensorflow as tf
from absl import logging

from zoo.data.files import DataError, join
from zoo.data.ledger import Damage, FileAccount, mismatch
from zoo.data.record_file import copy_good_records
from zoo.data.record_parse import explain_record, good_records
from zoo.data.record_survey import followed_length, largest_content, largest_record, survey
from zoo.data.schema import Schema, SchemaMismatchError

_BATCH = 4096  # records per native parse while checking
# TensorFlow's complaint about a record may hold bytes of the record that are no text.
_UNPARSABLE = (tf.errors.InvalidArgumentError, UnicodeDecodeError)
_BATCH_BYTES = 1 << 26  # bytes per native parse, at most
_checked: dict[tuple, tuple[str, str, FileAccount]] = {}
_followed: set[tuple] = set()  # files whose lengths stay within them


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
    path: str,
    expected: Expected,
    rows: int | None,
    most: float,
    written: str | None = None,
    others: Mapping[str, str] = MappingProxyType({}),
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
        written: The file's SHA-256 by the manifest, in hexadecimal; None if it holds none.
        others: Names of the files of the data folder by their SHA-256.

    Returns:
        Path to read (the file itself or the copy), its compression, and the account.

    Raises:
        SchemaMismatchError: If more than `most` sound records do not fit the schema.
        DataError: If the file holds more rows than the manifest says, or its records are sound and
            not those that were written.

    Example:
        >>> usable_file("a.tfrecord", Expected(schema, "packed", ""), 9, 0)  # doctest: +SKIP
    """
    state = _state(path)
    key = (path, state, rows, expected, written)
    if key not in _checked:
        limit = largest_record(expected.schema, expected.layout)
        # Of a compressed file TensorFlow's reader makes no room before it has the bytes.
        found = survey(path, expected.compression, lengths=not expected.compression)
        as_written = written is None or found.sha256 == written
        if not as_written and found.sha256 in others:
            raise DataError(
                f"{path} is a copy of {others[found.sha256]}, though its manifest says that it has "
                f"the SHA-256 {written}; copy the right file back or prepare the data again"
            )
        if expected.compression and not (written and as_written):
            found = survey(path, expected.compression)
        counted = None
        if found.fits(limit) or found.whole is None:
            counted = _native_count(path, expected, found.longest or 1)
        # Without a promised number the walk is needed: TensorFlow takes a file that ends within
        # the first bytes of a record, and many a gzip stream that is cut short, for a whole one.
        if counted is not None and counted == rows:
            result = path, expected.compression, FileAccount(path, counted)
        else:
            result = _repaired(path, expected, rows, most, state, limit)
        if not as_written and not result[2].lost and not result[2].damages:
            raise DataError(
                f"{path} has the SHA-256 {found.sha256}, its manifest says {written}, and "
                f"its {result[2].read:,} rows are sound: it is not the file that was written; copy "
                "that one back or prepare the data again"
            )
        _checked[key] = result
        if result[0] == path:
            _followed.add((path, state))
    return _checked[key]


def check_lengths(path: str, expected: Expected) -> None:
    """Raises if a record says that it has so many bytes that TensorFlow must not read the file.

    Other damage is left to TensorFlow. The answer is kept for the process.

    Args:
        path: TFRecord file, local or remote.
        expected: What its records should be.

    Raises:
        DataError: Naming the file and the length.

    Example:
        >>> check_lengths("a.tfrecord", Expected(schema, "packed", ""))  # doctest: +SKIP
    """
    if expected.compression:
        return
    state = _state(path)
    if (path, state) in _followed:
        return
    limit = largest_record(expected.schema, expected.layout)
    length = followed_length(path, limit)
    if length is not None:
        raise DataError(
            f"{path} holds a record that says it has {length:,} bytes, where {limit:,} are "
            "allowed; read it with verify=True, which counts that record as lost, or prepare the "
            "data again"
        )
    _followed.add((path, state))


def _state(path: str) -> tuple[int, int]:
    """Size of a file and its time of change, by which a change is noticed."""
    if os.path.exists(path):  # of local files too, TensorFlow tells whole seconds only
        stat = os.stat(path)
        return stat.st_size, stat.st_mtime_ns
    stat = tf.io.gfile.stat(path)
    return stat.length, stat.mtime_nsec


def _repaired(
    path: str,
    expected: Expected,
    rows: int | None,
    most: float,
    state: tuple[int, int],
    limit: int,
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

    content = largest_content(expected.schema, expected.layout, rows)
    good, damages = copy_good_records(path, expected.compression, copy, screen, limit, content)
    misfits = sum(damage.misfit for damage in damages)  # those that are too long among them
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


def _native_count(path: str, expected: Expected, longest: int) -> int | None:
    """Rows of a file in which all is well, else None."""
    size = max(1, min(_BATCH, _BATCH_BYTES // longest))
    fits, rows = good_records(expected.schema, expected.layout), 0
    # A `map` within the pipeline would be compiled for each file anew, for some 30 ms.
    batches = tf.data.TFRecordDataset(path, expected.compression).batch(size).prefetch(2)
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

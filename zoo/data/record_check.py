"""Checks record files before their first use and skips damaged records."""

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

from tf_helen.stores import gfile
from zoo.data.block_check import count_rows, explain_block
from zoo.data.files import DataError, join
from zoo.data.ledger import Damage, FileAccount, mismatch
from zoo.data.record_file import copy_good_records
from zoo.data.record_layout import BLOCKS
from zoo.data.record_parse import explain_record, good_records
from zoo.data.record_survey import followed_length, largest_content, largest_record, survey
from zoo.data.schema import Schema, SchemaMismatchError

_BATCH = 4096  # records per native parse while checking
# TensorFlow's message about a record may contain bytes of the record that are not text.
_UNPARSABLE = (tf.errors.InvalidArgumentError, UnicodeDecodeError)
_BATCH_BYTES = 1 << 26  # bytes per native parse, at most
_checked: dict[tuple, tuple[str, str, FileAccount]] = {}
_followed: set[tuple] = set()  # files whose record lengths stay within the file


@dataclass(frozen=True)
class Expected:
    """The expected form of the records of a split.

    Args:
        schema: columns of the records.
        layout: "blocks", "packed" or "columns".
        compression: "" or "GZIP", of the file as a whole.

    Example:
        >>> Expected(Schema("tiny", [Categorical("user", 10)]), "packed", "").layout
        'packed'
    """

    schema: Schema
    layout: str
    compression: str

    @property
    def blocks(self) -> bool:
        """Whether a record holds many rows."""
        return self.layout == BLOCKS


def usable_file(
    path: str,
    expected: Expected,
    rows: int | None,
    most: float,
    written: str | None = None,
    others: Mapping[str, str] = MappingProxyType({}),
) -> tuple[str, str, FileAccount]:
    """Checks every record of a file; for a damaged file, copies its good records.

    All checksums, the number of rows, the columns of each record and the range of each value are
    checked by TensorFlow operations, at the speed of reading. Only if that fails, the frames are
    checked one by one in Python. The result is cached in the process, by path, size and
    modification time.

    Args:
        path: TFRecord file, local or remote.
        expected: the expected form of its records.
        rows: number of rows in the manifest, or None.
        most: number of rows that may be lost because of their content; the check stops beyond
            it.
        written: the file's SHA-256 in the manifest, in hexadecimal, or None.
        others: dict from SHA-256 to the names of the files of the data folder.

    Returns:
        Path to read (the file itself or the copy), its compression, and its counts.

    Raises:
        SchemaMismatchError: if intact records with more than `most` rows do not match the schema.
        DataError: if the file holds more rows than the manifest says, or its records are intact but
            not those that were written.

    Example:
        >>> usable_file("a.tfrecord", Expected(schema, "packed", ""), 9, 0)  # doctest: +SKIP
    """
    state = _state(path)
    key = (path, state, rows, expected, written)
    if key not in _checked:
        limit = largest_record(expected.schema, expected.layout)
        # For a compressed file TensorFlow's reader allocates no memory before it has the bytes.
        found = survey(path, expected.compression, lengths=not expected.compression)
        as_written = written is None or found.sha256 == written
        if not as_written and found.sha256 in others:
            raise DataError(
                f"{path} is a copy of {others[found.sha256]}, but its manifest says that it has "
                f"the SHA-256 {written}; restore the right file or prepare the data again"
            )
        if expected.compression and not (written and as_written):
            found = survey(path, expected.compression)
        counted = None
        if found.fits(limit) or found.whole is None:
            counted = _native_count(path, expected, found.longest or 1)
        # Without a number of rows the walk is needed: TensorFlow accepts a file that ends within
        # the first bytes of a record, and some truncated gzip streams, as complete.
        if counted is not None and counted == rows:
            account = FileAccount(path, counted, blocks=expected.blocks)
            result = path, expected.compression, account
        else:
            result = _repaired(path, expected, rows, most, state, limit)
        if not as_written and not result[2].lost and not result[2].damages:
            raise DataError(
                f"{path} has the SHA-256 {found.sha256}, its manifest says {written}, and "
                f"its {result[2].read:,} rows are intact: it is not the file that was written; "
                "restore that file or prepare the data again"
            )
        _checked[key] = result
        if result[0] == path:
            _followed.add((path, state))
    return _checked[key]


def check_lengths(path: str, expected: Expected) -> None:
    """Raises `DataError` if the length of a record is so large that TensorFlow must not read the
    file.

    TensorFlow reports other damage. The result is cached in the process.

    Args:
        path: TFRecord file, local or remote.
        expected: the expected form of its records.

    Raises:
        DataError: names the file and the length.

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
            f"{path} holds a record whose length is {length:,} bytes, allowed are {limit:,}; "
            "read it with verify=True, which counts that record as lost, or prepare the "
            "data again"
        )
    _followed.add((path, state))


def _state(path: str) -> tuple[int, int]:
    """Returns the size and modification time of a file, to detect changes."""
    if os.path.exists(path):  # TensorFlow reports whole seconds only
        stat = os.stat(path)
        return stat.st_size, stat.st_mtime_ns
    stat = gfile.stat(path)
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
    misfits = good = 0

    def screen(offsets: list[int], records: list[bytes]) -> list[Damage]:
        nonlocal misfits, good
        found, fitting = _misfits(offsets, records, expected)
        misfits += sum(damage.rows for damage in found)
        good += fitting
        if misfits > most:
            raise SchemaMismatchError(mismatch(path, found[0]))
        return found

    content = largest_content(expected.schema, expected.layout, rows)
    _, damages = copy_good_records(path, expected.compression, copy, screen, limit, content)
    misfits = sum(damage.misfit for damage in damages)  # including those that are too long
    if rows is not None and good + misfits > rows:
        os.remove(copy)
        raise DataError(
            f"{path} holds {good + misfits:,} rows, its manifest says {rows:,}; prepare the data "
            "again"
        )
    if not damages and good == (good if rows is None else rows):
        os.remove(copy)
        return path, expected.compression, FileAccount(path, good, blocks=expected.blocks)
    if rows is None:
        lost = sum(damage.rows for damage in damages)
        exact = all(damage.exact and not expected.blocks for damage in damages)
    else:
        lost, exact = rows - good, True
        if lost and not damages:
            damages = [Damage(state[0], "file ends early", exact=False)]
    account = FileAccount(path, good, lost, exact, damages, expected.blocks)
    logging.warning("%s", account.line())  # once per process, not per epoch
    return copy, "", account


def _native_count(path: str, expected: Expected, longest: int) -> int | None:
    """Returns the number of rows of a file without damage, else None."""
    if expected.blocks:
        return count_rows(path, expected.schema, longest)
    size = max(1, min(_BATCH, _BATCH_BYTES // longest))
    fits, rows = good_records(expected.schema, expected.layout), 0
    # A `map` in the pipeline would be compiled for each file, which takes some 30 ms.
    batches = tf.data.TFRecordDataset(path, expected.compression).batch(size).prefetch(2)
    try:
        for batch in batches:
            if not tf.reduce_all(fits(batch)):
                return None
            rows += len(batch)
    except (tf.errors.DataLossError, *_UNPARSABLE):
        return None
    return rows


def _misfits(
    offsets: list[int], records: list[bytes], expected: Expected
) -> tuple[list[Damage], int]:
    """Returns the records that do not match the schema, and the number of rows of the others."""
    found: list[Damage] = []
    if expected.blocks:
        good = 0
        for offset, record in zip(offsets, records, strict=True):
            rows, trouble = explain_block(record, expected.schema)
            if trouble is None:
                good += rows
            else:
                found.append(Damage(offset, trouble, misfit=True, rows=rows))
        return found, good
    # Only these are parsed one by one.
    for index in np.flatnonzero(~_fitting(records, expected)):
        reason = explain_record(records[index], expected.schema, expected.layout)
        # A record that protobuf can parse and TensorFlow cannot.
        reason = reason or "a tf.train.Example that TensorFlow cannot parse"
        found.append(Damage(offsets[index], reason, misfit=True))
    return found, len(records) - len(found)


def _fitting(records: list[bytes], expected: Expected) -> np.ndarray:
    """Returns which records match; halves a batch that cannot be parsed to isolate the cause."""
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
    """Returns the folder of copies, the same in every process, for resumed runs."""
    user = os.getuid() if hasattr(os, "getuid") else 0
    folder = os.path.join(tempfile.gettempdir(), f"tf-helen-repaired-{user}")
    os.makedirs(folder, mode=0o700, exist_ok=True)
    if hasattr(os, "getuid") and os.stat(folder).st_uid != user:
        raise DataError(
            f"{folder} belongs to another user; remove it or set TMPDIR to a folder of your own"
        )
    return folder

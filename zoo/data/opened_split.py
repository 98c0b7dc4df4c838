"""Opens a split: checks its record files once, and finds what to read of each."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tf_helen.stores import gfile
from zoo.data.block_index import Blocks, blocks_of, is_block_file, joined_blocks
from zoo.data.block_parse import block_parser
from zoo.data.files import DataError, join
from zoo.data.ledger import FileAccount, Ledger
from zoo.data.manifest import Split, find_split, load_manifest
from zoo.data.progress import ProgressBar
from zoo.data.record_check import Expected, check_lengths, usable_file
from zoo.data.record_layout import BLOCKS
from zoo.data.record_parse import Parsed, parser
from zoo.data.schema import Schema, SchemaMismatchError
from zoo.data.staged_split import StagedSplit, staged_split


class Opened(NamedTuple):
    """A split whose records are checked.

    Attributes:
        schema: columns of the rows.
        files: path and compression of the files to read.
        blocks: the blocks of the files; None for the layouts with one record per row.
        parse: parser of a batch of records, or, of blocks, of decoded rows.
        staged: the files in a store, if they are not all on the local disk.
        held: what keeps the local copies while the rows are read.
    """

    schema: Schema
    files: list[tuple[str, str]]
    blocks: Blocks | None
    parse: Callable[[tf.Tensor], Parsed]
    staged: StagedSplit | None
    held: object

    def kept_by(self, data: tf.data.Dataset) -> tf.data.Dataset:
        """Returns a dataset that keeps the local copies of its files as long as it exists."""
        data.tf_helen_held = self.held
        if self.staged is None:
            return data
        # Which file is read is no state: it follows from the position in the data.
        options = tf.data.Options()
        options.experimental_external_state_policy = tf.data.experimental.ExternalStatePolicy.IGNORE
        data = data.with_options(options)
        data.tf_helen_held = self.held
        return data


class _File(NamedTuple):
    """What to read of a file: its path, its compression, its counts, and its blocks."""

    path: str
    compression: str
    account: FileAccount | None
    blocks: np.ndarray | None


def open_split(
    directory: str | os.PathLike[str],
    split: str,
    schema: Schema | None,
    ledger: Ledger | None,
    max_lost: float,
    group: bool = False,
    layout: str | None = None,
    verify: bool = True,
    time: bool = False,
) -> Opened:
    """Checks the records of a split; for the arguments see `zoo.read_tfrecords`.

    Returns:
        What to read.

    Raises:
        DataError: if data are missing, or too many records are lost.
        SchemaMismatchError: if the folder's schema differs from `schema`.

    Example:
        >>> opened = open_split("data/frappe", "train", None, None, 0.0)  # doctest: +SKIP
    """
    found = find_split(directory, split)
    if schema is None:
        schema = Schema.load(directory)
    elif gfile.exists(join(directory, "schema.json")):
        schema.check_same(Schema.load(directory), where=join(directory, "schema.json"))
    if group and schema.group is None:
        raise DataError(f"group=True, but schema {schema.name!r} names no group; remove it")
    if time and not schema.keep_time:
        raise DataError(
            f"time=True, but the records of schema {schema.name!r} contain no times; prepare the "
            'data with "keep_time": true in the schema'
        )
    if layout and found.layout not in (None, layout):
        raise DataError(
            f"layout={layout!r}, but the manifest of {os.fspath(directory)} says "
            f"{found.layout!r}; remove it"
        )
    paths = [join(directory, name) for name in found.files]
    layout = found.layout or layout
    if layout is None:
        layout = BLOCKS if not found.compression and is_block_file(paths[0]) else "packed"
    # The records of blocks are compressed, not the files.
    compression = "" if layout == BLOCKS else found.compression
    expected = Expected(schema, layout, compression)
    staged = staged_split(paths, found)
    check = _Check(found, expected, verify, max_lost, _names(directory) if verify else {})
    own = Ledger()
    files = []
    for file in check.files(paths, staged):
        files.append(file)
        if file.account is not None:
            own.add(file.account)
            if ledger is not None:
                ledger.add(file.account)
    if verify:
        own.check(max_lost)
    if staged is not None and not staged.fits:
        # What is read of each file is staged again, except of repaired copies.
        here = {file.path for file in files if file.path.endswith(".repaired")}
        names = [
            file.path if file.path in here else path
            for file, path in zip(files, paths, strict=True)
        ]
        reads = staged
    else:
        names, reads = [file.path for file in files], None
    pairs = [(name, file.compression) for name, file in zip(names, files, strict=True)]
    if layout == BLOCKS:
        tables = [file.blocks for file in files if file.blocks is not None]
        blocks = joined_blocks(names, tables, reads)
        return Opened(schema, pairs, blocks, block_parser(schema, group, time), reads, staged)
    return Opened(schema, pairs, None, parser(schema, layout, group, time), reads, staged)


def _names(directory: str | os.PathLike[str]) -> dict[str, str]:
    """Returns the names of all files of a data folder by their checksums."""
    return {
        sha256: name
        for split in load_manifest(directory).values()
        for sha256, name in zip(split.sha256 or (), split.files, strict=False)
    }


class _Check:
    """Checks the files of a split, one after another."""

    def __init__(
        self,
        split: Split,
        expected: Expected,
        verify: bool,
        max_lost: float,
        others: Mapping[str, str],
    ):
        self._split, self._expected, self._verify = split, expected, verify
        self._max_lost, self._others = max_lost, others
        decisive = (dataclasses.astuple(expected.schema), expected.layout, expected.compression)
        self._key = hashlib.sha256(repr(decisive).encode()).hexdigest()[:16]

    def files(self, paths: list[str], staged: StagedSplit | None) -> Iterator[_File]:
        """Yields what to read of each file."""
        most = self._most_lost(paths)
        checksums = self._split.sha256 or [None] * len(paths)
        facts = dict(zip(paths, zip(self._split.rows, checksums, strict=True), strict=True))
        known = {} if staged is None or staged.fits else self._known(paths, staged)
        copies = (
            zip(paths, paths, strict=True)
            if staged is None
            else staged.in_order([path for path in paths if path not in known])
        )
        silent = not self._verify and staged is None
        bar = ProgressBar("checking records", len(paths), "files", show=not silent, delay=2.0)
        with bar:
            for path in paths:
                if path in known:
                    yield known[path]
                    continue
                name, local = next(copies)
                assert name == path, (name, path)
                with _named(local, path):
                    file = self._file(local, *facts[path], most)
                if file.account is not None:
                    file = file._replace(account=dataclasses.replace(file.account, file=path))
                if staged is not None and file.path == local:
                    self._remember(path, file, staged)
                bar.update()
                yield file

    def _file(self, path: str, rows: int | None, written: str | None, most: float) -> _File:
        expected = self._expected
        compression, account, blocks = expected.compression, None, None
        if self._verify:
            path, compression, account = usable_file(
                path, expected, rows, most, written, self._others
            )
        elif not expected.blocks:  # `blocks_of` checks the lengths
            check_lengths(path, expected)
        if expected.blocks:
            blocks = blocks_of(path, expected.schema)
        return _File(path, compression, account, blocks)

    def _most_lost(self, paths: list[str]) -> float:
        """Returns the number of rows that may be lost."""
        rows = self._split.total_rows
        if rows is None and self._verify:
            # An upper bound: a frame has 16 bytes, which GZIP compresses at most 1032 times.
            rows = sum(gfile.stat(path).length for path in paths)
            rows = rows // 16 * (1032 if self._expected.compression else 1)
        return self._max_lost * (rows or 0)

    def _known(self, paths: list[str], staged: StagedSplit) -> dict[str, _File]:
        """Returns the files without damage that were checked before, perhaps by another process."""
        known = {}
        for path in paths:
            facts = staged.facts(path, self._key)
            if facts is None or (self._verify and not facts["checked"]):
                continue
            account = None
            if self._verify:
                account = FileAccount(path, int(facts["rows"]), blocks=self._expected.blocks)
            blocks = facts["blocks"] if self._expected.blocks else None
            known[path] = _File(path, self._expected.compression, account, blocks)
        return known

    def _remember(self, path: str, file: _File, staged: StagedSplit) -> None:
        damaged = file.account is not None and (file.account.lost or file.account.damages)
        if staged.fits or damaged:
            return
        facts = {
            "checked": np.array(self._verify),
            "rows": np.array(0 if file.account is None else file.account.read),
            "blocks": np.zeros((0, 4), np.int64) if file.blocks is None else file.blocks,
        }
        staged.save_facts(path, self._key, facts)


@contextlib.contextmanager
def _named(local: str, path: str) -> Iterator[None]:
    """Errors about a local copy name the file that it is a copy of."""
    try:
        yield
    except (DataError, SchemaMismatchError) as error:
        if local == path or local not in str(error):
            raise
        raise type(error)(str(error).replace(local, path)) from None

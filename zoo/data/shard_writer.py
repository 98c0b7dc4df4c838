"""Writes the rows of a split as record files, one file after another."""

from __future__ import annotations

import hashlib
import itertools
import os
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tf_helen.stores import gfile
from zoo.data.batch_check import Rows, checked_batch
from zoo.data.block_bytes import BlockBytes
from zoo.data.block_layout import BlockLayout
from zoo.data.example_bytes import RecordBytes
from zoo.data.files import DataError, complete_or_absent, join
from zoo.data.manifest import COMPRESSIONS, Split, shard_name
from zoo.data.record_layout import BLOCKS, DEFAULT_LAYOUT, check_layout
from zoo.data.schema import Schema

_AT_ONCE = 4096  # rows serialized and written at once: some 2 MB, which fits in the cache
_GZIP_LEVEL = 6  # zlib's default, as in TensorFlow's writer


@dataclass(frozen=True)
class Shard:
    """A record file that has been written.

    Args:
        file: its name, relative to the data folder.
        rows: rows in it.
        positives: sum of their labels.
        bytes: its size.
        sha256: its checksum, in hexadecimal.

    Example:
        >>> Shard("train-00000-of-00001.tfrecord", 2, 1.0, 106, "ab...").rows
        2
    """

    file: str
    rows: int
    positives: float
    bytes: int
    sha256: str


def shard_bounds(rows: int, shards: int) -> tuple[tuple[int, int], ...]:
    """Divides rows into contiguous ranges whose sizes differ by at most 1.

    Args:
        rows: number of rows, 0 or more.
        shards: number of ranges, at least 1.

    Returns:
        Tuple of (first row, row after the last) of each range.

    Raises:
        DataError: if an argument is out of range.

    Example:
        >>> shard_bounds(10, 3)
        ((0, 3), (3, 6), (6, 10))
    """
    for name, value, low in (("rows", rows, 0), ("shards", shards, 1)):
        if isinstance(value, bool) or not isinstance(value, int) or value < low:
            raise DataError(f"{name}={value!r}; use an integer of at least {low}")
    edges = [rows * index // shards for index in range(shards + 1)]
    return tuple(itertools.pairwise(edges))


def write_shards(
    directory: str | os.PathLike[str],
    schema: Schema,
    split: str,
    batches: Iterable[Mapping[str, np.ndarray]],
    bounds: Sequence[tuple[int, int | None]],
    layout: str = DEFAULT_LAYOUT,
    compression: str | None = None,
    first: int = 0,
    version: int = 0,
    block_rows: int | None = None,
) -> Iterator[Shard]:
    """Writes record files one after another; each is complete or absent under its final name.

    Writing is lazy: a file is written when its `Shard` is requested. After an interruption,
    continue with `first` set to the number of existing shards. The same rows give the same bytes.

    Args:
        directory: folder of the files; created if absent.
        schema: columns of the rows.
        split: split name, e.g. "train".
        batches: dicts of arrays as for `write_tfrecords`, of any size, from the first row of shard
            `first` on; a batch may span shards.
        bounds: tuple of (first row, row after the last) of each shard, as returned by
            `shard_bounds`; the last shard may end with `None`, the end of the rows.
        layout: "blocks", "packed" or "columns", see `zoo.data.tfrecords.write_tfrecords`.
        compression: None, "" or "GZIP".
        first: number of the first shard to write.
        version: version in the names, see `zoo.data.manifest.shard_name`.
        block_rows: rows of a record with the layout "blocks". Defaults to None, see
            `zoo.data.block_layout.BlockLayout.default_rows`.

    Yields:
        A `Shard` for each file, after it has its final name.

    Raises:
        DataError: if an array is missing or has a wrong shape or value, there are fewer or more
            rows than `bounds` says, or an argument is out of range.
        SchemaError: if a column has a name that the layout reserves for the group.

    Example:
        >>> import tempfile
        >>> schema = Schema("tiny", [Categorical("user", 10)])
        >>> rows = {"ids": np.array([[3], [4]]), "label": np.array([1.0, 0.0])}
        >>> shards = write_shards(tempfile.mkdtemp(), schema, "train", [rows], shard_bounds(2, 2))
        >>> [(shard.file, shard.positives) for shard in shards]
        [('train-00000-of-00002.tfrecord', 1.0), ('train-00001-of-00002.tfrecord', 0.0)]
    """
    writer = ShardWriter(directory, schema, split, bounds, layout, compression, version, block_rows)
    if not 0 <= first <= len(bounds):
        raise DataError(f"first={first!r}; use a shard from 0 to {len(bounds)}")
    source = _Source(batches, schema, split, bounds, first)
    for index in range(first, len(bounds)):
        yield writer.write(index, source)


class ShardWriter:
    """Writes record files of a split, in any order.

    Args:
        directory, schema, split, bounds, layout, compression, version, block_rows: as of
            `write_shards`.

    Raises:
        DataError, SchemaError: as `write_shards`.

    Example:
        >>> import tempfile
        >>> schema = Schema("tiny", [Categorical("user", 10)])
        >>> rows = {"ids": np.array([[4]]), "label": np.array([0.0])}
        >>> writer = ShardWriter(tempfile.mkdtemp(), schema, "train", shard_bounds(2, 2))
        >>> writer.write_rows(1, [rows]).file
        'train-00001-of-00002.tfrecord'
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        schema: Schema,
        split: str,
        bounds: Sequence[tuple[int, int | None]],
        layout: str = DEFAULT_LAYOUT,
        compression: str | None = None,
        version: int = 0,
        block_rows: int | None = None,
    ):
        compression = compression or ""
        if compression not in COMPRESSIONS:
            raise DataError(f"compression={compression!r}; use None or 'GZIP'")
        check_layout(layout)
        self._directory, self._schema, self._split = directory, schema, split
        self._bounds, self._version = tuple(bounds), version
        self._to_bytes: RecordBytes | BlockBytes
        self._size: int | None = None
        if layout == BLOCKS:
            self._size = BlockLayout(schema).checked_rows(block_rows)
            # The records are compressed, not the file, so that damage loses one of them.
            self._to_bytes = BlockBytes(schema, compressed=bool(compression))
            compression = ""
        elif block_rows is not None:
            raise DataError(f"block_rows={block_rows!r} is for layout='blocks'; remove it")
        else:
            self._to_bytes = RecordBytes(schema, layout)
        self._compression = compression

    def name(self, index: int) -> str:
        """Returns the name of a file."""
        return shard_name(self._split, index, len(self._bounds), self._compression, self._version)

    def write_rows(self, index: int, batches: Iterable[Mapping[str, np.ndarray]]) -> Shard:
        """Writes one file, completely or not at all.

        Args:
            index: its number.
            batches: its rows, as of `write_shards`.

        Returns:
            The `Shard`.

        Raises:
            DataError: if there are fewer or more rows than `bounds` says.
        """
        source = _Source(batches, self._schema, self._split, self._bounds[: index + 1], index)
        return self.write(index, source)

    def write(self, index: int, source: _Source) -> Shard:
        """Writes the next rows of a source as one file; see `write_rows`."""
        name = self.name(index)
        with complete_or_absent(join(self._directory, name)) as temporary:
            with _Sink(temporary, self._compression) as sink:
                count, positives = 0, 0.0
                for rows in _in_blocks(source.until(self._bounds[index][1]), self._size):
                    sink.write(self._to_bytes.of(rows))
                    count += len(rows.label)
                    positives += float(rows.label.sum(dtype=np.float64))
            if source.ends_with(index):
                source.check_end()
        return Shard(name, count, positives, sink.size, sink.sha256)


def split_of(shards: Sequence[Shard], layout: str, compression: str | None) -> Split:
    """Creates the manifest's entry of a split.

    Args:
        shards: all its files, in order.
        layout: "blocks", "packed" or "columns".
        compression: None, "" or "GZIP".

    Returns:
        The argument of `zoo.data.manifest.save_split`.

    Example:
        >>> split_of([Shard("a.tfrecord", 2, 1.0, 106, "ab...")], "packed", None).total_rows
        2
    """
    return Split(
        files=tuple(shard.file for shard in shards),
        rows=tuple(shard.rows for shard in shards),
        positives=round(sum(shard.positives for shard in shards)),
        compression=compression or "",
        layout=layout,
        bytes=tuple(shard.bytes for shard in shards),
        sha256=tuple(shard.sha256 for shard in shards),
    )


def _in_blocks(parts: Iterable[Rows], size: int | None) -> Iterator[Rows]:
    """Cuts and joins rows so that each part but the last has `size` rows; None keeps the parts."""
    if size is None:
        yield from parts
        return
    waiting: list[Rows] = []
    missing = size
    for rows in parts:
        start, count = 0, len(rows.label)
        while count - start >= missing:
            yield _joined([*waiting, rows.between(start, start + missing)])
            start, missing, waiting = start + missing, size, []
        if start < count:
            waiting.append(rows.between(start, count))
            missing -= count - start
    if waiting:
        yield _joined(waiting)


def _joined(parts: Sequence[Rows]) -> Rows:
    if len(parts) == 1:
        return parts[0]
    return Rows(
        np.concatenate([rows.ids for rows in parts]),
        np.concatenate([rows.numeric for rows in parts]),
        np.concatenate([rows.label for rows in parts]),
        _joined_column([rows.weight for rows in parts]),
        _joined_column([rows.group for rows in parts]),
        _joined_column([rows.time for rows in parts]),
    )


def _joined_column(parts: Sequence[np.ndarray | None]) -> np.ndarray | None:
    known = [part for part in parts if part is not None]
    return np.concatenate(known) if known else None


class _Source:
    """Yields checked rows in blocks that end where shards end."""

    def __init__(
        self,
        batches: Iterable[Mapping[str, np.ndarray]],
        schema: Schema,
        split: str,
        bounds: Sequence[tuple[int, int | None]],
        first: int,
    ):
        self._batches, self._schema, self._split = iter(batches), schema, split
        self._end = (bounds[-1][1] or 0) if bounds else 0
        self._row = bounds[first][0] if first < len(bounds) else self._end
        self._rows: Rows | None = None
        self._used, self._last = 0, len(bounds) - 1

    def until(self, stop: int | None) -> Iterator[Rows]:
        """Yields the rows up to number `stop`, or all."""
        while stop is None or self._row < stop:
            rows = self._more()
            if rows is None:
                if stop is None:
                    return
                raise DataError(
                    f"split {self._split!r} has {self._row:,} rows, but {self._end:,} were "
                    "announced; pass the actual number of rows"
                )
            left = len(rows.label) - self._used
            count = min(_AT_ONCE, left, left if stop is None else stop - self._row)
            yield rows.between(self._used, self._used + count)
            self._used += count
            self._row += count

    def ends_with(self, index: int) -> bool:
        """Returns whether a shard is the last one."""
        return index == self._last

    def check_end(self) -> None:
        """Raises if rows are left."""
        if self._more() is not None:
            raise DataError(
                f"split {self._split!r} has more rows than the {self._end:,} announced; pass the "
                "actual number of rows"
            )

    def _more(self) -> Rows | None:
        """Returns the current batch, of which rows are left, or None at the end."""
        while self._rows is None or self._used == len(self._rows.label):
            batch = next(self._batches, None)
            if batch is None:
                return None
            self._rows, self._used = checked_batch(batch, self._schema, self._row), 0
        return self._rows


class _Sink:
    """A file that is compressed and hashed while it is written."""

    def __init__(self, path: str, compression: str):
        self._file = gfile.GFile(path, "wb")
        # No name and time in the header, so that the same content gives the same bytes.
        self._packer = zlib.compressobj(_GZIP_LEVEL, wbits=31) if compression else None
        self._digest, self.size = hashlib.sha256(), 0

    def write(self, content: bytes) -> None:
        self._put(self._packer.compress(content) if self._packer else content)

    def _put(self, content: bytes) -> None:
        self._digest.update(content)
        self.size += len(content)
        self._file.write(content)

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    def __enter__(self) -> _Sink:
        self._put(b"")  # so that a file without rows exists
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        if kind is None and self._packer:
            self._put(self._packer.flush())
        self._file.close()

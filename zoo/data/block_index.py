"""Finds the blocks of record files: their offsets and numbers of rows, from the headers alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tf_helen.stores import gfile
from zoo.data.block_layout import HEAD, BlockHead, BlockLayout
from zoo.data.files import DataError
from zoo.data.record_frame import FOOTER, HEADER, header
from zoo.data.schema import Schema
from zoo.data.staged_split import StagedSplit


class Blocks(NamedTuple):
    """The blocks of a split, in the order of writing.

    Attributes:
        paths: the files.
        files: int64 [blocks], number of the file of each block.
        offsets: int64 [blocks], where its record begins in the file.
        rows: int64 [blocks], its number of rows.
        compressed: whether the blocks are compressed.
        sizes: int64 [blocks], bytes of its record with header and checksums.
        staged: the files in a store, if they are not all on the local disk.
    """

    paths: tuple[str, ...]
    files: np.ndarray
    offsets: np.ndarray
    rows: np.ndarray
    compressed: bool
    sizes: np.ndarray | None = None
    staged: StagedSplit | None = None


def find_blocks(paths: Sequence[str], schema: Schema) -> Blocks:
    """Reads the headers of all blocks.

    Args:
        paths: TFRecord files, local or remote.
        schema: columns of the rows.

    Returns:
        The `Blocks`.

    Raises:
        DataError: if the headers do not lead to the end of a file, or a record is not a block.

    Example:
        >>> find_blocks(["train-00000-of-00001.tfrecord"], schema).rows  # doctest: +SKIP
        array([1024, 1024, 17])
    """
    return joined_blocks(paths, [blocks_of(path, schema) for path in paths])


def joined_blocks(
    paths: Sequence[str], tables: Sequence[np.ndarray], staged: StagedSplit | None = None
) -> Blocks:
    """Joins the blocks of several files.

    Args:
        paths: TFRecord files.
        tables: the result of `blocks_of` for each.
        staged: the files in a store, if they are not all on the local disk. Defaults to None.

    Returns:
        The `Blocks`.

    Raises:
        DataError: if some blocks are compressed and others are not.

    Example:
        >>> joined_blocks(["a"], [np.array([[0, 9, 0, 400]])]).rows.tolist()
        [9]
    """
    files = np.repeat(np.arange(len(paths)), [len(table) for table in tables])
    table = np.concatenate([np.zeros((0, 4), np.int64), *tables])
    compressed = set(table[:, 2].tolist())
    if len(compressed) > 1:
        raise DataError(
            f"{paths[0]} and the other files of its split hold compressed and plain blocks; "
            "prepare the data again"
        )
    offsets, rows, sizes = table[:, 0], table[:, 1], table[:, 3]
    return Blocks(tuple(paths), files, offsets, rows, compressed == {1}, sizes, staged)


def is_block_file(path: str) -> bool:
    """Returns whether the first record of a file is a block.

    Args:
        path: TFRecord file, local or remote.

    Example:
        >>> is_block_file("train-00000-of-00001.tfrecord")  # doctest: +SKIP
        True
    """
    with gfile.GFile(path, "rb") as file:
        return BlockHead.of(file.read(HEADER + HEAD.size)[HEADER:]) is not None


def blocks_of(path: str, schema: Schema) -> np.ndarray:
    """Reads the headers of the blocks of a file.

    Args:
        path: TFRecord file, local or remote.
        schema: columns of the rows.

    Returns:
        int64 [blocks, 4]: offset, number of rows, 1 if compressed, and bytes of each record.

    Raises:
        DataError: if the headers do not lead to the end of the file, or a record is not a block.

    Example:
        >>> blocks_of("train-00000-of-00001.tfrecord", schema)  # doctest: +SKIP
    """
    layout = BlockLayout(schema)
    blocks, place = [], 0
    with gfile.GFile(path, "rb") as file:
        end = file.size()
        while place < end:
            file.seek(place)
            frame = file.read(HEADER + HEAD.size)
            size = int.from_bytes(frame[:8], "little")
            after = place + HEADER + size + FOOTER
            head = BlockHead.of(frame[HEADER:])
            if frame[:HEADER] != header(size) or after > end or size > layout.most_bytes:
                raise _damaged(path, place, "a damaged header")
            if size < HEAD.size or head is None or not 1 <= head.rows <= layout.most_rows:
                raise _damaged(path, place, "a record that is not a block of rows")
            blocks.append((place, head.rows, int(head.compressed), after - place))
            place = after
    return np.array(blocks, np.int64).reshape(-1, 4)


def _damaged(path: str, place: int, what: str) -> DataError:
    return DataError(
        f"{path} has {what} at byte {place:,}; read it with verify=True, which counts damaged "
        "records as lost, or prepare the data again"
    )

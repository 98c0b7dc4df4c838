"""Finds the blocks of record files: their offsets and numbers of rows, from the headers alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from zoo.data.block_layout import HEAD, BlockHead, BlockLayout
from zoo.data.files import DataError
from zoo.data.record_frame import FOOTER, HEADER, header
from zoo.data.schema import Schema


class Blocks(NamedTuple):
    """The blocks of a split, in the order of writing.

    Attributes:
        paths: the files.
        files: int64 [blocks], number of the file of each block.
        offsets: int64 [blocks], where its record begins in the file.
        rows: int64 [blocks], its number of rows.
        compressed: whether the blocks are compressed.
    """

    paths: tuple[str, ...]
    files: np.ndarray
    offsets: np.ndarray
    rows: np.ndarray
    compressed: bool


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
    layout, found = BlockLayout(schema), []
    for number, path in enumerate(paths):
        found += [(number, *block) for block in _blocks_of(path, layout)]
    table = np.array(found, np.int64).reshape(-1, 4)
    compressed = set(table[:, 3].tolist())
    if len(compressed) > 1:
        raise DataError(
            f"{paths[0]} and the other files of its split hold compressed and plain blocks; "
            "prepare the data again"
        )
    return Blocks(tuple(paths), table[:, 0], table[:, 1], table[:, 2], compressed == {1})


def is_block_file(path: str) -> bool:
    """Returns whether the first record of a file is a block.

    Args:
        path: TFRecord file, local or remote.

    Example:
        >>> is_block_file("train-00000-of-00001.tfrecord")  # doctest: +SKIP
        True
    """
    with tf.io.gfile.GFile(path, "rb") as file:
        return BlockHead.of(file.read(HEADER + HEAD.size)[HEADER:]) is not None


def _blocks_of(path: str, layout: BlockLayout) -> list[tuple[int, int, int]]:
    blocks, place = [], 0
    with tf.io.gfile.GFile(path, "rb") as file:
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
            blocks.append((place, head.rows, int(head.compressed)))
            place = after
    return blocks


def _damaged(path: str, place: int, what: str) -> DataError:
    return DataError(
        f"{path} has {what} at byte {place:,}; read it with verify=True, which counts damaged "
        "records as lost, or prepare the data again"
    )

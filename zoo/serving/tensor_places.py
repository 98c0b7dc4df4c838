"""Where a checkpoint stores each tensor: its index file, read without TensorFlow's reader.

`variables.index` is a table in the format of LevelDB: blocks of sorted keys, each with a
`BundleEntryProto` that says where the tensor is in the data file.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import tensorflow as tf
from tensorflow.core.protobuf import tensor_bundle_pb2

from tf_helen.stores import gfile
from zoo.data.files import DataError

_MAGIC = (0xDB4775248B80FB57).to_bytes(8, "little")
_FOOTER = 48


@dataclasses.dataclass(frozen=True)
class TensorPlace:
    """The bytes of a tensor in the data file of a checkpoint.

    Attributes:
        key: string, name of the tensor.
        dtype: int, TensorFlow's number of the dtype.
        rows: int, size of the first axis; 1 for scalars and text.
        row_bytes: int, bytes per row.
        offset: int, position of the first byte.
    """

    key: str
    dtype: int
    rows: int
    row_bytes: int
    offset: int

    @property
    def size(self) -> int:
        """Bytes of the tensor."""
        return self.rows * self.row_bytes


def tensor_places(path: str) -> list[TensorPlace]:
    """Reads the index of a checkpoint.

    Args:
        path: string, the file `variables.index`.

    Returns:
        The tensors in the order of their bytes.

    Raises:
        DataError: if the file is damaged, or the checkpoint has several data files.

    Example:
        >>> tensor_places("served/variables/variables.index")  # doctest: +SKIP
    """
    with gfile.GFile(path, "rb") as file:
        content = file.read()
    try:
        found = [_place(key, value) for key, value in _entries(content) if key]
    except (IndexError, ValueError, tf.errors.OpError) as error:
        raise DataError(f"{path} is damaged ({error}); export the model again") from None
    return sorted(found, key=lambda place: place.offset)


def _place(key: bytes, value: bytes) -> TensorPlace:
    entry = tensor_bundle_pb2.BundleEntryProto.FromString(value)
    if entry.shard_id or entry.slices:
        raise ValueError("the checkpoint has several data files")
    dims = [dim.size for dim in entry.shape.dim]
    is_rows = bool(dims) and dims[0] > 0 and entry.size % dims[0] == 0
    rows = dims[0] if is_rows and entry.dtype != tf.string.as_datatype_enum else 1
    return TensorPlace(key.decode(), entry.dtype, rows, entry.size // rows, entry.offset)


def _entries(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yields the keys and values of a table."""
    if len(content) < _FOOTER or content[-8:] != _MAGIC:
        raise ValueError("not a table")
    footer = content[-_FOOTER:]
    position = _handle(footer, 0)[1]  # of the metaindex, which is not used
    (offset, size), _ = _handle(footer, position)
    for _, handle in _block(content, offset, size):
        (start, length), _ = _handle(handle, 0)
        yield from _block(content, start, length)


def _block(content: bytes, offset: int, size: int) -> Iterator[tuple[bytes, bytes]]:
    if content[offset + size]:
        raise ValueError("a compressed block")
    block = content[offset : offset + size]
    restarts = int.from_bytes(block[-4:], "little")
    end, position, key = size - 4 * (restarts + 1), 0, b""
    while position < end:
        shared, position = _varint(block, position)
        added, position = _varint(block, position)
        length, position = _varint(block, position)
        key = key[:shared] + block[position : position + added]
        position += added
        yield key, block[position : position + length]
        position += length


def _handle(content: bytes, position: int) -> tuple[tuple[int, int], int]:
    offset, position = _varint(content, position)
    size, position = _varint(content, position)
    return (offset, size), position


def _varint(content: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = content[position]
        position += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, position
        shift += 7

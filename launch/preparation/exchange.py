"""Tables and encoded rows as bytes, to pass them from one process to another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import BinaryIO

import numpy as np
import polars as pl
import pyarrow as pa

from launch.preparation.runs import CHUNK

_LENGTH = 8  # bytes of the length before each batch
_OPTIONS = pa.ipc.IpcWriteOptions(compression="lz4")


def table_to_bytes(table: pl.DataFrame) -> bytes:
    """Returns a table as an Arrow stream.

    Args:
        table: polars `DataFrame`.

    Example:
        >>> table_from_bytes(table_to_bytes(pl.DataFrame({"x": [1]}))).rows()
        [(1,)]
    """
    return _written(table.to_arrow())


def table_from_bytes(content: bytes) -> pl.DataFrame:
    """Returns the table of `table_to_bytes`."""
    return pl.from_arrow(pa.ipc.open_stream(content).read_all())


def rows_to_bytes(batch: Mapping[str, np.ndarray]) -> bytes:
    """Returns encoded rows as an Arrow stream.

    Args:
        batch: dict of arrays, as `RowEncoder.encode` returns it.

    Example:
        >>> batch = {"ids": np.array([[3, 4]], np.int32), "label": np.array([1], np.float32)}
        >>> rows_from_bytes(rows_to_bytes(batch))["ids"].tolist()
        [[3, 4]]
    """
    columns = {}
    for name, values in batch.items():
        column = pa.array(np.ascontiguousarray(values).reshape(-1))
        if values.ndim == 2:
            column = pa.FixedSizeListArray.from_arrays(column, values.shape[1])
        columns[name] = column
    return _written(pa.table(columns))


def rows_from_bytes(content: bytes) -> dict[str, np.ndarray]:
    """Returns the encoded rows of `rows_to_bytes`."""
    batch = {}
    for name, column in zip(*_columns(content), strict=True):
        if isinstance(column, pa.FixedSizeListArray):
            batch[name] = column.flatten().to_numpy().reshape(-1, column.type.list_size)
        else:
            batch[name] = column.to_numpy()
    return batch


def write_rows(file: BinaryIO, batch: Mapping[str, np.ndarray]) -> None:
    """Appends encoded rows to a file that `read_rows` reads.

    Args:
        file: a file that is open for writing.
        batch: dict of arrays, as `RowEncoder.encode` returns it.

    Example:
        >>> import io
        >>> file = io.BytesIO()
        >>> write_rows(file, {"label": np.array([1.0, 0.0])})
        >>> _ = file.seek(0)
        >>> [rows["label"].tolist() for rows in read_rows(file)]
        [[1.0, 0.0]]
    """
    _write(file, rows_to_bytes(batch))


def read_rows(file: BinaryIO) -> Iterator[dict[str, np.ndarray]]:
    """Yields the batches of a file that `write_rows` has written.

    Args:
        file: the file, open for reading.

    Raises:
        EOFError: if the file ends within a batch.
    """
    return map(rows_from_bytes, _read(file))


def write_table(file: BinaryIO, table: pl.DataFrame) -> None:
    """Writes a table to a file that `read_tables` reads in chunks.

    Args:
        file: a file that is open for writing.
        table: polars `DataFrame`.

    Example:
        >>> import io
        >>> file = io.BytesIO()
        >>> write_table(file, pl.DataFrame({"x": [1, 2]}))
        >>> _ = file.seek(0)
        >>> [chunk.rows() for chunk in read_tables(file)]
        [[(1,), (2,)]]
    """
    for chunk in table.iter_slices(CHUNK):
        _write(file, table_to_bytes(chunk))


def read_tables(file: BinaryIO) -> Iterator[pl.DataFrame]:
    """Yields the chunks of a file that `write_table` has written."""
    return map(table_from_bytes, _read(file))


def _write(file: BinaryIO, content: bytes) -> None:
    file.write(len(content).to_bytes(_LENGTH, "little"))
    file.write(content)


def _read(file: BinaryIO) -> Iterator[bytes]:
    while length := file.read(_LENGTH):
        size = int.from_bytes(length, "little")
        content = file.read(size)
        if len(length) < _LENGTH or len(content) < size:
            raise EOFError("a file of tables or rows ends early")
        yield content


def _written(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=_OPTIONS) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def _columns(content: bytes) -> tuple[list[str], list[pa.Array]]:
    table = pa.ipc.open_stream(content).read_all()
    return table.column_names, [column.combine_chunks() for column in table.columns]

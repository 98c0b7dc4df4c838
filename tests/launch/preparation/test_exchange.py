"""Tables and encoded rows survive as bytes."""

import io

import numpy as np
import polars as pl
import pytest

from launch.preparation import exchange
from launch.preparation.exchange import read_rows, read_tables, write_rows, write_table

BATCH = {
    "label": np.array([1, 0, 0.5], np.float32),
    "ids": np.array([[1, -1], [2, 3], [0, 0]], np.int32),
    "numeric": np.array([[1.5], [np.float32(0.1)], [-0.0]], np.float32),
    "group": np.array([2**62, 0, -1], np.int64),
}


def test_rows_keep_values_shapes_and_types():
    file = io.BytesIO()
    for part in (BATCH, {name: values[:0] for name, values in BATCH.items()}, BATCH):
        write_rows(file, part)
    file.seek(0)
    first, empty, last = read_rows(file)
    for name, values in BATCH.items():
        assert first[name].dtype == values.dtype and last[name].tobytes() == values.tobytes()
        assert empty[name].shape == (0, *values.shape[1:])


def test_tables_are_read_in_chunks(monkeypatch):
    monkeypatch.setattr(exchange, "CHUNK", 2)
    table = pl.DataFrame({"value": ["a", "", "é"], "count": [1, 2, 3]})
    file = io.BytesIO()
    write_table(file, table)
    file.seek(0)
    chunks = list(read_tables(file))
    assert [chunk.height for chunk in chunks] == [2, 1] and pl.concat(chunks).equals(table)


@pytest.mark.parametrize("lost", [1, 100])
def test_a_file_that_ends_early_is_an_error(lost):
    file = io.BytesIO()
    write_rows(file, BATCH)
    with pytest.raises(EOFError, match="ends early"):
        list(read_rows(io.BytesIO(file.getvalue()[:-lost])))

"""Tables of an export: formats, sizes, and rows of zeros."""

import numpy as np
import pytest
import tensorflow as tf

from tf_helen.layers import Embedding
from zoo.serving.stored_tables import StoredTable, stored_tables


def layer_of(rows):
    rows = np.asarray(rows, np.float32)
    layer = Embedding(len(rows), rows.shape[1], name="ids")
    layer.build()
    layer.set_weights([rows])
    return layer


@pytest.fixture(scope="module")
def sparse():
    """1000 rows of width 5, of which every third is not zero."""
    rows = np.random.default_rng(0).normal(size=(1000, 5)).astype(np.float32)
    rows[np.arange(1000) % 3 > 0] = 0
    rows[1] = -0.0
    return rows


IDS = tf.constant([[0, 1], [2, 3], [127, 128], [129, 999], [996, 500]])


def test_rows_of_zeros_leave_the_table_and_lookups_keep_their_bits(sparse):
    table = StoredTable(layer_of(sparse), drop_zero_rows=True)
    assert table.zero_rows == 666 and table.stored_rows == 334
    assert table.values.shape == (334, 5)
    np.testing.assert_array_equal(table(IDS), sparse[IDS.numpy()])
    np.testing.assert_array_equal(table(tf.range(1000)), sparse)
    assert table.bytes_before == 20_000
    assert table.bytes_after == 334 * 20 + 1000 + 8 * 4  # rows, ranks, places


def test_a_table_of_zeros_is_stored_as_one_row():
    table = StoredTable(layer_of(np.zeros((600, 4))), drop_zero_rows=True)
    assert table.values.shape == (1, 4)
    assert not table(tf.range(600)).numpy().any()


def test_few_rows_of_zeros_stay_because_the_index_would_be_larger():
    rows = np.ones((1000, 4))
    rows[:3] = 0
    table = StoredTable(layer_of(rows), drop_zero_rows=True)
    assert table.stored_rows == 1000 and table.bytes_after == table.bytes_before


def test_without_options_the_layers_own_variable_is_used(sparse):
    layer = layer_of(sparse)
    assert StoredTable(layer).values is layer.embeddings.value


# The largest error of a number, relative to the largest number of its row.
@pytest.mark.parametrize(
    "form, error, row_bytes",
    [("float16", 2**-11, 10), ("int8", 0.5 / 127, 5 + 4), ("int4", 0.5 / 7, 3 + 4)],
)
@pytest.mark.parametrize("drop", [False, True])
def test_quantized_rows_are_near_and_zeros_are_exact(sparse, form, error, row_bytes, drop):
    table = StoredTable(layer_of(sparse), form=form, drop_zero_rows=drop)
    found = table(tf.range(1000)).numpy()
    largest = np.abs(sparse).max(axis=1, keepdims=True)
    assert (np.abs(found - sparse) <= largest * error * 1.001).all()
    assert not found[1::3].any()
    assert np.abs(found - sparse).max() > 0  # the comparison means something
    assert table.bytes_after == (334 * row_bytes + 1032 if drop else 1000 * row_bytes)


def test_int8_is_the_documented_arithmetic():
    row = np.array([[0.3, -1.27, 0.005, 0.0]], np.float32)
    table = StoredTable(layer_of(row), form="int8")
    scale = np.float32(1.27) / np.float32(127)
    np.testing.assert_array_equal(table.values, np.rint(row / scale))
    np.testing.assert_array_equal(table.scale, [scale])


def test_tables_of_width_one_are_float16_where_a_scale_saves_nothing():
    table = StoredTable(layer_of([[0.5], [-3.0]]), form="int4")
    assert table.form == "float16" and table.bytes_after == 4


@pytest.mark.parametrize("form, number", [("float16", 1e6), ("int8", np.nan), ("int4", np.inf)])
def test_numbers_that_a_format_cannot_store_are_refused(form, number):
    with pytest.raises(ValueError, match=f"'ids' has a number that {form} cannot store"):
        StoredTable(layer_of([[1.0, number]]), form=form)


def test_an_unknown_format_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"float32.*float16.*int8.*int4"):
        stored_tables(layer_of([[1.0, 2.0]]), form="int7")

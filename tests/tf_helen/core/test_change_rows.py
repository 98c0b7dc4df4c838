"""Changes of rows that other workers may change at the same time."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tf_helen
from tf_helen.core import replicas
from tf_helen.core.rows import change_rows


@pytest.fixture
def asynchronous(monkeypatch):
    monkeypatch.setattr(replicas, "is_asynchronous", lambda: True)


@pytest.mark.parametrize("ids", [None, [2, 0]])
def test_an_update_of_another_worker_is_kept(asynchronous, ids):
    variable = tf.Variable([[1.0], [2.0], [3.0]])
    ids = None if ids is None else tf.constant(ids)
    before = tf.identity(variable) if ids is None else variable.sparse_read(ids)
    variable.assign_add(tf.ones_like(variable))  # the other worker
    change_rows(variable, ids, before, before - 0.5)
    expected = [1.5, 2.5 if ids is None else 3.0, 3.5]
    np.testing.assert_array_equal(variable.numpy().ravel(), expected)


def test_alone_the_rows_are_written_as_they_are():
    variable = tf.Variable([[1.0], [2.0]])
    change_rows(variable, tf.constant([1]), tf.constant([[7.0]]), tf.constant([[5.0]]))
    np.testing.assert_array_equal(variable.numpy().ravel(), [1.0, 5.0])


@pytest.mark.parametrize("name", ["Adam", "AdamAR", "GroupAdam"])
def test_one_worker_trains_as_one_process(monkeypatch, name):
    def trained() -> list[np.ndarray]:
        table = keras.Variable(np.arange(12.0).reshape(6, 2).astype("f4"))
        dense = keras.Variable([1.0, -1.0])
        optimizer = getattr(tf_helen, name)(0.1)
        for ids in ([1, 4, 1], [0, 4, 2]):
            slices = tf.IndexedSlices(tf.ones([3, 2]), tf.constant(ids), tf.constant([6, 2]))
            optimizer.apply([slices, tf.constant([0.5, -2.0])], [table, dense])
        return [v.numpy() for v in (table, dense, *optimizer.variables)]

    alone = trained()
    monkeypatch.setattr(replicas, "is_asynchronous", lambda: True)
    for one, other in zip(alone, trained(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-6)

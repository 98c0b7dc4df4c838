"""Lookups that read each row once have the values and the gradient of plain lookups."""

import numpy as np
import pytest
import tensorflow as tf

from tf_helen.core.lookups import distinct, recorded

TABLE = np.arange(10, dtype=np.float32).reshape(5, 2)
IDS = [[3, 1, 3, 3], [0], []]


@pytest.mark.parametrize("eager", [True, False])
def test_values_and_gradients_are_those_of_a_plain_lookup(eager):
    table, asked = tf.Variable(TABLE), []

    def read(ids):
        asked.append(ids)
        return table.sparse_read(ids)

    def passes(ids):
        found = []
        for lookup in (table.sparse_read, lambda ids: distinct(table, ids, read)):
            with tf.GradientTape() as tape:
                rows = lookup(ids)
                loss = tf.reduce_sum(rows**3)
            gradient = tape.gradient(loss, table)
            found.append((rows, gradient.values, gradient.indices))
        return found

    function = passes if eager else tf.function(passes)
    for ids in IDS:
        plain, once = function(tf.constant(ids, tf.int32))
        for expected, value in zip(plain, once, strict=True):
            np.testing.assert_array_equal(expected, value)
        if eager:
            assert asked[-1].numpy().tolist() == list(dict.fromkeys(ids))


def test_second_derivatives_are_those_of_a_plain_lookup():
    table, ids = tf.Variable(TABLE), tf.constant([3, 1, 3])
    found = []
    for lookup in (table.sparse_read, lambda ids: distinct(table, ids, table.sparse_read)):
        with tf.GradientTape() as outer:
            with tf.GradientTape() as inner:
                loss = tf.reduce_sum(lookup(ids) ** 3)
            total = tf.reduce_sum(inner.gradient(loss, table).values)
        second = outer.gradient(total, table)
        found.append((second.indices.numpy(), second.values.numpy()))
    for expected, value in zip(*found, strict=True):
        np.testing.assert_array_equal(expected, value)


def test_the_function_is_not_differentiated():
    table, other = tf.Variable(TABLE), tf.Variable(2.0)
    with tf.GradientTape() as tape:
        rows = recorded(table, tf.constant([1]), lambda: table.sparse_read([1]) * other)
        loss = tf.reduce_sum(rows)
    gradient, none = tape.gradient(loss, [table, other])
    assert gradient.values.numpy().tolist() == [[1.0, 1.0]] and none is None

"""The count-min sketch: it never counts too few, also with another width."""

from collections import Counter

import keras
import numpy as np
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from properties import examples

from tf_helen.core.capacities import resized_sketch
from tf_helen.layers.admission import Admission, Sketch
from tf_helen.layers.fingerprints import checksum, fingerprints

WIDTH = 16


def sketch(width=WIDTH, values=None):
    size = Sketch.size(Admission(min_count=2, width=width), 1)
    assert size == 4 * width
    counters = keras.Variable(np.zeros(size) if values is None else values, dtype="uint8")
    return Sketch(counters, keras.Variable(0, dtype="int64")), counters


def add(to, ids):
    distinct, counts = np.unique(np.array(ids, np.int64), return_counts=True)
    words = fingerprints(tf.constant(distinct), tf.zeros(len(distinct), tf.int32))
    found = to.add(words, tf.constant(counts, tf.int32)).numpy()
    return dict(zip(distinct.tolist(), found.tolist(), strict=True))


@examples(20)
@given(st.lists(st.lists(st.integers(-40, 40), min_size=1, max_size=5), max_size=3))
def test_it_never_counts_too_few(batches):
    counted, (one, counters) = Counter(), sketch()
    for ids in batches:  # at most 15 occurrences: nothing is halved
        found = add(one, ids)
        counted.update(ids)
        assert all(found[i] >= counted[i] for i in set(ids))
    for width in (4, 64):
        for i in counted:
            other, _ = sketch(width, resized_sketch(counters.numpy(), 4 * width))
            assert add(other, [i])[i] > counted[i]


def test_it_is_exact_while_it_is_nearly_empty():
    one, _ = sketch(1024)
    ids = [3] * 200 + [5] * 7 + [9]
    assert add(one, ids) == {3: 200, 5: 7, 9: 1}
    assert add(one, [3] * 100) == {3: 255}  # as much as a byte holds


def test_counts_are_halved_after_as_many_occurrences_as_it_is_wide():
    one, counters = sketch()
    assert add(one, [7] * 10) == {7: 10}
    assert counters.numpy().max() == 10
    add(one, [8] * 6)
    assert counters.numpy().max() == 5
    assert add(one, [7]) == {7: 6}


def test_a_checksum_is_the_sum_of_its_pairs():
    ids = tf.constant(["a", "b", "", "a"])
    words = fingerprints(ids, tf.constant([0, 0, 0, 1]))
    assert len(set(words.numpy().tolist())) == 4
    rows = tf.constant([1, 2, 3, 4], tf.int64)
    whole = checksum(words, rows)
    assert int(whole) == int(checksum(words[:1], rows[:1]) + checksum(words[1:], rows[1:]))
    assert int(whole) != int(checksum(words, rows[::-1]))

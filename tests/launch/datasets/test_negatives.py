"""Sampled negatives: never what is known, the rest equally likely."""

import numpy as np
import pytest

from launch.datasets.negatives import sample_outside
from zoo.data.files import DataError


def test_known_ids_are_never_drawn_and_others_equally_often():
    random = np.random.default_rng(0)
    has = {0: [1, 2, 3], 1: [], 2: list(range(9))}
    known = np.sort(np.array([owner * 10 + i for owner, ids in has.items() for i in ids]))
    owners = np.repeat(np.arange(3), 7000)
    drawn = sample_outside(owners, known, 10, random)
    for owner, ids in has.items():
        counts = np.bincount(drawn[owners == owner], minlength=10)
        free = 10 - len(ids)
        assert (counts[ids] == 0).all()
        rest = np.delete(counts, ids)
        assert np.abs(rest - 7000 / free).max() < 5 * np.sqrt(7000 / free)


def test_nothing_known_and_nobody_asking():
    random = np.random.default_rng(0)
    none = np.empty(0, np.int64)
    assert set(sample_outside(np.zeros(50, np.int64), none, 2, random)) == {0, 1}
    assert sample_outside(none, np.array([3]), 2, random).size == 0


def test_an_owner_of_everything_is_an_error_only_if_asked_for():
    random = np.random.default_rng(0)
    known = np.array([0, 1, 2])
    assert sample_outside(np.array([1]), known, 2, random)[0] == 1
    with pytest.raises(DataError, match="has all 2 ids"):
        sample_outside(np.array([0]), known, 2, random)

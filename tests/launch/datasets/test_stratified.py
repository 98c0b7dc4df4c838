"""Folds of scikit-learn 0.19.1, on which BARS's splits of Criteo and Avazu are based."""

import numpy as np
import polars as pl
import pytest
from sklearn.model_selection import KFold, StratifiedKFold

from launch.datasets.raw import in_memory
from launch.datasets.stratified import label_classes, stratified_folds
from zoo.data.files import DataError


def folds_of_0_19(classes: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """A KFold per class, all with the same seed: what StratifiedKFold was up to version 0.20."""
    result = np.full(len(classes), -1)
    for value in np.unique(classes):
        members = np.flatnonzero(classes == value)
        parts = KFold(folds, shuffle=True, random_state=seed).split(members)
        for fold, (_, held_out) in enumerate(parts):
            result[members[held_out]] = fold
    return result


@pytest.mark.parametrize("rows", [40, 1003, 20_000])
def test_folds_are_those_of_scikit_learn_0_19(rows):
    classes = (np.random.default_rng(rows).random(rows) < 0.3).astype(np.int8)
    folds = stratified_folds(classes, 10, seed=2018)
    assert folds.dtype == np.uint8
    np.testing.assert_array_equal(folds, folds_of_0_19(classes, 10, seed=2018))


def test_the_shuffle_is_that_of_wider_integers():
    wide, narrow = np.arange(5000), np.arange(5000, dtype=np.int32)
    np.random.RandomState(2018).shuffle(wide)
    np.random.RandomState(2018).shuffle(narrow)
    np.testing.assert_array_equal(wide, narrow)


# Rows and positives of Criteo and Avazu, and the rows and positives of test, valid and train that
# BARS publishes; here with a thousandth of the full tens, which leaves what is over as it is.
@pytest.mark.parametrize(
    ("negatives", "positives", "published"),
    [
        (34_095_179, 11_745_438, [(4_584_062, 1_174_544), (4_584_062, 1_174_544)]),
        (33_563_901, 6_865_066, [(4_042_898, 686_507), (4_042_897, 686_507)]),
    ],
)
def test_sizes_are_the_published_ones(negatives, positives, published):
    small = [count % 10 + 10 * (count // 10_000) for count in (negatives, positives)]
    classes = np.repeat(np.array([0, 1], np.int8), small)
    folds = stratified_folds(classes, 10, seed=2018)
    for fold, (rows, ones) in enumerate(published):
        missing = [count // 10 - little // 10 for count, little in
                   zip((negatives, positives), small, strict=True)]  # fmt: skip
        assert (folds == fold).sum() + sum(missing) == rows
        assert ((folds == fold) & (classes == 1)).sum() + missing[1] == ones


def test_todays_scikit_learn_deals_otherwise():
    classes = np.repeat(np.array([0, 1], np.int8), [3001, 606])
    folds = stratified_folds(classes, 10, seed=2018)
    now = StratifiedKFold(10, shuffle=True, random_state=2018).split(classes, classes)
    _, first = next(iter(now))
    assert (folds == 0).sum() == len(first) + 1
    assert set(first) != set(np.flatnonzero(folds == 0))


@pytest.mark.parametrize("folds", [1, 256])
def test_too_many_folds_are_refused(folds):
    with pytest.raises(DataError, match="use 2 to 255"):
        stratified_folds(np.zeros(9), folds, seed=0)


def test_labels_that_are_none_make_a_class_of_their_own():
    table = in_memory(pl.DataFrame({"y": ["1", " 0", "1.0", "2", "", None, "x"]}))
    assert label_classes(table, "y", "labels").tolist() == [1, 0, 1, -1, -1, -1, -1]
    numbers = in_memory(pl.DataFrame({"y": [1, 0, 7]}))
    assert label_classes(numbers, "y", "labels").tolist() == [1, 0, -1]

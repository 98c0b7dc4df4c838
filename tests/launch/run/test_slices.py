"""Slices: planned over splits, cut between groups, and made into batches."""

import itertools

import numpy as np
import pytest

from launch.run.progressive_settings import Progressive
from launch.run.slices import Span, batches, cut, plan_slices, shuffled
from zoo.data.files import DataError


def rows_of(groups, chunk=3):
    """Rows numbered from 0 in chunks, with a group each."""
    count = len(groups)
    columns = {
        "ids": np.arange(count, dtype=np.int32)[:, None],
        "label": np.zeros((count, 1), np.float32),
        "group": np.array(groups)[:, None],
    }
    return [
        {key: values[start : start + chunk] for key, values in columns.items()}
        for start in range(0, count, chunk)
    ]


def spans_of(*edges):
    return [Span("train", a, b) for a, b in itertools.pairwise(edges)]


@pytest.mark.parametrize(
    ("settings", "lengths"),
    [
        (Progressive(slices=4), [300, 300, 300, 150, 20]),
        (Progressive(slices=1), [1050, 20]),
        (Progressive(slices=10**6), [100] * 10 + [50, 20]),
        (Progressive(slice_rows=500), [500, 550, 20]),
        (Progressive(slice_rows=700), [700, 350, 20]),
    ],
)
def test_slices_have_whole_batches_and_lie_in_one_split(settings, lengths):
    spans = plan_slices({"train": 1050, "valid": 20}, settings, batch_size=100)
    assert [span.stop - span.start for span in spans] == lengths
    assert [span.split for span in spans] == ["train"] * (len(lengths) - 1) + ["valid"]
    assert [span.start for span in spans[:-1]] == np.cumsum([0, *lengths[:-2]]).tolist()


@pytest.mark.parametrize(
    ("groups", "edges", "expected"),
    [
        ("aabbccdd", (0, 3, 6, 8), ["aa", "bbcc", "dd"]),
        ("aabbccdd", (0, 4, 8), ["aabb", "ccdd"]),
        ("aaaaabbb", (0, 3, 6, 8), ["aaa", "aa", "bbb"]),  # a group longer than a slice
        ("abababab", (0, 3, 6, 8), ["aba", "bab", "ab"]),
    ],
)
def test_rows_of_one_group_stay_together(groups, edges, expected):
    found = list(cut(rows_of([ord(g) for g in groups]), spans_of(*edges)))
    assert ["".join(map(chr, part["group"][:, 0])) for part in found] == expected
    ids = np.concatenate([part["ids"][:, 0] for part in found])
    assert ids.tolist() == list(range(len(groups)))


def test_without_groups_the_slices_are_as_planned():
    chunks = [{k: v for k, v in chunk.items() if k != "group"} for chunk in rows_of([0] * 8)]
    assert [len(part["label"]) for part in cut(chunks, spans_of(0, 3, 6, 8))] == [3, 3, 2]


@pytest.mark.parametrize("stop", [7, 9])
def test_another_number_of_rows_is_an_error(stop):
    with pytest.raises(DataError, match=rf"is no longer {stop}; its files were changed"):
        list(cut(rows_of(range(8), chunk=8), spans_of(0, 3, stop)))


def test_batches_are_equal_up_to_a_row_and_hold_no_group():
    (rows,) = rows_of(range(10), chunk=10)
    rows["weight"] = np.arange(10, dtype=np.float32)[:, None]
    found = list(batches(rows, 4))
    assert [len(label) for _, label, _ in found] == [3, 3, 4]
    assert all(list(features) == ["ids"] for features, _, _ in found)
    assert [w for _, _, weight in found for w in weight[:, 0].numpy()] == list(range(10))
    assert batches(rows, 4).element_spec == batches(rows, 5).element_spec  # so nothing is retraced


def test_the_order_within_a_slice_depends_on_seed_and_number():
    (rows,) = rows_of(range(50), chunk=50)
    orders = [shuffled(rows, *at)["ids"][:, 0].tolist() for at in ((0, 1), (0, 1), (0, 2), (1, 1))]
    assert orders[0] == orders[1] and orders[2] != orders[0] != orders[3]
    assert sorted(orders[0]) == list(range(50)) != orders[0]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"slices": 0}, "`slices` must be an integer >= 1"),
        ({"slice_rows": 2.5}, "`slice_rows` must be an integer"),
        ({"splits": ()}, "one or more splits"),
        ({"splits": ("train", "train")}, "each only once"),
        ({"splits": "train"}, "sequence of names"),
        ({"shuffle": 1}, "True or False"),
    ],
)
def test_settings_out_of_range_are_named(arguments, words):
    with pytest.raises(ValueError, match=words):
        Progressive(**arguments)

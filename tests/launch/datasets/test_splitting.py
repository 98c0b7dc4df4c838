"""Splits of a stream: every row is in one split, in order, independent of the blocks."""

import datetime as dt

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from properties import examples

from launch.datasets.own_table import parse_shares
from launch.datasets.raw import RawData, RowAccount, in_memory, stream
from launch.datasets.splitting import fold_splits, random_splits, time_splits
from zoo import Categorical, Schema

SHARES = {"train": 0.7, "valid": 0.2, "test": 0.1}


def blocks(values, size):
    frames = [pl.DataFrame({"x": values[i : i + size]}) for i in range(0, len(values), size)]
    return lambda account: iter(frames)


def taken(rows, account=None):
    return [x for frame in rows(account or RowAccount()) for x in frame["x"].to_list()]


@given(st.integers(1, 300), st.integers(1, 60), st.integers(0, 2**40))
@examples(40)
@pytest.mark.slow
def test_a_random_split_is_a_partition_and_knows_no_blocks(rows, size, seed):
    values = list(range(rows))
    splits = random_splits(blocks(values, size), SHARES, seed)
    found = {name: taken(part) for name, part in splits.items()}
    assert sorted(x for part in found.values() for x in part) == values
    assert all(part == sorted(part) for part in found.values())
    whole = random_splits(blocks(values, rows), SHARES, seed)
    assert {name: taken(part) for name, part in whole.items()} == found
    together = {name: [] for name in SHARES}
    raw = RawData(Schema("s", [Categorical("x")]), splits)
    for name, frame in stream(raw, RowAccount()):
        together[name] += frame["x"].to_list()
    assert together == found


def test_shares_are_kept_up_to_chance_and_seeds_differ():
    rows = blocks(list(range(100_000)), 7001)
    sizes = {n: len(taken(part)) for n, part in random_splits(rows, SHARES, 0).items()}
    for name, share in SHARES.items():
        # Five standard deviations of a binomial.
        assert abs(sizes[name] - 1e5 * share) < 5 * np.sqrt(1e5 * share * (1 - share))
    one, other = (set(taken(random_splits(rows, SHARES, seed)["test"])) for seed in (1, 2))
    assert abs(len(one & other) - 1000) < 200


def test_folds_go_to_their_splits_and_the_count_must_fit():
    folds = np.array([0, 2, 1, 2, 3], np.uint8)
    parts = {"train": (2, 3), "test": (0,)}
    splits = fold_splits(blocks([10, 11, 12, 13, 14], 2), folds, parts)
    assert {name: taken(part) for name, part in splits.items()} == {
        "train": [11, 13, 14], "test": [10]}  # fmt: skip
    for other in ([1, 2, 3, 4], [1, 2, 3, 4, 5, 6]):
        with pytest.raises(ValueError, match="differs from the 5 rows"):
            taken(fold_splits(blocks(other, 2), folds, parts)["train"])


@pytest.mark.parametrize(
    "times",
    [
        [5, 1, 4, 2, 3, 3, 3, 9, 8, 7],
        ["5", "1", "4", " 2", "3", "3", "3", "9.0", "8", "7"],
        [f"2024-01-0{d}" for d in (5, 1, 4, 2, 3, 3, 3, 9, 8, 7)],
        [dt.datetime(2024, 1, d) for d in (5, 1, 4, 2, 3, 3, 3, 9, 8, 7)],
        [
            *("2024-01-05T00:00:00+00:00", "2024-01-04T18:00:00-0300", "2024-01-05T00:59:59+01"),
            *("2024-01-05T01:00+02:00", *["2024-01-05T00:30:00+01:00"] * 3, "2025-01-01"),
            *("2024-01-05 00:00:01Z", "2024-01-05T01:30:00.5+01:00"),
        ],
    ],
)
def test_a_split_by_time_keeps_equal_times_together(times):
    table = pl.DataFrame({"x": range(10), "t": times})
    splits = time_splits(in_memory(table), "t", {"train": 0.4, "test": 0.6})
    assert taken(splits["train"]) == [1, 3, 4, 5, 6]
    assert taken(splits["test"]) == [0, 2, 7, 8, 9]


def test_rows_without_a_time_are_damaged_and_in_no_split():
    table = pl.DataFrame({"x": range(4), "t": ["3", "", "yesterday", "1"]})
    splits = time_splits(in_memory(table), "t", {"train": 0.5, "test": 0.5})
    account = RowAccount()
    assert taken(splits["train"], account) == [3]
    assert account.damaged == {"no time in 't'": 2}
    assert taken(splits["test"]) == [0]
    with pytest.raises(ValueError, match="no time in column 'x' can be read"):
        time_splits(in_memory(table.with_columns(x=pl.lit("?"))), "x", SHARES)
    with pytest.raises(ValueError, match=r"time column 'x' has the type Time; use"):
        time_splits(in_memory(table.with_columns(x=dt.time(1))), "x", SHARES)
    with pytest.raises(ValueError, match="no time column 'day'"):
        time_splits(in_memory(table), "day", SHARES)


@pytest.mark.parametrize("text", ["", "1", "0.5,0.6", "0.5,-0.5,1", "a,b", "0.2,0.2,0.2,0.4"])
def test_shares_that_cannot_be_are_refused(text):
    with pytest.raises(ValueError, match="--split="):
        parse_shares(text)


def test_shares_of_a_call_must_add_up():
    with pytest.raises(ValueError, match=r"0\.5.*add up to 1"):
        random_splits(in_memory(pl.DataFrame()), {"train": 0.5}, 0)


DAYS = {"train": 0.8, "valid": 0.1, "test": 0.1}


def split_times(times, shares=DAYS):
    """The times of each split."""
    splits = time_splits(in_memory(pl.DataFrame({"x": times, "t": times})), "t", shares)
    return {name: taken(part) for name, part in splits.items()}


def test_equal_days_leave_no_split_empty():
    found = split_times([day for day in range(1, 10) for _ in range(1000)])
    assert {name: sorted(set(days)) for name, days in found.items()} == {
        "train": [1, 2, 3, 4, 5, 6, 7], "valid": [8], "test": [9]}  # fmt: skip


@pytest.mark.parametrize("times", [[1, 2, 3], [1, *[2] * 100, 3], [*[1] * 100, 2, 3], [3, 1, 2]])
def test_as_many_times_as_splits_are_one_each(times):
    found = {name: set(part) for name, part in split_times(times).items()}
    assert found == {"train": {1}, "valid": {2}, "test": {3}}


def test_the_last_time_holds_nearly_all_rows():
    found = split_times([1, 2, 3, 4, *[5] * 1000])
    assert {name: set(part) for name, part in found.items()} == {
        "train": {1, 2, 3}, "valid": {4}, "test": {5}}  # fmt: skip


@given(st.lists(st.integers(0, 12), min_size=3, max_size=80))
@examples(60)
def test_a_split_by_time_is_ordered_and_has_no_empty_part(times):
    if len(set(times)) < 3:
        with pytest.raises(ValueError, match="too few for the 3 splits"):
            split_times(times)
        return
    found = split_times(times)
    assert sorted(x for part in found.values() for x in part) == sorted(times)
    assert all(found.values())
    assert max(found["train"]) < min(found["valid"]) <= max(found["valid"]) < min(found["test"])


@pytest.mark.parametrize(
    ("times", "words"),
    [
        ([7] * 500, "'t' holds one time in 500 rows, too few for the 3 splits train, valid, test"),
        ([7], "'t' holds one time in 1 rows"),
        ([1, 2, 1], "'t' holds 2 different times in 3 rows"),
        (["2024-01-01", "2024-01-01T00:00:00Z", "2024-01-01 00:00"], "holds one time in 3 rows"),
    ],
)
def test_too_few_times_are_counted_in_the_message(times, words):
    with pytest.raises(ValueError, match=words + ".*--split_by=random.*--split=0.8,0.2"):
        split_times(times)


@pytest.mark.parametrize(
    "times", [["2024-01-01", "1704067200", "2024-01-03"], ["2024", "2024-01-02", "2024-01-03"]]
)
def test_numbers_among_dates_are_no_times(times):
    with pytest.raises(ValueError, match=r"holds numbers \('\d+'\) and dates \('2024-01-0\d'\)"):
        split_times(times)


def test_a_year_in_one_block_and_a_date_in_another_are_noticed_too():
    frames = [pl.DataFrame({"t": [text]}) for text in ("2024", "2024-01-02", "2024-01-03")]
    with pytest.raises(ValueError, match="holds numbers"):
        time_splits(lambda account: iter(frames), "t", DAYS)

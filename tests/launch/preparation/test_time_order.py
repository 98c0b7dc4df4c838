"""The check that rows are in the order of time."""

import polars as pl
import pytest

from launch.datasets.raw import RawData, RowAccount, in_memory
from launch.preparation.rows import sliced_rows
from launch.preparation.time_order import TimeOrder
from zoo import Categorical, DataError, Schema


def test_each_split_has_an_order_of_its_own_over_all_its_tables():
    order, account = TimeOrder("day"), RowAccount()
    order.checked("train", pl.DataFrame({"day": ["1", "5"]}), account)
    order.checked("valid", pl.DataFrame({"day": ["2"]}), account)
    order.checked("train", pl.DataFrame({"day": ["5"]}), account)
    with pytest.raises(DataError, match=r"the valid rows .*1\.0 comes after 2\.0"):
        order.checked("valid", pl.DataFrame({"day": ["1"]}), account)
    assert not account.damaged


def test_rows_without_a_time_are_left_out_and_counted():
    order, account = TimeOrder("day"), RowAccount()
    frame = pl.DataFrame({"day": ["2024-01-01", "?", "2024-01-02", ""], "x": [1, 2, 3, 4]})
    assert order.checked("train", frame, account)["x"].to_list() == [1, 3]
    assert order.checked("train", frame[1:2], account).height == 0
    assert dict(account.damaged) == {"no time in 'day'": 3}


def test_only_a_schema_that_promises_the_order_is_checked():
    table = pl.DataFrame({"label": [0, 1], "day": [2, 1], "user": ["a", "b"]})
    fields = [Categorical("user")]
    splits = {"train": in_memory(table)}
    free = RawData(Schema("s", fields, time="day"), splits)
    assert [part.height for _, part in sliced_rows(free, RowAccount())] == [2]
    with pytest.raises(DataError, match=r"'day': 1\.0 comes after 2\.0"):
        list(
            sliced_rows(
                RawData(Schema("s", fields, time="day", time_ordered=True), splits), RowAccount()
            )
        )

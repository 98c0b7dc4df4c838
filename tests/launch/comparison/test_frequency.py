"""The AUC by frequency in the tables of a comparison."""

import pytest

from launch.comparison.frequency import (
    frequency_epochs_table,
    frequency_statistics,
    frequency_table,
)
from launch.comparison.sweep import measurements
from launch.run.history import Epoch, History


def run(*epochs):
    """A run whose first epoch is the best; `epochs` are the AUC of both buckets."""
    return History(
        tuple(
            Epoch(
                number, 0.5, 0.9 - number / 10, 0.6, 0.7, 0.6,
                measured={
                    "frequency_rows/0": 1500, "frequency_rows/1+": 20, "frequency_auc/0": rare,
                    **({} if frequent is None else {"frequency_auc/1+": frequent}),
                },
            )
            for number, (rare, frequent) in enumerate(epochs, 1)
        )
    )  # fmt: skip


RUNS = {
    "adam": [run((0.6, 0.8), (0.5, 0.7)), run((0.62, 0.8))],
    "helen": [run((0.65, 0.8), (0.66, 0.9)), run((0.66, None))],
}


def test_buckets_have_means_over_seeds_at_the_chosen_epoch_and_after_each():
    found = frequency_statistics(RUNS, "adam")
    assert found.rows == {"0": 1500, "1+": 20}
    rare = found.chosen["0"]
    assert rare["adam"].mean == pytest.approx(0.61) and rare["adam"].difference is None
    assert rare["helen"].difference == pytest.approx(0.045) and rare["helen"].pairs == 2
    assert found.chosen["1+"]["helen"].values == (0.8, None)  # a bucket of one class
    assert found.epochs["0"][1]["adam"].values == (0.5, None)  # a run that ended before
    assert found.json()["epochs"]["1+"][1]["helen"]["mean"] == 0.9


def test_the_tables_show_all_buckets():
    found = frequency_statistics(RUNS, "adam")
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in
            frequency_table(found).splitlines()]  # fmt: skip
    assert rows[0] == ["optimizer", "", "0", "1+"] and rows[2] == ["rows", "", "1,500", "20"]
    assert rows[3][:3] == ["adam", "AUC", ".6100 ± .0141"]
    assert rows[5][:2] == ["", "less adam (p)"] and rows[5][2].startswith("+.0450 (.")
    assert "| helen     | E1    | .6550 ± .0071 |" in frequency_epochs_table(found)


def test_they_are_not_among_the_other_measurements():
    assert not measurements(RUNS)
    assert frequency_statistics({"adam": [History((Epoch(1, 0.5, 0.7, 0.6),))]}, "adam") is None

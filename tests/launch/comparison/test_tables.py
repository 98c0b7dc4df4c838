"""The Markdown of a comparison: numbers as in the statistics, also of runs that diverged."""

import pytest

from launch.comparison.statistics import compare_runs, over_models
from launch.comparison.tables import (
    epochs_table,
    models_table,
    p_cell,
    plus_minus,
    statistics_table,
)
from launch.run.history import Epoch, History


def runs_of(*aucs):
    return [
        History((Epoch(1, 0.5, auc, 1 - auc, auc, 1 - auc), Epoch(2, 0.5, 0.6, 0.4, 0.6, 0.4)))
        for auc in aucs
    ]


RUNS = {
    "adam": runs_of(0.78, 0.781, 0.782),
    "helen": runs_of(0.7811, 0.7819, 0.783),
    "sgd": runs_of(0.71, 0.72, 0.73),
}


def cells(table):
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]


def test_every_contender_has_a_row_with_difference_and_p():
    found = compare_runs(RUNS, "adam")
    head, _, adam, helen, sgd = cells(statistics_table(found))
    assert head == [
        "optimizer", "test AUC", "less adam", "p", "test LogLoss", "less adam", "p", "seeds",
    ]  # fmt: skip
    assert adam == ["adam", ".7810 ± .0010", "-", "-", ".2190 ± .0010", "-", "-", "3"]
    assert helen[:3] == ["helen", ".7820 ± .0010", "+.0010 ± .0001"]
    assert helen[3] == p_cell(found.chosen["auc"]["helen"].p) == ".003"
    assert sgd[2] == "-.0610 ± .0090" and sgd[5] == "+.0610 ± .0090"


def test_differences_after_each_epoch():
    found = compare_runs(RUNS, "adam")
    head, _, adam, helen, sgd = cells(epochs_table(found))
    assert head == ["test AUC less adam", "E1", "E2"]
    assert adam == ["adam (mean)", ".7810 ± .0010", ".6000 ± .0000"]
    assert helen == ["helen", "+.0010 (.003)", "+.0000 (-)"]
    assert sgd[1].startswith("-.0610 (")


def test_models_side_by_side():
    models = {"dnn": compare_runs(RUNS, "adam"), "fm": compare_runs(RUNS, "adam")}
    head, _, adam, _, sgd = cells(models_table(over_models(models), "auc", "test", "adam"))
    assert head[:3] == ["test AUC", "dnn", "fm"]
    assert adam == ["adam", ".7810", ".7810", ".7810 ± .0000", "-", "-", "-"]
    assert sgd[-1] == "0 of 2" and sgd[4] == "-.0610 ± .0000"


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ((0.5, None), ".5000"),
        ((1.25, 0.5), "1.2500 ± .5000"),
        ((None, None), "-"),
        ((-0.00001, None, True), "-.0000"),
        ((0.0, 0.0, True), "+.0000 ± .0000"),
    ],
)
def test_numbers(given, text):
    assert plus_minus(*given) == text

"""Sweeps: a contender per value, and what callbacks measured beside the scores."""

import pytest

from launch.comparison.grid import Contender, parse_contenders
from launch.comparison.sweep import (
    measurements,
    measurements_table,
    shares_of_zero_rows,
    swept,
)
from launch.comparison.tradeoff import plot_tradeoff
from launch.run.history import Epoch, History


def test_each_value_is_a_contender_and_the_other_axes_stay():
    text = "adam;G=group_adam:l21=[1e-5,1e-4],learning_rate=[1e-3,3e-3]"
    adam, low, high = swept(parse_contenders(text), ["l21"])
    assert (adam.label, adam.family) == ("adam", "")
    assert (low.label, low.family, low.arguments) == ("G, l21=1e-05", "G", {"l21": 1e-5})
    assert high.arguments == {"l21": 1e-4}
    assert low.grid == high.grid == {"learning_rate": (1e-3, 3e-3)}


def test_two_axes_have_a_contender_per_pair_in_one_family():
    found = swept(parse_contenders("G=group_adam:l21=[1e-5,1e-4],l1=[0,1e-5]"), ["l21", "l1"])
    assert [each.label for each in found] == [
        f"G, l21={a}, l1={b}" for a in (1e-5, 1e-4) for b in (0, 1e-5)
    ]
    assert {each.family for each in found} == {"G"}


def test_a_value_that_is_a_list_is_shown_without_the_name_of_its_axis():
    names = ("magnitude_pruning(sparsity=0.5)", "sparsity")
    adam = Contender("Adam", "adam", {}, {"callbacks": (names, ("sparsity",))})
    found = swept([adam], ["callbacks"])
    assert [each.label for each in found] == [f"Adam, {' + '.join(names)}", "Adam, sparsity"]
    assert found[0].arguments == {"callbacks": names}


def test_an_axis_that_no_optimizer_has_is_named_with_those_that_exist():
    with pytest.raises(ValueError, match=r"'l12'.*Did you mean 'l21'.*Axes: l21"):
        swept(parse_contenders("group_adam:l21=[1e-5,1e-4]"), ["l12"])


def run(*values):
    epochs = [
        Epoch(place + 1, 0.5, auc, 1 - auc, auc, 1 - auc, measured={"zero_rows/ids": share})
        for place, (auc, share) in enumerate(values)
    ]
    return History(tuple(epochs))


RUNS = {
    "adam": [run((0.78, 0.0), (0.70, 0.0)), run((0.79, 0.0), (0.70, 0.0))],
    "G, l21=1": [run((0.76, 0.2), (0.77, 0.5)), run((0.78, 0.3), (0.77, 0.9))],
}


def test_measurements_are_those_of_the_chosen_epochs():
    measured = measurements(RUNS)
    assert measured == {"zero_rows/ids": {"adam": [0.0, 0.0], "G, l21=1": [0.5, 0.3]}}
    assert shares_of_zero_rows(measured) == {"adam": 0.0, "G, l21=1": 0.4}
    assert "| G, l21=1  | .4000" in measurements_table(measured)


def test_shares_of_several_tables_are_not_averaged():
    assert shares_of_zero_rows({"zero_rows/a": {"x": [0.5]}, "zero_rows/b": {"x": [0.1]}}) == {}
    assert measurements_table({}) == "" == measurements_table({str(n): {} for n in range(9)})


def test_the_tradeoff_is_drawn(tmp_path):
    shares = {"adam": 0.0, "G, l21=1": 0.4, "G, l21=2": 0.9}
    scores = {"adam": [0.78, 0.79], "G, l21=1": [0.77, None], "G, l21=2": [0.5, 0.51]}
    families = {"adam": "", "G, l21=1": "G", "G, l21=2": "G"}
    path = str(tmp_path / "zero_rows.png")
    assert plot_tradeoff(shares, scores, families, path, "data: dnn", "test") == path
    assert (tmp_path / "zero_rows.png").read_bytes()[:4] == b"\x89PNG"

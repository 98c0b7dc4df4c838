"""Paired t-tests over seeds, against scipy and against the textbook's formula."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from launch.comparison.statistics import (
    compare_runs,
    confidence_interval,
    over_models,
    summarize,
)
from launch.run.history import Epoch, History

SCORES = st.floats(0.5, 1.0, width=32)


@given(st.lists(st.tuples(SCORES, SCORES), min_size=2, max_size=8))
def test_a_summary_is_the_paired_test_of_scipy(pairs):
    values, baseline = zip(*pairs, strict=True)
    found = summarize(values, baseline)
    differences = np.subtract(values, baseline)
    assert found.mean == pytest.approx(np.mean(values))
    assert found.deviation == pytest.approx(np.std(values, ddof=1))
    assert found.difference == pytest.approx(differences.mean(), abs=1e-12)
    if values == baseline:
        assert found.p is None and found.t is None
    elif np.std(differences) > 1e-12:
        expected = stats.ttest_rel(values, baseline)
        assert (found.t, found.p) == (expected.statistic, expected.pvalue)
        # The same as a test of the differences against 0.
        other = stats.ttest_1samp(differences, 0.0)
        assert found.p == pytest.approx(other.pvalue, rel=1e-6, abs=1e-12)


def test_pairing_sees_what_a_test_of_the_means_does_not():
    baseline = [0.70, 0.75, 0.80, 0.85]
    values = [0.702, 0.7521, 0.8019, 0.852]
    found = summarize(values, baseline)
    assert found.p < 0.001 < stats.ttest_ind(values, baseline).pvalue
    t = np.mean([0.002, 0.0021, 0.0019, 0.002])
    t /= np.std([0.002, 0.0021, 0.0019, 0.002], ddof=1) / 2
    assert found.t == pytest.approx(t)


def test_what_cannot_be_tested_has_no_p():
    assert summarize([0.7], [0.6]).p is None
    assert summarize([0.7], [0.6]).difference == pytest.approx(0.1)
    assert summarize([], []).mean is None
    assert summarize([0.7, 0.8]).difference is None
    with pytest.raises(ValueError, match="same seeds"):
        summarize([0.7, 0.8], [0.7])


def test_a_seed_that_one_of_them_lacks_is_left_out_of_the_pairs():
    found = summarize([0.7, None, 0.8, 0.9], [0.6, 0.7, None, 0.7])
    assert found.pairs == 2 and found.mean == pytest.approx(0.8)
    assert found.difference == pytest.approx(0.15)
    assert found.p == stats.ttest_rel([0.7, 0.9], [0.6, 0.7]).pvalue


@given(st.lists(SCORES, min_size=2, max_size=8))
def test_the_interval_is_student_s(values):
    low, high = confidence_interval(values)
    if np.std(values) < 1e-9:
        assert low == pytest.approx(high)
        return
    expected = stats.t.interval(0.95, len(values) - 1, np.mean(values), stats.sem(values))
    assert (low, high) == pytest.approx(expected)


def run(*epochs):
    """Epochs of (valid AUC, test AUC); LogLoss is 1 - AUC."""
    return History(tuple(Epoch(i + 1, 0.5, v, 1 - v, t, 1 - t) for i, (v, t) in enumerate(epochs)))


ADAM = [run((0.78, 0.77), (0.70, 0.69)), run((0.79, 0.78), (0.71, 0.72))]
# The validation split chooses the second epoch, though the first has the better test score.
HELEN = [run((0.77, 0.90), (0.80, 0.79)), run((0.78, 0.77), (0.81, 0.81))]


def test_each_metric_is_tested_at_the_epoch_that_validation_chooses():
    found = compare_runs({"adam": ADAM, "helen": HELEN}, "adam")
    assert found.split == "test" and found.baseline == "adam"
    auc = found.chosen["auc"]
    assert auc["adam"].values == (0.77, 0.78) and auc["helen"].values == (0.79, 0.81)
    assert auc["helen"].p == stats.ttest_rel([0.79, 0.81], [0.77, 0.78]).pvalue
    loss = found.chosen["logloss"]["helen"]
    assert loss.difference == pytest.approx(-0.025)
    first, second = (epoch["helen"].values for epoch in found.epochs["auc"])
    assert first == (0.90, 0.77) and second == (0.79, 0.81)
    assert auc["adam"].difference is None and auc["adam"].p is None


def test_the_baseline_may_be_any_contender():
    one = compare_runs({"adam": ADAM, "helen": HELEN}, "adam").chosen["auc"]["helen"]
    other = compare_runs({"adam": ADAM, "helen": HELEN}, "helen").chosen["auc"]["adam"]
    assert one.difference == -other.difference and one.p == other.p


def test_data_without_a_test_split_are_compared_by_validation():
    runs = {"adam": [History((Epoch(1, 0.5, 0.7, 0.6),))]}
    found = compare_runs(runs, "adam")
    assert found.split == "valid" and found.chosen["auc"]["adam"].mean == 0.7


def test_runs_that_ended_early_or_have_no_epoch():
    found = compare_runs({"adam": ADAM, "bad": [History(()), HELEN[1]]}, "adam")
    assert found.chosen["auc"]["bad"].pairs == 1 and found.chosen["auc"]["bad"].p is None
    empty = compare_runs({"adam": [History(())]}, "adam")
    assert empty.chosen["auc"]["adam"].mean is None and empty.epochs["auc"] == []


def test_over_models_seeds_are_paired_and_models_give_the_spread():
    def shifted(by):
        return [run((0.77, 0.77 + by), (0.80, 0.79 + by)), run((0.78, 0.77), (0.81, 0.81 + by))]

    models = {
        "dnn": compare_runs({"adam": ADAM, "helen": shifted(0.0)}, "adam"),
        "fm": compare_runs({"adam": ADAM, "helen": shifted(-0.05)}, "adam"),
    }
    found = over_models(models)
    helen = found["helen"]
    assert helen.means == pytest.approx({"dnn": 0.80, "fm": 0.75})
    assert helen.mean.values == pytest.approx((0.765, 0.785))
    assert helen.deviation == pytest.approx(np.std([0.80, 0.75], ddof=1))
    assert helen.difference_deviation == pytest.approx(np.std([0.025, -0.025], ddof=1))
    assert helen.mean.p == stats.ttest_rel(helen.mean.values, (0.77, 0.78)).pvalue
    assert helen.wins == 1 and found["adam"].mean.difference is None
    loss = over_models(models, "logloss")["helen"]
    assert loss.wins == 1 and loss.mean.difference == pytest.approx(-helen.mean.difference)


def test_a_model_without_results_leaves_the_others():
    models = {
        "dnn": compare_runs({"adam": ADAM, "helen": HELEN}, "adam"),
        "fm": compare_runs({"adam": ADAM, "helen": [History(()), History(())]}, "adam"),
    }
    found = over_models(models)["helen"]
    assert found.means["fm"] is None and found.mean.mean is None and found.wins == 1
    assert math.isclose(found.means["dnn"], 0.80)

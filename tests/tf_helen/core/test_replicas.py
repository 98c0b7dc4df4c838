"""Two replicas train as one on the same global batch."""

import numpy as np
import pytest
from kinds import some
from once import results_of_program
from optimizer_table import ENTRIES, OVER_REPLICAS

# What differs in kind: two passes with decay, and a plain sum of gradients with clipping
# (`BESIDE`). Curvatures, counters and an alpha found while training are among the slow ones.
FAST = ("Helen(AdamAR)",)
SLOW = tuple(name for name in OVER_REPLICAS if name not in FAST)
BESIDE = ("Adam clipped", "SAM replica", "Helen damaged")


@pytest.fixture
def results_for(tmp_path_factory):
    """A function from the name of an optimizer to what the program saves."""

    def found(name):
        fast = (*FAST, *BESIDE)
        names = fast if name in fast else (*SLOW, "AdamAR damaged")
        return results_of_program(tmp_path_factory, "two_replicas.py", *names)

    return found


def largest_difference(results, name):
    keys = [key.split("/")[-1] for key in results if key.startswith(f"{name}/one/")]
    weights = [key for key in keys if key.isdigit()]
    assert weights
    pairs = [(results[f"{name}/one/{k}"], results[f"{name}/two/{k}"]) for k in weights]
    return max(np.abs(one - two).max() for one, two in pairs)


@pytest.mark.parametrize("name", some([*OVER_REPLICAS, "Adam clipped"], [*FAST, "Adam clipped"]))
def test_two_replicas_equal_one(results_for, name):
    results = results_for(name)
    # a second pass, and a division by a Hessian near 0, enlarge what rounding leaves
    tolerance = 1e-5 if name in ENTRIES and ENTRIES[name].multi_pass else 1e-6
    if name.startswith("Adagrad"):
        tolerance = 2e-6  # G from 0: its first steps are lr long whatever the gradient's rounding
    if name.startswith("RowWiseRMSprop"):
        tolerance = 1e-5  # v from 0: its first steps are 10 lr long
    assert largest_difference(results, name) <= tolerance
    assert results[f"{name}/copies_differ_by"] == 0


@pytest.mark.parametrize("name", some(OVER_REPLICAS, FAST))
def test_metrics_and_loss_are_those_of_the_global_batch(results_for, name):
    results = results_for(name)
    for metric in ("loss", "auc", "logloss"):
        one, two = (results[f"{name}/{replicas}/{metric}"] for replicas in ("one", "two"))
        np.testing.assert_allclose(one, two, atol=1e-4, err_msg=metric)


def test_each_replica_may_perturb_by_its_own_gradient(results_for):
    results = results_for("SAM replica")
    difference = largest_difference(results, "SAM replica")
    assert 1e-4 < difference < 0.5
    assert results["SAM replica/copies_differ_by"] == 0


@pytest.mark.parametrize("name", some(["AdamAR damaged", "Helen damaged"], ["Helen damaged"]))
def test_a_non_finite_gradient_on_one_replica_skips_the_step_on_all(results_for, name):
    results = results_for(name)
    assert results[f"{name}/finite"]
    assert results[f"{name}/steps"] == 14  # 16 batches, the damaged one in both epochs

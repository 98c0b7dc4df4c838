"""Sparse group lasso against the released kernels' arithmetic and its repair."""

import base
import golden
import numpy as np
import pytest

INPUTS = golden.load("rows/inputs.npz")
STEPS = len(INPUTS["offsets"]) - 1
LATE = slice(40, 47)  # rows on which the released kernel forgets epsilon * e


def group_adam(entry, **changed):
    hyper = {"b1": 0.9, **entry["hyper"], **changed}
    return base.optimizers.GroupAdam(
        1.0,
        beta_1=hyper["b1"],
        epsilon=hyper["eps"],
        **{name: hyper.get(name, 0.0) for name in ("l1", "l21", "l2")},
    )


def group_ftrl(entry, released=True, **changed):
    hyper = {"lr_power": -0.5, **entry["hyper"], **changed}
    return base.optimizers.GroupFTRL(
        1.0,
        learning_rate_power=hyper["lr_power"],
        initial_accumulator_value=hyper["acc0"],
        l2_shrinkage=hyper.get("l2_shrinkage", 0.0),
        released=released,
        **{name: hyper.get(name, 0.0) for name in ("l1", "l21", "l2")},
    )


def trained(optimizer, run, entry, precision):
    """The table after every step."""
    suffix = "_dim1" if entry["dim"] == 1 else ""
    table = base.variable(INPUTS[f"w0{suffix}"].astype(precision), dtype=precision, name="table")
    seen = []
    for step in range(STEPS):
        optimizer.learning_rate = float(run["lr"][step])
        base.apply(optimizer, [golden.row_gradient(INPUTS, step, precision, suffix)], [table])
        seen.append(table.numpy())
    return np.stack(seen)


def params(prefix, keep=lambda name: True):
    runs = [(name, entry) for name, entry in golden.row_runs(prefix) if keep(name)]
    assert runs, f"no recorded run starts with {prefix}"
    return [pytest.param(name, entry, id=name) for name, entry in runs]


# The released v4 explodes with beta_1 = 0; its repair is recorded there too.
ADAM = params("gadam_v4")
ATOL = {"float32": 5e-6, "float64": 1e-9}


@pytest.mark.parametrize("name,entry", ADAM)
def test_group_adam_is_the_released_kernel_with_its_first_touch_repaired(name, entry, precision):
    run = golden.load(f"rows/{name}.npz")
    ours = trained(group_adam(entry), run, entry, precision)
    np.testing.assert_allclose(ours, run["w_rowinit_f64"], atol=ATOL[precision], rtol=0)
    if precision == "float64":
        np.testing.assert_array_equal(
            (ours == 0).all(axis=2), (run["w_rowinit_f64"] == 0).all(axis=2)
        )


@pytest.mark.parametrize("name,entry", params("gadam_v4", lambda name: "beta1=0" not in name))
def test_group_adam_is_the_released_kernel_where_the_two_agree(name, entry):
    run = golden.load(f"rows/{name}.npz")
    ours = trained(group_adam(entry), run, entry, "float32")
    agree = np.abs(run["w_f64"] - run["w_rowinit_f64"]).max(axis=(0, 2)) < 1e-9
    agree &= np.abs(run["w_official"] - run["w_rowinit_f64"]).max(axis=(0, 2)) < 5e-6
    assert agree.sum() > 5
    np.testing.assert_allclose(ours[:, agree], run["w_official"][:, agree], atol=5e-6)
    zero = (ours == 0).all(axis=2)
    np.testing.assert_array_equal(zero[:, agree], run["zeroed"][:, agree].astype(bool))


def test_the_released_first_touch_does_not_match():
    entry = dict(golden.row_runs("gadam_v4"))["gadam_v4_lr0.01_zero"]
    run = golden.load("rows/gadam_v4_lr0.01_zero.npz")
    ours = trained(group_adam(entry), run, entry, "float32")
    assert np.abs(ours - run["w_official"])[:, LATE].max() > 1e-2


def test_strengths_of_another_run_do_not_match():
    entry = dict(golden.row_runs("gadam_v4"))["gadam_v4_lr0.01_all"]
    run = golden.load("rows/gadam_v4_lr0.01_all.npz")
    for name in ("l1", "l21", "l2"):
        ours = trained(group_adam(entry, **{name: 0.0}), run, entry, "float32")
        assert np.abs(ours - run["w_rowinit_f64"]).max() > 1e-4, name


@pytest.mark.parametrize("name,entry", params("sgftrl"))
def test_group_ftrl_is_the_released_kernel(name, entry, precision):
    run = golden.load(f"rows/{name}.npz")
    ours = trained(group_ftrl(entry), run, entry, precision)
    if precision == "float64":
        np.testing.assert_allclose(ours, run["w_f64"], atol=1e-9, rtol=0)
        return
    np.testing.assert_allclose(ours, run["w_official"], atol=5e-6)
    np.testing.assert_array_equal((ours == 0).all(axis=2), run["zeroed"].astype(bool))


def test_shrinkage_of_tensorflow_is_not_that_of_the_released_kernel():
    entry = dict(golden.row_runs("sgftrl"))["sgftrl_lr0.05_shrink"]
    run = golden.load("rows/sgftrl_lr0.05_shrink.npz")
    optimizer = group_ftrl(entry, released=False)
    assert np.abs(trained(optimizer, run, entry, "float32") - run["w_official"]).max() > 1e-3

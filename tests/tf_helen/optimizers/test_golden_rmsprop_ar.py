"""Row-wise RMSprop with decay on occurrence against trajectories that FBGEMM took."""

import base
import golden
import numpy as np
import pytest

INPUTS = golden.load("rows/inputs.npz")
STEPS = len(INPUTS["offsets"]) - 1
RUNS = [pytest.param(name, settings, id=name) for name, settings in golden.rms_runs()]
# FBGEMM computes in float32; a row's first steps are 10 learning rates long.
ATOL = {0.01: 5e-7, 0.1: 4e-6}


def trained(settings, precision):
    """The table after every step, and the optimizer with the table."""
    optimizer = base.optimizers.RowWiseRMSpropAR(
        settings["lr"], alpha=settings["alpha"], min_shrinkage=settings["floor"]
    )
    table = base.variable(INPUTS["w0"], dtype=precision, name="table")
    seen = []
    for step in range(STEPS):
        base.apply(optimizer, [golden.row_gradient(INPUTS, step, precision)], [table])
        seen.append(table.numpy())
    return np.stack(seen), optimizer, table


@pytest.mark.parametrize("name,settings", RUNS)
def test_every_step_is_that_of_fbgemm(name, settings, precision):
    run = golden.load(f"rows/{name}.npz")
    seen, optimizer, table = trained(settings, precision)
    np.testing.assert_allclose(seen, run["w_f32"], atol=ATOL[settings["lr"]])
    inner, (table,) = base.inside(optimizer, [table])
    slots = inner.slots_of(table)
    np.testing.assert_allclose(slots["row_velocity"].numpy()[:, 0], run["state0"], atol=1e-7)
    np.testing.assert_array_equal(slots["history"].numpy()[:, 0], run["state1"])


@pytest.mark.parametrize("changed", [{"alpha": 2.9}, {"floor": 0.0}])
def test_the_settings_matter(changed):
    name = "rowwise_rmsprop_ar_lr0.1_alpha3_floor0.1"
    settings = dict(golden.rms_runs())[name]
    seen, _, _ = trained({**settings, **changed}, "float32")
    assert np.abs(seen - golden.load(f"rows/{name}.npz")["w_f32"]).max() > 1e-3

"""AdamAR and AdagradAR against recorded trajectories of the paper's Algorithm 1."""

import base
import golden
import numpy as np
import pytest
import tensorflow as tf

INPUTS = golden.load("rows/inputs.npz")
STEPS = len(INPUTS["offsets"]) - 1
ATOL = {"float32": 2e-6, "float64": 1e-9}


def build_optimizer(entry, **kwargs):
    hyper = entry["hyper"]
    kwargs = {"learning_rate": entry["lr"], "alpha": entry["alpha"], **kwargs}
    if entry["base"] == "adam":
        return base.optimizers.AdamAR(**kwargs)
    return base.optimizers.AdagradAR(
        initial_accumulator_value=hyper.get("acc0", 0.0),
        epsilon=hyper.get("eps", 1e-10),
        epsilon_inside=hyper.get("eps_inside", False),
        **kwargs,
    )


def params(prefix):
    runs = golden.row_runs(prefix)
    assert runs, f"no recorded run starts with {prefix}"
    return [pytest.param(name, entry, id=name) for name, entry in runs]


CONTINUOUS = params("adamAR_continuous") + params("adagradAR_continuous")


@pytest.mark.parametrize("sweep", ["every step", "every 7 steps", "at the end"])
@pytest.mark.parametrize("name,entry", CONTINUOUS)
def test_continuous_decay_as_stored_and_as_read(name, entry, sweep, precision):
    run = golden.load(f"rows/{name}.npz")
    optimizer = build_optimizer(entry)
    layer = base.embedding(50, 4, precision)
    layer.embeddings.assign(INPUTS["w0"])
    optimizer.build([layer.embeddings])
    for step in range(STEPS):
        read = layer(np.arange(50)).numpy()
        np.testing.assert_allclose(
            read, run["read_f64"][step], atol=ATOL[precision], err_msg=f"read at step {step + 1}"
        )
        gradient = golden.row_gradient(INPUTS, step, precision)
        base.apply(optimizer, [gradient], [layer.embeddings])
        last = step == STEPS - 1
        if sweep == "every step" or (sweep == "every 7 steps" and step % 7 == 6) or last:
            optimizer.finalize_variable_values([layer.embeddings])
            stored = layer.embeddings.numpy()
            np.testing.assert_allclose(stored, run["w_f64"][step], atol=ATOL[precision])
    inner, (table,) = base.inside(optimizer, [layer.embeddings])
    last_step = inner.slots_of(table)["history"].numpy()[:, 0]
    np.testing.assert_array_equal(last_step, run["s"][-1])


@pytest.mark.parametrize("name,entry", params("adagradAR_dense"))
def test_continuous_adagrad_equals_the_literal_algorithm(name, entry, precision):
    run = golden.load(f"rows/{name}.npz")
    optimizer = build_optimizer(entry)
    table = base.variable(INPUTS["w0"], dtype=precision)
    for step in range(STEPS):
        base.apply(optimizer, [golden.row_gradient(INPUTS, step, precision)], [table])
        optimizer.finalize_variable_values([table])
        np.testing.assert_allclose(table.numpy(), run["w_f64"][step], atol=ATOL[precision])


DENSE = params("adamAR_dense") + params("adagradAR_dense")


@pytest.mark.parametrize("fed", ["slices", "dense"])
@pytest.mark.parametrize("name,entry", DENSE)
def test_dense_moments_are_the_literal_algorithm(name, entry, fed, precision):
    run = golden.load(f"rows/{name}.npz")
    optimizer = build_optimizer(entry, moments="dense")
    table = base.variable(INPUTS["w0"], dtype=precision)
    for step in range(STEPS):
        gradient = golden.row_gradient(INPUTS, step, precision)
        if fed == "dense":
            gradient = tf.constant(INPUTS["grads_dense"][step], precision)
        base.apply(optimizer, [gradient], [table])
        # the recorded dense gradients are float32 sums
        atol = max(ATOL[precision], 1e-7) if fed == "dense" else ATOL[precision]
        np.testing.assert_allclose(table.numpy(), run["w_f64"][step], atol=atol)


ON_OCCURRENCE = params("adamAR_lazy") + params("adagradAR_lazy")


@pytest.mark.parametrize("name,entry", ON_OCCURRENCE)
def test_decay_on_occurrence(name, entry, precision):
    run = golden.load(f"rows/{name}.npz")
    optimizer = build_optimizer(entry, decay="on_occurrence")
    table = base.variable(INPUTS["w0"], dtype=precision)
    for step in range(STEPS):
        base.apply(optimizer, [golden.row_gradient(INPUTS, step, precision)], [table])
        np.testing.assert_allclose(table.numpy(), run["w_f64"][step], atol=ATOL[precision])


def test_the_readings_differ():
    run = golden.load("rows/adamAR_lazy_lr0.01_alpha0.01.npz")
    entry = dict(golden.row_runs("adamAR_lazy"))["adamAR_lazy_lr0.01_alpha0.01"]
    table = base.variable(INPUTS["w0"])
    optimizer = build_optimizer(entry)
    for step in range(STEPS):
        base.apply(optimizer, [golden.row_gradient(INPUTS, step, "float32")], [table])
    optimizer.finalize_variable_values([table])
    assert np.abs(table.numpy() - run["w_f64"][-1]).max() > 1e-2

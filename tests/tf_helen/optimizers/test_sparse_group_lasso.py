"""Sparse group lasso: the base optimizer without strengths, a NumPy loop with them."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from optimizer_table import new_table, take_step

import tf_helen

LR = 0.05
HAT = {"epsilon_hat": True}
# group class, its arguments, base class, its arguments
PAIRS = {
    "GroupAdam": (tf_helen.GroupAdam, {}, tf_helen.Adam, HAT),
    "GroupAdam plain": (tf_helen.GroupAdam, {"epsilon_hat": False}, tf_helen.Adam, {}),
    "GroupAMSGrad": (tf_helen.GroupAMSGrad, {}, tf_helen.AMSGrad, HAT),
    "GroupAdagrad": (tf_helen.GroupAdagrad, {}, tf_helen.Adagrad, {}),
    "GroupMomentum": (tf_helen.GroupMomentum, {}, tf_helen.Momentum, {}),
    "GroupMomentum nesterov": (
        *(tf_helen.GroupMomentum, {"nesterov": True}),
        *(tf_helen.Momentum, {"nesterov": True}),
    ),
    "GroupAdaHessian": (tf_helen.GroupAdaHessian, {}, tf_helen.AdaHessian, HAT),
    "GroupAdamAR": (tf_helen.GroupAdamAR, {"alpha": 0.02}, tf_helen.AdamAR, {"alpha": 0.02} | HAT),
}
SCHEDULE = keras.optimizers.schedules.PiecewiseConstantDecay([3, 6, 9], [0.05, 0.2, 0.01, 0.1])
VANISHING = {"l1": 1e-25, "l21": 1e-25, "l2": 1e-25}


def stream(steps=12, rows=7, width=3, seed=5):
    """Batches in which rows are absent, repeated, and first seen late."""
    rng = np.random.default_rng(seed)
    for step in range(steps):
        ids = rng.integers(0, min(rows, 3 + step // 2), 5)
        ids[-1] = ids[0]
        yield ids, rng.normal(size=(5, width))


def trained(optimizer, dtype="float32", **kwargs):
    """The table after every step."""
    table, seen = new_table(dtype=dtype), []
    for ids, weights in stream(**kwargs):
        take_step(optimizer, table, ids, weights)
        seen.append(table.numpy().copy())
    optimizer.finalize_variable_values([table])
    return np.stack([*seen, table.numpy()])


@pytest.mark.parametrize("rate", [LR, SCHEDULE], ids=["constant", "schedule"])
@pytest.mark.parametrize("name", PAIRS)
def test_without_strengths_it_is_the_base_optimizer(name, rate):
    group, arguments, base, its_arguments = PAIRS[name]
    expected = trained(base(rate, **its_arguments))
    assert np.abs(expected[-1] - expected[0]).max() > 1e-2
    np.testing.assert_array_equal(trained(group(rate, **arguments)), expected)
    # A vanishing strength takes the way of the regularized update.
    found = trained(group(rate, **arguments, **VANISHING))
    np.testing.assert_allclose(found, expected, atol=3e-6)


@pytest.mark.parametrize("strengths", [{}, {"l1": 0.02, "l21": 0.05, "l2": 0.1}], ids=str)
def test_group_adam_ar_without_decay_is_group_adam(strengths):
    one = trained(tf_helen.GroupAdamAR(LR, alpha=0.0, **strengths))
    np.testing.assert_allclose(one, trained(tf_helen.GroupAdam(LR, **strengths)), atol=1e-7)
    other = trained(tf_helen.GroupAdamAR(LR, alpha=0.05, **strengths))
    assert np.abs(one - other).max() > 1e-2


# Against the formulas as METHODS.md writes them, with the linear sum z and the denominator D.


def parts(kind, state, gradient, count, t):
    """u and D' of one row of the base optimizer, without the learning rate."""
    if kind is tf_helen.GroupMomentum:
        state["m"] = 0.9 * state["m"] + gradient
        return state["m"], np.ones_like(gradient)
    if kind is tf_helen.GroupAdagrad:
        state["v"] = state["v"] + gradient**2
        return gradient, np.sqrt(state["v"]) + 1e-10
    # of the loss of `take_step` the Hessian's diagonal is how often the row occurs
    squares = np.full_like(gradient, count**2) if kind is tf_helen.GroupAdaHessian else gradient**2
    state["m"] = 0.9 * state["m"] + 0.1 * gradient
    state["v"] = 0.999 * state["v"] + 0.001 * squares
    state["most"] = np.maximum(state["most"], state["v"])
    v = state["most"] if kind is tf_helen.GroupAMSGrad else state["v"]
    epsilon = 1e-4 if kind is tf_helen.GroupAdaHessian else 1e-8
    return state["m"] * np.sqrt(1 - 0.999**t) / (1 - 0.9**t), np.sqrt(v) + epsilon


def by_formula(kind, l1, l21, l2, **kwargs):
    """The table after every step, and how many rows came back from zero."""
    table = new_table(dtype="float64").numpy().copy()
    width, seen, revived = table.shape[1], [], 0
    zero = np.zeros(width)
    states = [{"m": zero, "v": zero, "most": zero, "z": zero, "D": zero} for _ in table]
    for t, (ids, weights) in enumerate(stream(**kwargs), 1):
        lr = float(SCHEDULE(t - 1))
        for row in np.unique(ids):
            e, state, count = table[row], states[row], np.sum(ids == row)
            gradient = weights[ids == row].sum(0) + count * e
            u, new = parts(kind, state, gradient, count, t)
            z = state["z"] = state["z"] + lr * u - (new - state["D"]) * e
            state["D"] = new
            s = np.clip(z, -lr * l1, lr * l1) - z
            norm, least = np.linalg.norm(s), lr * np.sqrt(width) * l21
            was_zero = not e.any() and t > 1
            table[row] = 0 if norm <= least else (1 - least / norm) * s / (new + 2 * lr * l2)
            revived += bool(was_zero and table[row].any())
        seen.append(table.copy())
    return np.stack(seen), revived


STRENGTHS = [
    {"l1": 0.5, "l21": 0.0, "l2": 0.0},
    {"l1": 0.0, "l21": 0.6, "l2": 0.0},
    {"l1": 0.0, "l21": 0.0, "l2": 0.5},
    {"l1": 0.2, "l21": 0.3, "l2": 0.5},
]
# The strengths act against the denominator, which differs in size.
SIZES = {
    tf_helen.GroupAdam: 0.5,
    tf_helen.GroupAMSGrad: 0.5,
    tf_helen.GroupAdagrad: 20.0,
    tf_helen.GroupMomentum: 5.0,
    tf_helen.GroupAdaHessian: 0.5,
}


@pytest.mark.parametrize("strengths", STRENGTHS, ids=str)
@pytest.mark.parametrize("kind", SIZES)
def test_with_strengths_it_is_the_formula_under_a_schedule(kind, strengths):
    strengths = {name: SIZES[kind] * value for name, value in strengths.items()}
    expected, revived = by_formula(kind, steps=24, **strengths)
    keras.config.set_floatx("float64")  # in which Keras stores learning rates
    try:
        found = trained(kind(SCHEDULE, **strengths), "float64", steps=24)
    finally:
        keras.config.set_floatx("float32")
    # schedules of Keras are float32
    np.testing.assert_allclose(found[:-1], expected, atol=1e-6)
    np.testing.assert_array_equal(found[:-1] == 0, expected == 0)
    if strengths["l1"] or strengths["l21"]:
        assert (expected == 0).any()
        assert expected[-1].any()
    if strengths["l21"]:
        assert revived, "no row came back from zero: that was not tested"


@pytest.mark.parametrize("name", [n for n in PAIRS if n != "GroupAdamAR"])
def test_what_is_held_back_is_bounded(name):
    """Thresholds do not add up over steps: each update solves for the rows again."""
    group, arguments, _, _ = PAIRS[name]
    optimizer = group(LR, l1=0.02, l21=0.03, **arguments)
    table = new_table()
    for ids, weights in stream(20):
        take_step(optimizer, table, ids, weights)
        held = optimizer.slots_of(table)["held_back"].numpy()
        assert np.abs(held).max() <= LR * (0.02 + np.sqrt(3) * 0.03) * (1 + 1e-5)
    assert np.abs(held).max() > 0
    optimizer.learning_rate = 0.0  # has no thresholds, and must not give back what is held
    take_step(optimizer, table, *next(stream()))
    np.testing.assert_array_equal(optimizer.slots_of(table)["held_back"].numpy(), held)


def test_a_row_at_zero_comes_back():
    table = keras.Variable([[0.01, 0.02], [1.0, 2.0]], name="table")
    optimizer = tf_helen.GroupAdam(0.1, l21=0.05)

    def step(size):
        gradient = tf.IndexedSlices(tf.constant([[size, -size]]), tf.constant([0]))
        optimizer.apply([gradient], [table])

    step(1e-3)
    assert not table.numpy()[0].any()
    slots = optimizer.slots_of(table)
    assert slots["momentum"].numpy()[0].all() and slots["held_back"].numpy()[0].all()
    for _ in range(5):
        step(10.0)
    assert (table.numpy()[0] * [-1, 1] > 0).all()
    np.testing.assert_array_equal(table.numpy()[1], [1.0, 2.0])


# Which weights are regularized.


def moved_by(optimizer, variables, gradients):
    for _ in range(3):
        optimizer.apply([tf.constant(g) for g in gradients], variables)
    return [v.numpy() for v in variables]


def weights():
    rng = np.random.default_rng(2)
    shapes = {"kernel": (5, 3), "bias": (3,), "scale": ()}
    made = [keras.Variable(0.1 * rng.normal(size=s), name=n) for n, s in shapes.items()]
    return made, [rng.normal(size=s).astype(np.float32) for s in shapes.values()]


@pytest.mark.parametrize("kind", [tf_helen.GroupAdam, tf_helen.GroupFTRL])
def test_biases_are_not_regularized_and_kernels_by_input_row(kind):
    variables, gradients = weights()
    gradients[0][1] *= 1e-3  # an input that matters little
    free = moved_by(kind(LR), variables, gradients)
    variables, gradients = weights()
    gradients[0][1] *= 1e-3
    l21 = 0.02 if kind is tf_helen.GroupAdam else 0.5
    held = moved_by(kind(LR, l21=l21), variables, gradients)
    np.testing.assert_array_equal(held[1], free[1])
    np.testing.assert_array_equal(held[2], free[2])
    zero = (held[0] == 0).all(axis=1)
    assert zero[1] and not zero.all()
    assert np.abs(held[0] - free[0]).max() > 1e-3


def test_a_linear_table_of_rank_one_is_regularized():
    table = keras.Variable([0.01, 1.0, 1.0], name="linear")
    gradient = tf.IndexedSlices(tf.constant([0.1, 0.1]), tf.constant([0, 1]))
    tf_helen.GroupAdam(0.1, l21=0.01).apply([gradient], [table])
    assert (table.numpy() == 0).tolist() == [True, False, False]


@pytest.mark.parametrize("kind", [tf_helen.GroupAdam, tf_helen.GroupFTRL])
def test_strengths_by_pattern_and_the_first_match_counts(kind):
    names = ("model_embedding_embeddings", "model_linear_embeddings", "model_dense_kernel")

    def moved(**strengths):
        variables = [keras.Variable(0.1 * np.ones((4, 2)), name=n) for n in names]
        gradients = [0.5 * np.ones((4, 2), np.float32)] * 3
        return moved_by(kind(LR, **strengths), variables, gradients)

    by_pattern = moved(l2={"linear": 0.5, "emb*dings": 5.0})
    for found, strength in zip(by_pattern, (5.0, 0.5, 0.0), strict=True):
        np.testing.assert_allclose(found, moved(l2=strength)[0], atol=1e-7)
    assert len({float(found[0, 0]) for found in by_pattern}) == 3


@pytest.mark.parametrize("kind", [tf_helen.GroupAdam, tf_helen.GroupAdamAR, tf_helen.GroupFTRL])
def test_a_misspelt_pattern_is_an_error_and_regularizes_nothing_in_silence(kind):
    optimizer = kind(LR, l21={"tabel": 0.1, "*": 0.0})
    with pytest.raises(ValueError, match=r"'tabel' in `l21` matches no variable.*table"):
        take_step(optimizer, new_table(), [0, 1], np.ones((2, 3)))

"""FrequencyAware: the factor by NumPy, what it multiplies, and around which optimizers."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from optimizer_table import new_table, take_step

import tf_helen
from tf_helen.rules import FrequencyAwareRate, GroupLasso, OnTouchDecay, SGDRule

ROWS, RATE = 7, 0.1


def stream(steps=25, seed=3):
    """Slices of a power law: rows repeat, are absent for long, and occur with a zero gradient."""
    rng = np.random.default_rng(seed)
    for step in range(steps):
        ids = (rng.zipf(1.4, 6) - 1) % ROWS
        values = rng.normal(size=(6, 3))
        if step % 4 == 0:
            values[ids == ids[0]] = 0
        yield ids, values


def slices(ids, values):
    return tf.IndexedSlices(tf.constant(values, tf.float32), tf.constant(ids))


def by_formula(rho, cap, count, adagrad):
    """The table after every step, and the largest and least factor."""
    w, n, total = new_table().numpy().astype(np.float64), np.zeros(ROWS), np.full((ROWS, 3), 0.1)
    seen, factors = [], []
    for t, (ids, values) in enumerate(stream(), 1):
        for row in np.unique(ids):
            g = values[ids == row].sum(0)
            n[row] += 1 if count == "steps" else (ids == row).sum()
            factors.append(min((t / n[row]) ** rho, cap))
            total[row] += g**2
            w[row] -= RATE * factors[-1] * g / (np.sqrt(total[row]) if adagrad else 1)
        seen.append(w.copy())
    return seen, factors


@pytest.mark.parametrize("count", ["steps", "occurrences"])
@pytest.mark.parametrize("rho,cap", [(0.5, 1e6), (1.0, 2.5), (0.0, 1.0)])
@pytest.mark.parametrize("base", ["sgd", "adagrad"])
def test_every_step_is_the_formula(base, rho, cap, count):
    expected, factors = by_formula(rho, cap, count, base == "adagrad")
    if base == "adagrad":  # the rule of the library
        base = tf_helen.Adagrad(RATE, initial_accumulator_value=0.1, epsilon=0.0)
        optimizer = tf_helen.FrequencyAware(base_optimizer=base, rho=rho, cap=cap, count=count)
    else:
        optimizer = tf_helen.FrequencyAware(
            RATE, base_optimizer=base, rho=rho, cap=cap, count=count
        )
    table = new_table()
    for (ids, values), rows in zip(stream(), expected, strict=True):
        optimizer.apply([slices(ids, values)], [table])
        np.testing.assert_allclose(table.numpy(), rows, atol=1e-5)
    if rho:
        assert max(factors) > 2
        assert min(factors) == 1 if count == "steps" else min(factors) < 1


BASES = {
    "Adam": lambda: tf_helen.Adam(RATE),
    "AdamAR": lambda: tf_helen.AdamAR(RATE, alpha=0.05),
    "GroupAdam": lambda: tf_helen.GroupAdam(RATE, l21=0.05),
    "CowClip": lambda: tf_helen.CowClip(RATE, base_optimizer="adagrad", ratio=0.2),
    "RowWiseRMSpropAR": lambda: tf_helen.RowWiseRMSpropAR(RATE, alpha=2.0),
    "PerVariable": lambda: tf_helen.PerVariable({"table": tf_helen.Nadam(RATE), "*": "sgd"}),
}


def trained(optimizer, steps=25):
    table = new_table()
    for ids, values in stream(steps):
        optimizer.apply([slices(ids, values)], [table])
    optimizer.finalize_variable_values([table])
    return table.numpy()


@pytest.mark.parametrize("name", BASES)
def test_with_rho_zero_it_is_the_base_optimizer_to_the_bit(name):
    wrapped = tf_helen.FrequencyAware(base_optimizer=BASES[name](), rho=0.0)
    plain = trained(BASES[name]())
    np.testing.assert_array_equal(trained(wrapped), plain)
    other = tf_helen.FrequencyAware(base_optimizer=BASES[name](), rho=0.5)
    assert np.abs(trained(other) - plain).max() > 1e-3


def test_dense_weights_and_dense_gradients_keep_the_plain_step():
    layer = tf_helen.layers.Embedding(ROWS, 3)
    layer.build()
    kernel, table = keras.Variable(np.ones((2, 2)), name="kernel"), layer.embeddings
    start = table.numpy().copy()
    optimizer = tf_helen.FrequencyAware(RATE, base_optimizer="sgd", rho=2.0)
    for _ in range(3):
        optimizer.apply([tf.ones((2, 2)), tf.ones((ROWS, 3))], [kernel, table])
    np.testing.assert_allclose(kernel.numpy(), 1 - 3 * RATE, rtol=1e-6)
    np.testing.assert_allclose(table.numpy(), start - 3 * RATE, atol=1e-6)


def test_decay_is_not_multiplied():
    table = keras.Variable(np.ones((2, 1)), name="table")
    base = tf_helen.SGD(0.5, weight_decay=0.2)
    optimizer = tf_helen.FrequencyAware(base_optimizer=base, rho=1.0)
    for ids in ([0], [0], [0, 1]):
        optimizer.apply([slices(ids, np.zeros((len(ids), 1)))], [table])
    np.testing.assert_allclose(table.numpy().ravel(), [0.9**3, 0.9], rtol=1e-6)
    decayed = []
    for wrap in (False, True):
        table = keras.Variable(np.ones((2, 1)), name="table")
        one = tf_helen.AdamAR(0.0, alpha=0.1)
        one = tf_helen.FrequencyAware(base_optimizer=one, rho=1.0) if wrap else one
        for ids in ([0], [0], [0, 1]):
            one.apply([slices(ids, np.ones((len(ids), 1)))], [table])
        decayed.append(table.numpy())
    np.testing.assert_array_equal(*decayed)
    assert decayed[0][1] < 0.8


def test_thresholds_of_group_lasso_are_not_multiplied():
    rule = GroupLasso(SGDRule(), l21=0.3)
    base = tf_helen.RowSparseOptimizer(RATE, rule=rule)
    optimizer, table = tf_helen.FrequencyAware(base_optimizer=base, rho=1.0), new_table()
    start, gradient = table.numpy().astype(np.float64), np.full((1, 3), 0.7)
    optimizer.apply([slices([0], np.ones((1, 3)))], [table])
    optimizer.apply([slices([4], gradient)], [table])
    moved = start[4] - RATE * 2 * gradient[0]
    expected = moved * (1 - RATE * np.sqrt(3) * 0.3 / np.linalg.norm(moved))
    np.testing.assert_allclose(table.numpy()[4], expected, atol=1e-6)


def test_steps_that_do_not_train_the_table_do_not_count():
    """Where the base optimizer counts a table's own steps, as AdamAR does."""
    table = keras.Variable(np.zeros((2, 1)), name="table")
    bias = keras.Variable(np.zeros(1), name="bias")
    base = tf_helen.RowSparseOptimizer(1.0, rule=tf_helen.rules.IntervalDecay(SGDRule(), alpha=0.0))
    optimizer = tf_helen.FrequencyAware(base_optimizer=base, rho=1.0)
    optimizer.build([table, bias])
    optimizer.apply([slices([0], [[0.0]]), tf.ones(1)], [table, bias])
    for _ in range(5):
        optimizer.apply([tf.ones(1)], [bias])
    optimizer.apply([slices([1], [[-1.0]]), tf.ones(1)], [table, bias])
    assert table.numpy()[1, 0] == 2  # the second step of the table, the first of the row


# Around and inside other optimizers.


def test_the_order_with_cow_clip_does_not_matter():
    inside = tf_helen.CowClip(
        base_optimizer=tf_helen.FrequencyAware(RATE, base_optimizer="adagrad"), ratio=0.2
    )
    outside = tf_helen.FrequencyAware(
        base_optimizer=tf_helen.CowClip(RATE, base_optimizer="adagrad", ratio=0.2)
    )
    np.testing.assert_array_equal(trained(inside), trained(outside))


def test_inside_helen_the_second_gradient_takes_the_longer_step():
    """Of the loss |e|^2 / 2 the gradient at e + eps is e + eps."""
    table = new_table()
    inner = tf_helen.FrequencyAware(RATE, base_optimizer="sgd", rho=1.0)
    optimizer = tf_helen.Helen(rho=0.5, lower_bound=1.0, base_optimizer=inner)
    take_step(optimizer, table, [0], np.zeros((1, 3)))
    row = table.numpy()[4].astype(np.float64)
    take_step(optimizer, table, [4], np.zeros((1, 3)))
    expected = row - RATE * 2 * row * (1 + 0.5 / np.linalg.norm(row))
    np.testing.assert_allclose(table.numpy()[4], expected, atol=1e-6)


def test_running_helen_shares_the_counts():
    base = tf_helen.FrequencyAware(RATE, base_optimizer="adam", count="occurrences")
    optimizer, table = tf_helen.Helen(frequency="running", base_optimizer=base), new_table()
    for ids, values in stream(4):
        take_step(optimizer, table, ids, values)
    expected = np.bincount(np.concatenate([ids for ids, _ in stream(4)]), minlength=ROWS)
    np.testing.assert_array_equal(optimizer.row_history(table)["count"], expected)
    assert base.base_optimizer.history_columns() == ("count",)


def test_names_nest():
    optimizer = tf_helen.optimizers.get("helen(frequency_aware(adamar))", 0.5, alpha=1e-3, cap=9)
    wrapper = optimizer.base_optimizer
    assert type(wrapper) is tf_helen.FrequencyAware
    assert type(wrapper.base_optimizer) is tf_helen.AdamAR
    assert (wrapper.cap, wrapper.base_optimizer.alpha) == (9, 1e-3)
    assert float(optimizer.learning_rate) == 0.5


@pytest.mark.parametrize(
    "make,message",
    [
        (lambda: tf_helen.Helen(), r"Helen\(base_optimizer=FrequencyAware"),
        (lambda: keras.optimizers.Adam(), "optimizer of tf_helen"),
        (lambda: tf_helen.GroupFTRL(), "GroupFTRLRule defines an `update`.*defines `direction`"),
        (lambda: tf_helen.FrequencyAware(), "has a FrequencyAwareRate already"),
        (lambda: tf_helen.PerVariable({"*": keras.optimizers.SGD()}), "SGD of Keras"),
    ],
    ids=["Helen", "Keras", "GroupFTRL", "itself", "a part of Keras"],
)
def test_what_it_cannot_wrap(make, message):
    with pytest.raises(ValueError, match=message):
        tf_helen.FrequencyAware(base_optimizer=make())


def test_a_base_that_has_trained_or_is_wrapped():
    base = tf_helen.Adam()
    tf_helen.FrequencyAware(base_optimizer=base)
    with pytest.raises(ValueError, match=r"Adam has a FrequencyAwareRate already.*new optimizer"):
        tf_helen.FrequencyAware(base_optimizer=base)
    base = tf_helen.Adam()
    trained(base, steps=1)
    with pytest.raises(ValueError, match=r"has trained already.*new optimizer"):
        tf_helen.FrequencyAware(base_optimizer=base)


def test_as_a_rule_it_stands_inside_what_updates_by_itself():
    with pytest.raises(ValueError, match=r"OnTouchDecay\(FrequencyAwareRate"):
        FrequencyAwareRate(OnTouchDecay(SGDRule()))
    rule = FrequencyAwareRate(tf_helen.rules.IntervalDecay(SGDRule(), alpha=0.1), rho=1.0)
    other = tf_helen.rules.IntervalDecay(FrequencyAwareRate(SGDRule(), rho=1.0), alpha=0.1)
    results = [trained(tf_helen.RowSparseOptimizer(RATE, rule=r)) for r in (rule, other)]
    np.testing.assert_array_equal(*results)


# Files.


def compiled(base):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((2,), dtype="int32")
    x = keras.layers.Flatten()(tf_helen.layers.Embedding([9, 5], 3)(inputs))
    model = tf_helen.Model(inputs, keras.layers.Dense(1)(x))
    model.compile(tf_helen.FrequencyAware(base_optimizer=base, rho=0.7, cap=5.0), "mse")
    return model


def steps(model, first, last):
    rng = np.random.default_rng(0)
    ids = np.stack([(rng.zipf(1.4, 80) - 1) % size for size in (9, 5)], axis=1)
    for i in range(first, last):
        model.train_on_batch(ids[4 * i : 4 * i + 4], np.ones((4, 1)))
    return model.get_weights()


@pytest.mark.parametrize(
    "make",
    [
        lambda: tf_helen.AdamAR(0.05, alpha=0.02),
        # its configuration holds the rule itself
        lambda: tf_helen.RowSparseOptimizer(0.05, rule=tf_helen.rules.AdamRule()),
    ],
    ids=["AdamAR", "a rule"],
)
def test_training_goes_on_alike_after_a_file(make, tmp_path):
    model = compiled(make())
    steps(model, 0, 10)
    model.save(tmp_path / "m.keras")
    loaded = keras.saving.load_model(tmp_path / "m.keras")
    assert loaded.optimizer.get_config() == model.optimizer.get_config()
    for one, other in zip(steps(model, 10, 20), steps(loaded, 10, 20), strict=True):
        np.testing.assert_array_equal(one, other)

"""Row-wise Adagrad, decay by row counters and row records, against NumPy loops."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from optimizer_table import new_table

import tf_helen

LR = 0.1
ROWS = 7


def stream(steps=30, seed=3):
    """Slices of a power law: rows repeat, stay away for long, and occur with a zero gradient."""
    rng = np.random.default_rng(seed)
    for step in range(steps):
        ids = (rng.zipf(1.4, 6) - 1) % ROWS
        values = rng.normal(size=(6, 3))
        if step % 4 == 0:  # in the first too: a row that was never counted
            values[ids == ids[0]] = 0
        yield ids, values


def slices(ids, values):
    return tf.IndexedSlices(tf.constant(values, tf.float32), tf.constant(ids))


def summed(ids, values):
    """{row: its summed gradient} of a batch."""
    return {row: values[ids == row].sum(0) for row in np.unique(ids)}


@pytest.mark.parametrize("start", [0.0, 0.5])
def test_row_wise_adagrad_is_the_formula(start):
    table = new_table()
    w, total = table.numpy().astype(np.float64), np.full(ROWS, start)
    optimizer = tf_helen.RowWiseAdagrad(LR, initial_accumulator_value=start)
    for ids, values in stream():
        optimizer.apply([slices(ids, values)], [table])
        for row, gradient in summed(ids, values).items():
            total[row] += np.mean(gradient**2)
            w[row] -= LR * gradient / (np.sqrt(total[row]) + 1e-10)
        np.testing.assert_allclose(table.numpy(), w, atol=1e-5)
    accumulator = optimizer.slots_of(table)["row_accumulator"]
    assert accumulator.shape == (ROWS, 1)
    np.testing.assert_allclose(accumulator.numpy()[:, 0], total, rtol=1e-5)


def test_row_wise_adagrad_of_a_kernel_and_a_bias():
    kernel, bias = keras.Variable(np.zeros((2, 2))), keras.Variable(np.zeros(3))
    gradients = [tf.constant([[7.0, 1.0], [0.0, 0.0]]), tf.constant([2.0, -4.0, 0.0])]
    tf_helen.RowWiseAdagrad(1.0, epsilon=0.0).apply(gradients, [kernel, bias])
    np.testing.assert_allclose(kernel.numpy(), [[-1.4, -0.2], [0, 0]], atol=1e-6)
    np.testing.assert_allclose(bias.numpy(), [-1, 1, 0], atol=1e-6)


# Decay by counters.

DECAYING = {
    "AdamW": lambda **k: tf_helen.AdamW(LR, beta_1=0.0, beta_2=0.0, epsilon=1.0, **k),
    "AdagradW": lambda **k: tf_helen.AdagradW(LR, epsilon=1.0, **k),
}


def decayed_by_formula(name, halflife, strength, rate=lambda t: LR):
    """Rows after every step; without moments Adam's step is g / (|g| + 1)."""
    w = new_table().numpy().astype(np.float64)
    total, count, last, seen = np.zeros_like(w), np.zeros(ROWS), np.zeros(ROWS), []
    for t, (ids, values) in enumerate(stream(), 1):
        for row, gradient in summed(ids, values).items():
            if gradient.any():  # a row without a gradient is not counted, but decays
                count[row] = 1 + 2.0 ** (-(t - last[row]) / halflife) * count[row]
                last[row] = t
            factor = min(strength * halflife / max(count[row], 1), 1 / rate(t))
            w[row] *= 1 - rate(t) * factor
            total[row] += gradient**2
            root = np.abs(gradient) if name == "AdamW" else np.sqrt(total[row])
            w[row] -= rate(t) * gradient / (root + 1)
        seen.append(w.copy())
    return seen


@pytest.mark.parametrize("halflife", [1, 6.5, 1000])
@pytest.mark.parametrize("name", DECAYING)
def test_decay_by_counters_is_the_formula(name, halflife):
    strength = 0.3 / halflife
    expected = decayed_by_formula(name, halflife, strength)
    table, optimizer = new_table(), DECAYING[name](weight_decay=strength, counter_halflife=halflife)
    for (ids, values), rows in zip(stream(), expected, strict=True):
        optimizer.apply([slices(ids, values)], [table])
        np.testing.assert_allclose(table.numpy(), rows, atol=1e-5)


def test_the_strongest_decay_erases_a_row_and_does_not_turn_it():
    expected = decayed_by_formula("AdamW", 50, 10.0)
    table, optimizer = new_table(), DECAYING["AdamW"](weight_decay=10.0, counter_halflife=50)
    for (ids, values), rows in zip(stream(), expected, strict=True):
        optimizer.apply([slices(ids, values)], [table])
        np.testing.assert_allclose(table.numpy(), rows, atol=1e-5)


@pytest.mark.parametrize("name", DECAYING)
def test_dense_weights_and_excluded_tables_decay_without_counters(name):
    counted = DECAYING[name](weight_decay=0.1, counter_halflife=20)
    plain = DECAYING[name](weight_decay=0.1)
    results = []
    for optimizer in (counted, plain):
        kernel, table = keras.Variable(np.ones((3, 2)), name="kernel"), new_table()
        optimizer.exclude_from_weight_decay(var_names=["table"])
        for ids, values in stream(5):
            optimizer.apply([tf.ones((3, 2)), slices(ids, values)], [kernel, table])
        results.append([kernel.numpy(), table.numpy()])
    for one, other in zip(*results, strict=True):
        np.testing.assert_array_equal(one, other)


def test_at_learning_rate_zero_nothing_decays():
    table = new_table()
    before = table.numpy().copy()
    optimizer = tf_helen.AdamW(0.0, weight_decay=0.5, counter_halflife=5)
    for ids, values in stream(3):
        optimizer.apply([slices(ids, values)], [table])
    np.testing.assert_array_equal(table.numpy(), before)


# Records of rows.


def recorded(steps=30):
    """count, last_step and idle of every row after a stream."""
    count, last = np.zeros(ROWS, int), np.zeros(ROWS, int)
    for t, (ids, values) in enumerate(stream(steps), 1):
        np.add.at(count, ids, 1)
        for row, gradient in summed(ids, values).items():
            last[row] = t if gradient.any() else last[row]
    return {"count": count, "last_step": last, "idle": steps - last}


TRACKING = {
    "SGD": lambda **k: tf_helen.SGD(LR, **k),
    "AdamAR": lambda **k: tf_helen.AdamAR(LR, **k),
    "AdamW by counter": lambda **k: tf_helen.AdamW(LR, counter_halflife=9, **k),
    "GroupAdamAR": lambda **k: tf_helen.GroupAdamAR(LR, l21=0.01, **k),
    "CowClip": lambda **k: tf_helen.CowClip(base_optimizer=tf_helen.AdamAR(LR, **k)),
    "PerVariable": lambda **k: tf_helen.PerVariable({"table": tf_helen.Adam(LR, **k), "*": "sgd"}),
}


@pytest.mark.parametrize("name", TRACKING)
def test_row_history_is_that_of_the_stream(name):
    table, optimizer = new_table(), TRACKING[name](track_rows=True)
    for ids, values in stream():
        optimizer.apply([slices(ids, values)], [table])
    found = optimizer.row_history(table)
    expected = recorded()
    assert set(found) == set(expected)
    for column, values in expected.items():
        np.testing.assert_array_equal(found[column], values, err_msg=column)
    assert len(set(found["idle"])) > 2


@pytest.mark.parametrize("name", TRACKING)
def test_tracking_changes_nothing_else(name):
    results = []
    for track in (False, True):
        table, optimizer = new_table(), TRACKING[name](track_rows=track)
        for ids, values in stream(10):
            optimizer.apply([slices(ids, values)], [table])
        optimizer.finalize_variable_values([table])
        results.append(table.numpy())
    np.testing.assert_array_equal(*results)


def test_what_is_not_kept_is_not_told():
    table, optimizer = new_table(), tf_helen.AdamAR(LR)
    optimizer.apply([slices(*next(stream()))], [table])
    assert set(optimizer.row_history(table)) == {"last_step", "idle"}


@pytest.mark.parametrize(
    "make",
    [
        lambda: tf_helen.Adam(),
        lambda: tf_helen.CowClip(),
        lambda: tf_helen.PerVariable({"*": "adam"}),
        lambda: tf_helen.PerVariable({"*": keras.optimizers.SGD()}),
    ],
    ids=["Adam", "CowClip", "PerVariable", "PerVariable of Keras"],
)
def test_without_records_row_history_names_the_argument(make):
    table, optimizer = new_table(), make()
    optimizer.apply([slices(*next(stream()))], [table])
    with pytest.raises(ValueError, match="track_rows=True"):
        optimizer.row_history(table)


@pytest.mark.parametrize("base", [tf_helen.AdamAR, tf_helen.GroupAdamAR])
def test_running_helen_counts_in_the_records_of_its_base(base):
    table, optimizer = new_table(), tf_helen.Helen(frequency="running", base_optimizer=base(LR))
    for ids, values in stream(8):
        weights = tf.constant(values, tf.float32)
        optimizer.minimize(
            lambda ids=ids, w=weights: tf.reduce_sum(w * tf.gather(table.value, ids)), [table]
        )
    assert set(optimizer.slots_of(table)) == {"field_maximum"}
    records = [v for v in optimizer.variables if v.shape == (ROWS, 3) and "history" in v.name]
    assert len(records) == 1
    assert records[0] is optimizer.base_optimizer.slots_of(table)["history"]
    found, expected = optimizer.row_history(table), recorded(8)
    for column, values in expected.items():
        np.testing.assert_array_equal(found[column], values, err_msg=column)
    field_maximum = optimizer.slots_of(table)["field_maximum"].numpy()
    np.testing.assert_array_equal(field_maximum, [expected["count"].max()])

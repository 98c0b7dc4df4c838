"""CowClip: what is clipped, to which norm, and around which optimizers."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from optimizer_table import new_table, take_step

import tf_helen

IDS = np.array([1, 4, 1, 1, 6])
COUNTS = {1: 3, 4: 1, 6: 1}


def gradient_of(table, ids=IDS, size=5.0):
    """Slices of which each occurrence has a random value, and their sums by row."""
    values = size * np.random.default_rng(0).normal(size=(len(ids), *table.shape[1:]))
    sums = {row: values[ids == row].sum(axis=0) for row in np.unique(ids)}
    return tf.IndexedSlices(tf.constant(values, tf.float32), tf.constant(ids)), sums


def moved(optimizer, table, gradient):
    before = table.numpy().copy()
    optimizer.apply([gradient], [table])
    return before, before - table.numpy()


@pytest.mark.parametrize("l2", [0.0, 0.8])
@pytest.mark.parametrize("threshold", ["paper", "released"])
def test_rows_are_clipped_by_count_and_norm(threshold, l2):
    table, ratio, zeta = new_table(), 0.3, 0.9
    table.assign(table.numpy() * np.array([1, 1, 1, 1, 0.01, 1, 1])[:, None])  # zeta bounds row 4
    gradient, sums = gradient_of(table, size=0.7)
    optimizer = tf_helen.CowClip(
        1.0,
        base_optimizer="sgd",
        ratio=ratio,
        zeta=zeta,
        threshold=threshold,
        coupled_weight_decay=l2,
    )
    rows, found = moved(optimizer, table, gradient)
    least = zeta if threshold == "paper" else ratio**2 * np.sqrt(3) * zeta
    clipped = 0
    for row, count in COUNTS.items():
        g = sums[row] + l2 * rows[row]
        limit = count * max(ratio * np.linalg.norm(rows[row]), least)
        clipped += np.linalg.norm(g) > limit
        expected = g * limit / max(np.linalg.norm(g), limit)
        np.testing.assert_allclose(found[row], expected, atol=1e-5)
    assert clipped >= 1
    assert not found[[0, 2, 3, 5]].any()


@pytest.mark.parametrize("zeta", [0.0, 0.5])
def test_a_row_at_zero_moves_by_zeta_only(zeta):
    table = keras.Variable(np.zeros((7, 3)))
    gradient, _ = gradient_of(table, size=50.0)
    _, found = moved(tf_helen.CowClip(1.0, base_optimizer="sgd", zeta=zeta), table, gradient)
    for row, count in COUNTS.items():
        assert np.linalg.norm(found[row]) == pytest.approx(count * zeta, abs=1e-4)


@pytest.mark.parametrize("shape", [(7, 1), (7,)])
def test_linear_tables_are_clipped_on_demand_only(shape):
    steps = []
    for clip_linear in (False, True):
        table = keras.Variable(np.full(shape, 0.1), name="table")
        gradient, sums = gradient_of(table)
        optimizer = tf_helen.CowClip(1.0, base_optimizer="sgd", ratio=0.5, clip_linear=clip_linear)
        steps.append(moved(optimizer, table, gradient)[1])
    for row, count in COUNTS.items():
        np.testing.assert_allclose(steps[0][row], sums[row], rtol=1e-4)
        np.testing.assert_allclose(np.abs(steps[1][row]), 0.05 * count, rtol=1e-4)


def test_dense_weights_are_not_clipped():
    kernel = keras.Variable(np.full((4, 3), 0.01))
    _, found = moved(
        tf_helen.CowClip(1.0, base_optimizer="sgd", ratio=0.1), kernel, 9 * tf.ones((4, 3))
    )
    np.testing.assert_allclose(found, 9.0, rtol=1e-6)


@pytest.mark.parametrize("layer", ["tf_helen", "keras"])
def test_rows_that_were_away_are_measured_as_they_are_read(layer):
    """A table with a pending decay clips like one that was swept before every step."""
    results = []
    for swept in (True, False):
        if layer == "tf_helen":
            made = tf_helen.layers.Embedding(7, 3)
            made.build()
            table = made.embeddings
            table.assign(new_table().numpy())
        else:
            table = new_table()
        optimizer = tf_helen.CowClip(
            base_optimizer=tf_helen.AdagradAR(0.1, alpha=0.2, initial_accumulator_value=1.0),
            ratio=0.1,
        )
        for step in range(8):
            gradient, _ = gradient_of(table, np.array([step % 2, step % 2, 3 + step // 2]))
            optimizer.apply([gradient], [table])
            if swept:
                optimizer.finalize_variable_values([table])
        optimizer.finalize_variable_values([table])
        results.append(table.numpy())
    np.testing.assert_allclose(*results, atol=1e-6)


def test_inside_helen_the_second_gradient_is_clipped():
    """Of the loss |e|^2 / 2 per occurrence the gradient at e + eps is n (e + eps)."""
    table = new_table()
    start = table.numpy().copy()
    inner = tf_helen.CowClip(1.0, base_optimizer="sgd", ratio=0.4, zeta=0.0)
    optimizer = tf_helen.Helen(rho=0.5, lower_bound=1.0, base_optimizer=inner)
    take_step(optimizer, table, IDS, np.zeros((5, 3)))
    for row in COUNTS:
        # clipped to 0.4 n |e| along e, from n (|e| + 0.5): the length of eps is clipped away
        np.testing.assert_allclose(
            table.numpy()[row], start[row] * (1 - 0.4 * COUNTS[row]), atol=1e-5
        )


def test_the_order_of_the_two_wrappers_is_named():
    with pytest.raises(ValueError, match=r"Helen\(base_optimizer=CowClip"):
        tf_helen.CowClip(base_optimizer=tf_helen.Helen())

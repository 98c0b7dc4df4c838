"""AdaHessian: its estimate of the Hessian's diagonal against the true one."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tf_helen
from tf_helen.optimizers.hessian import (
    block_with_curvature,
    carrying,
    gradients_and_diagonals,
    parts_of,
    random_signs,
)

# Without memory and epsilon a step is g / |H|^power: the estimate can be read off it.
BARE = {"learning_rate": 1.0, "beta_1": 0.0, "beta_2": 0.0, "epsilon": 0.0}
IDS = np.array([0, 2, 2, 5, 2, 0])
COUNTS = np.bincount(IDS, minlength=7)[:, None]
CURVATURES = np.linspace(0.5, 3, 21).reshape(7, 3).astype(np.float32)


def new_table(seed=0):
    values = 1 + np.random.default_rng(seed).random((7, 3))
    return keras.Variable(values, dtype="float32", name="table")


def quadratic(table, ids=IDS):
    """Its Hessian is diagonal: `CURVATURES` times the count of the row."""
    squares = tf.gather(CURVATURES, ids) * tf.square(tf.gather(table.value, ids))
    return tf.reduce_sum(squares) / 2


def length_of_step(optimizer, closure, table):
    before = table.numpy().copy()
    optimizer.minimize(closure, [table])
    return before, before - table.numpy()


@pytest.mark.parametrize("power", [1.0, 0.5, 0.0])
def test_a_diagonal_hessian_is_found_exactly(power):
    table = new_table()
    optimizer = tf_helen.AdaHessian(**BARE, power=power)
    rows, moved = length_of_step(optimizer, lambda: quadratic(table), table)
    true = COUNTS * CURVATURES
    expected = np.divide(true * rows, true**power, out=np.zeros_like(rows), where=true > 0)
    np.testing.assert_allclose(moved, expected, rtol=1e-4)
    assert not moved[[1, 3, 4, 6]].any()


def test_the_average_is_over_the_row():
    table = new_table()
    optimizer = tf_helen.AdaHessian(**BARE, average="row")
    rows, moved = length_of_step(optimizer, lambda: quadratic(table), table)
    seen = np.unique(IDS)
    averaged = CURVATURES.mean(axis=1, keepdims=True)
    np.testing.assert_allclose(moved[seen], (rows * CURVATURES / averaged)[seen], rtol=1e-4)


def test_a_moment_of_squared_diagonals():
    """Two steps of the docstring's formula, in NumPy."""
    table = new_table()
    optimizer = tf_helen.AdaHessian(0.1, epsilon=1e-3)
    w, m, v = table.numpy().astype(np.float64), 0.0, 0.0
    for t in (1, 2):
        optimizer.minimize(lambda: quadratic(table), [table])
        diagonal = COUNTS * CURVATURES
        m, v = 0.9 * m + 0.1 * diagonal * w, 0.999 * v + 0.001 * diagonal**2
        w = w - 0.1 * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-3)
        np.testing.assert_allclose(table.numpy(), w, atol=1e-5)


def test_l2_adds_to_gradient_and_curvature():
    table = new_table()
    rows, moved = length_of_step(
        tf_helen.AdaHessian(**BARE, coupled_weight_decay=0.7), lambda: quadratic(table), table
    )
    seen = np.unique(IDS)
    np.testing.assert_allclose(moved[seen], rows[seen], rtol=1e-4)  # still Newton's step, to 0


LOOKUPS = {
    "two lookups": lambda t: quadratic(t) + 3 * quadratic(t, np.array([5, 6, 5])),
    "a lookup and a product": lambda t: quadratic(t) + tf.reduce_sum(tf.square(t.value)),
    "a lookup and a linear product": lambda t: quadratic(t) + tf.reduce_sum(t.value[2]),
}


@pytest.mark.parametrize("kind", LOOKUPS)
def test_a_table_that_is_used_twice(kind):
    table = new_table()
    with tf.GradientTape() as outer:
        with tf.GradientTape() as inner:
            loss = LOOKUPS[kind](table)
        gradient = tf.convert_to_tensor(inner.gradient(loss, table.value))
    # every loss here has a diagonal Hessian, whose rows sum to the diagonal
    diagonal = np.array(tf.convert_to_tensor(outer.gradient(gradient, table.value)))
    optimizer = tf_helen.AdaHessian(**BARE)
    _, moved = length_of_step(optimizer, lambda: LOOKUPS[kind](table), table)
    expected = np.divide(gradient, diagonal, out=np.zeros((7, 3)), where=diagonal != 0)
    np.testing.assert_allclose(moved, expected, rtol=1e-4)


def small_network():
    """Variables and the loss of a network whose Hessian is far from diagonal."""
    rng = np.random.default_rng(0)
    shapes = [(7, 3), (3, 4), (4,), (4, 1)]
    variables = [keras.Variable(rng.normal(size=s), dtype="float64") for s in shapes]
    labels = tf.constant(rng.integers(0, 2, len(IDS)), tf.float64)

    def loss():
        table, kernel, bias, out = (v.value for v in variables)
        hidden = tf.tanh(tf.gather(table, IDS) @ kernel + bias)
        logits = (hidden @ out)[:, 0]
        return tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(labels, logits))

    return variables, loss


def true_diagonals(variables, loss, h=1e-4):
    """Second differences of the loss, one weight at a time."""
    compiled, found = tf.function(loss), []
    for variable in variables:
        start, diagonal = variable.numpy(), np.zeros(variable.shape)
        for place in np.ndindex(*start.shape):
            values = []
            for shift in (-h, 0, h):
                moved = start.copy()
                moved[place] += shift
                variable.assign(moved)
                values.append(float(compiled()))
            diagonal[place] = (values[0] - 2 * values[1] + values[2]) / h**2
        variable.assign(start)
        found.append(diagonal)
    return found


def test_estimates_of_many_steps_average_to_the_diagonal():
    variables, loss = small_network()
    steps = 4000

    def estimate(salt):
        _, _, diagonals = gradients_and_diagonals(loss, variables, salt)
        return [tf.convert_to_tensor(d) for d in diagonals]

    @tf.function
    def estimates():
        salts = tf.cast(tf.range(steps), tf.uint32)
        return tf.map_fn(estimate, salts, fn_output_signature=[tf.float64] * len(variables))

    runs = [np.array(run) for run in estimates()]
    for found, true in zip(runs, true_diagonals(variables, loss), strict=True):
        error = found.std(axis=0) / np.sqrt(steps)
        # one of 41 weights passes 4 errors by chance for one in 400 choices of the salts
        assert (np.abs(found.mean(axis=0) - true) <= 4 * error + 1e-6).all()
        assert error.max() > 1e-4, "the estimate has no variance: the Hessian is diagonal"
        assert np.abs(true).max() > 10 * error.max(), "too few steps to tell"


def signs(ids, width=40, salt=7):
    return random_signs(tf.constant(ids), width, tf.constant(salt, tf.uint32), tf.float32).numpy()


def test_signs_are_balanced_and_independent():
    found = signs(np.arange(2000))
    assert set(np.unique(found)) == {-1, 1}
    # 4.5 standard errors, of a mean of 80000, of columns of 2000 and of products of columns
    assert abs(found.mean()) < 4.5 / np.sqrt(found.size)
    assert np.abs(found.mean(axis=0)).max() < 4.5 / np.sqrt(2000)
    products = np.abs(found.T @ found / 2000 - np.eye(40))
    assert products.max() < 5 / np.sqrt(2000)
    later = signs(np.arange(2000), salt=8)
    assert abs((found * later).mean()) < 4.5 / np.sqrt(found.size)
    assert abs((found[1:] * found[:-1]).mean()) < 4.5 / np.sqrt(found.size)


def test_signs_are_those_of_the_row_not_of_its_place():
    ids = np.array([5, 3, 5, 9])
    found = signs(ids)
    np.testing.assert_array_equal(found, signs(np.arange(10))[ids])
    np.testing.assert_array_equal(found[:, :7], signs(ids, 7))
    np.testing.assert_array_equal(found, signs(ids.astype(np.int64)))
    assert not np.array_equal(found[0], found[1])


def after_steps(seed=0, wrap=lambda optimizer: optimizer, steps=3):
    """A model's weights; its Hessian is not diagonal, so the signs matter."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((2,), dtype="int32")
    x = keras.layers.Flatten()(tf_helen.layers.Embedding([7, 4], 3)(inputs))
    x = keras.layers.Dense(4, activation="tanh")(x)
    model = tf_helen.Model(inputs, keras.layers.Dense(1)(x))
    optimizer = wrap(tf_helen.AdaHessian(0.05, seed=seed))
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    model.compile(optimizer, loss, run_eagerly=True)
    ids = np.stack([np.resize(IDS, 12), np.arange(12) % 4], axis=1)
    for _ in range(steps):
        model.train_on_batch(ids, ids[:, :1] % 2)
    return model.get_weights()


def test_steps_depend_on_the_seed_only():
    one, again, other = after_steps(), after_steps(), after_steps(seed=1)
    for a, b in zip(one, again, strict=True):
        np.testing.assert_array_equal(a, b)
    assert max(np.abs(a - b).max() for a, b in zip(one, other, strict=True)) > 1e-4


@pytest.mark.parametrize("scale", [2.0, 2.0**15])
def test_the_scale_of_the_loss_is_undone(scale):
    def scaled(optimizer):
        return keras.optimizers.LossScaleOptimizer(optimizer, initial_scale=scale)

    for a, b in zip(after_steps(), after_steps(wrap=scaled), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_a_gradient_carries_the_diagonal_of_its_rows():
    table = new_table()
    gradient = tf.IndexedSlices(tf.ones([3, 3]), tf.constant([4, 0, 4]))
    diagonal = tf.IndexedSlices(tf.constant([[5.0] * 3, [7.0] * 3]), tf.constant([0, 4]))
    carried = carrying(gradient, diagonal)
    block = block_with_curvature(carried, table, loss_scale=2.0)
    assert block.ids.numpy().tolist() == [4, 0] and block.counts.numpy().tolist() == [2, 1]
    np.testing.assert_array_equal(block.values, [[1.0] * 3, [0.5] * 3])
    np.testing.assert_array_equal(block.curvature, [[3.5] * 3, [2.5] * 3])
    for part, given in zip(parts_of(carried), (gradient, diagonal), strict=True):
        np.testing.assert_array_equal(part.indices, given.indices)
        np.testing.assert_array_equal(part.values, given.values)
    # Without a diagonal, as for a loss that is linear in the table.
    block = block_with_curvature(carrying(gradient, None), table, None)
    np.testing.assert_array_equal(block.curvature, np.zeros((2, 3)))


def test_a_dense_gradient_without_a_diagonal_is_refused():
    weights = keras.Variable([1.0, 2.0])
    optimizer = tf_helen.AdaHessian()
    optimizer.build([weights])
    with optimizer.multi_pass(), pytest.raises(ValueError, match="has no diagonal"):
        optimizer.apply([tf.ones(2)], [weights])

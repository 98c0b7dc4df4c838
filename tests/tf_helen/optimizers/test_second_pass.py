"""The second pass of SAM, ASAM and Helen: values of its own, and nothing written for it."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tf_helen
from tf_helen.core.overlay import Overlay, OverlayLayer
from tf_helen.core.replicas import local
from tf_helen.core.rows import sum_duplicates
from tf_helen.core.whole_reads import raw

IDS = np.array([[0, 1], [1, 1], [1, 3], [5, 0]], np.int32)
LABELS = np.array([[0], [1], [1], [0]], np.float32)
OPTIMIZERS = {
    "SAM": lambda rate: tf_helen.SAM(rate, rho=0.5),
    "ASAM": lambda rate: tf_helen.ASAM(rate),
    "Helen": lambda rate: tf_helen.Helen(rate, rho=0.5),
    "Helen of AdamAR": lambda rate: tf_helen.Helen(
        rho=0.5, base_optimizer=tf_helen.AdamAR(rate, alpha=0.1)
    ),
}


class Watches(keras.layers.Layer):
    """Records the stored values of the model's weights, and its inputs, in every forward pass."""

    def __init__(self):
        super().__init__()
        self.weights_of, self.stored, self.inputs = lambda: [], [], []

    def call(self, inputs):
        watched = [local(variable) for variable in self.weights_of()]

        def record(inputs):
            self.stored.append([raw(variable).numpy() for variable in watched])
            self.inputs.append(inputs.numpy())
            return inputs

        recorded = tf.py_function(record, [tf.stop_gradient(inputs)], inputs.dtype)
        with tf.control_dependencies([recorded]):
            return tf.identity(inputs)


def build(embedding=tf_helen.layers.Embedding):
    keras.utils.set_random_seed(0)
    watches = Watches()
    inputs = keras.Input((2,), dtype="int32")
    x = keras.layers.Dense(3)(keras.layers.Flatten()(embedding(6, 4)(inputs)))
    model = tf_helen.Model(inputs, keras.layers.Dense(1)(watches(x)))
    return model, watches


ROW_SPARSE, STOCK = tf_helen.layers.Embedding, keras.layers.Embedding
QUICK = [("Helen of AdamAR", ROW_SPARSE), ("SAM", STOCK)]
PAIRS = [
    pytest.param(name, embedding, marks=[] if (name, embedding) in QUICK else [pytest.mark.slow])
    for name in OPTIMIZERS
    for embedding in (ROW_SPARSE, STOCK)
]


@pytest.mark.parametrize("name,embedding", PAIRS)
def test_both_passes_find_the_same_stored_weights_and_read_different_ones(name, embedding):
    model, watches = build(embedding)
    model.compile(OPTIMIZERS[name](0.1), "mse")
    watches.weights_of = lambda: model.trainable_variables
    for _ in range(2):
        before = [raw(local(variable)).numpy() for variable in model.trainable_variables]
        watches.stored.clear()
        watches.inputs.clear()
        model.train_on_batch(IDS, LABELS)
        first, second = watches.stored
        for start, one, other in zip(before, first, second, strict=True):
            np.testing.assert_array_equal(one, start)
            np.testing.assert_array_equal(other, start)
        assert np.abs(watches.inputs[0] - watches.inputs[1]).max() > 1e-3


@pytest.mark.parametrize("arguments", [{}, {"run_eagerly": True}], ids=str)
@pytest.mark.parametrize(
    "name", ["SAM", *[pytest.param(name, marks=pytest.mark.slow) for name in ("ASAM", "Helen")]]
)
def test_a_step_with_learning_rate_zero_changes_no_bit(name, arguments):
    model, _ = build()
    model.compile(OPTIMIZERS[name](0.0), "mse", **arguments)
    before = model.get_weights()
    model.train_on_batch(IDS, LABELS)
    for weights, start in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weights, start)


def test_a_step_writes_as_often_as_the_base_optimizer():
    counts = []
    for make in (lambda: tf_helen.Adam(0.1), lambda: tf_helen.Helen(0.1)):
        model, _ = build()
        model.compile(make(), "mse")
        model.optimizer.build(model.trainable_variables)
        step = tf.function(lambda x, y, model=model: model.train_step((x, y)))
        graph = step.get_concrete_function(tf.constant(IDS), tf.constant(LABELS)).graph
        kinds = [operation.type for operation in graph.get_operations()]
        counts.append([kinds.count(k) for k in ("ResourceScatterUpdate", "AssignVariableOp")])
    assert counts[0] == counts[1]


def test_the_second_pass_uses_the_lookups_of_the_first():
    """In a graph whose passes look up the same ids, one `Unique` and one lookup per id remain."""
    counts = []
    for make in (lambda: tf_helen.SGD(0.1), lambda: tf_helen.SAM(0.1, base_optimizer="sgd")):
        model, _ = build()
        model.compile(make(), "mse")
        model.optimizer.build(model.trainable_variables)
        step = tf.function(lambda x, y, model=model: model.train_step((x, y)))
        graph = step.get_concrete_function(tf.constant(IDS), tf.constant(LABELS)).graph
        kinds = [operation.type for operation in graph.get_operations()]
        counts.append([kinds.count(kind) for kind in ("Unique", "ResourceGather")])
    # The other branches of the second pass are functions of their own, which are not executed.
    # It reads each distinct row once: one more gather, of fewer rows.
    assert counts == [[1, 2], [1, 3]]


def in_function(loss):
    return tf.function(lambda: loss())


def test_a_loss_in_a_function_of_its_own_trains_alike():
    """Neither an overlay nor Keras sees such reads, so the perturbation is written and restored."""
    rows, results = tf.constant([1, 1, 3]), []
    for is_function in (False, True):
        table, bias = keras.Variable(tf.ones([5, 2])), keras.Variable(0.5)

        def loss(table=table, bias=bias):
            return tf.reduce_sum((tf.gather(table.value, rows) + bias.value) ** 2)

        closure = in_function(loss) if is_function else loss
        optimizer = tf_helen.SAM(0.1, base_optimizer="sgd")
        for _ in range(2):
            optimizer.minimize(closure, [table, bias])
        results.append((table.numpy(), bias.numpy()))
    np.testing.assert_allclose(results[0][0], results[1][0], rtol=1e-6)
    np.testing.assert_allclose(results[0][1], results[1][1], rtol=1e-6)


def test_rows_that_only_the_second_pass_looks_up_are_read_and_trained():
    layer = tf_helen.layers.Embedding(8, 2, embeddings_initializer="ones")
    layer.build()
    draws = iter([[1, 1, 2], [2, 4, 2, 2]])

    def loss():
        return tf.reduce_sum(layer(tf.constant(next(draws))) ** 2) / 2

    tf_helen.SAM(0.1, rho=1.0, base_optimizer="sgd").minimize(loss, [layer.embeddings])
    norm = np.sqrt(2 * (2**2 + 1**2))  # the gradient is 2 for row 1, and 1 for row 2
    expected = np.ones((8, 2))
    expected[2] -= 0.1 * 3 * (1 + 1 / norm)
    expected[4] -= 0.1
    np.testing.assert_allclose(layer.embeddings.numpy(), expected, rtol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_rows_and_whole_reads_have_the_difference_and_the_gradient_of_the_variable(dtype):
    table = tf.Variable(np.arange(10).reshape(5, 2), dtype=dtype)
    slices = tf.IndexedSlices(tf.constant([[1.0, 1], [2, 2], [3, 3]]), tf.constant([3, 1, 3]))
    block = sum_duplicates(slices)
    moved = table.numpy()
    moved[[3, 1]] += block.values.numpy().astype(dtype)

    @tf.function
    def reads(ids):
        layer = OverlayLayer(local(table), block, block.values)
        with Overlay([layer]), tf.GradientTape() as tape:
            rows, whole = tf.gather(table, ids), table + 0
            loss = tf.reduce_sum(rows)
        return rows, whole, tape.gradient(loss, table)

    for ids in ([3, 1, 3], [1, 1, 4, 0], [3], []):
        rows, whole, gradient = reads(tf.constant(ids, tf.int32))
        np.testing.assert_array_equal(rows, moved[ids] if ids else np.zeros((0, 2)))
        np.testing.assert_array_equal(whole, moved)
        np.testing.assert_array_equal(gradient.indices, ids)
    np.testing.assert_array_equal(table.numpy(), np.arange(10).reshape(5, 2))
    assert "sparse_read" not in vars(table)

"""Top eigenvalues of the Hessian's blocks, against full Hessians and closed forms."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tf_helen
import zoo
from tf_helen import analysis

FIELDS = {"user": 5, "item": 4}
SIZES, WIDTH = list(FIELDS.values()), 3
BCE = keras.losses.BinaryCrossentropy(from_logits=True)
MSE = keras.losses.MeanSquaredError()


@pytest.fixture
def graphs():
    """A test that asks for it runs compiled functions, as users do."""


@pytest.fixture(autouse=True)
def eager(request):
    """The others take few steps, so tracing graphs would be most of their time."""
    if "graphs" in request.fixturenames:
        yield
        return
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


def samples(rows=40, seed=0):
    rng = np.random.default_rng(seed)
    ids = np.stack([(rng.zipf(1.5, rows) - 1) % (size - 1) for size in SIZES], axis=1)
    return ids.astype(np.int32), rng.integers(0, 2, (rows, 1)).astype(np.float32)


def batches(*arrays, sizes=(11, 13, 16)):
    """Batches of different sizes."""
    ends = np.cumsum(sizes)
    return [
        tuple(array[end - size : end] for array in arrays)
        for size, end in zip(sizes, ends, strict=True)
    ]


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(3)
    inputs = keras.Input((2,), dtype="int32")
    layer = tf_helen.layers.Embedding(
        FIELDS,
        WIDTH,
        embeddings_initializer=keras.initializers.RandomNormal(stddev=1.0),
        name="embedding",
    )
    x = keras.layers.Dense(6, activation="tanh")(keras.layers.Flatten()(layer(inputs)))
    model = tf_helen.Model(inputs, keras.layers.Dense(1)(keras.layers.Dropout(0.5)(x)))
    model.compile(tf_helen.AdamAR(0.05, alpha=0.05), BCE)
    ids, labels = samples()
    model.fit(ids, labels, batch_size=8, epochs=2, verbose=0)
    return model


def full_hessian(model, ids, labels, weight=None):
    """The Hessian and gradient of the mean loss by the whole table, without any lookup."""
    table = tf.Variable(model.layers[1].embeddings.numpy(), dtype=tf.float64)
    dense = [layer for layer in model.layers if isinstance(layer, keras.layers.Dense)]
    (w1, b1), (w2, b2) = ([tf.cast(w, tf.float64) for w in layer.get_weights()] for layer in dense)
    one_hot = tf.one_hot(ids + np.array([0, FIELDS["user"]]), sum(SIZES), dtype=tf.float64)
    weight = np.ones(len(ids)) if weight is None else weight
    with tf.GradientTape() as outer:
        with tf.GradientTape() as inner:
            x = tf.reshape(tf.einsum("bfr,rd->bfd", one_hot, table), [len(ids), -1])
            logits = tf.tanh(x @ w1 + b1) @ w2 + b2
            losses = tf.nn.sigmoid_cross_entropy_with_logits(tf.cast(labels, tf.float64), logits)
            loss = tf.reduce_mean(losses[:, 0] * weight)
        gradient = inner.gradient(loss, table)
    return outer.jacobian(gradient, table).numpy(), gradient.numpy()


def top_of_blocks(hessian):
    return np.array([np.linalg.eigvalsh(hessian[k, :, k])[-1] for k in range(len(hessian))])


@pytest.mark.parametrize("method", ["blocks", "power"])
def test_every_row_equals_the_full_hessian(model, method, graphs):
    ids, labels = samples()
    hessian, gradient = full_hessian(model, ids, labels)
    assert np.abs(hessian[0, :, SIZES[0]]).max() > 1e-3, "the blocks off the diagonal matter"
    found = analysis.row_sharpness(
        model, batches(ids, labels), "embedding", method=method, iterations=200, tolerance=1e-6
    )
    expected = top_of_blocks(hessian)
    rtol = 1e-4 if method == "blocks" else 1e-3
    np.testing.assert_allclose(found.eigenvalues, expected, rtol=rtol, atol=1e-7)
    np.testing.assert_allclose(
        found.gradient_norms, np.linalg.norm(gradient, axis=1), rtol=1e-4, atol=1e-7
    )
    counts = np.concatenate([np.bincount(ids[:, j], minlength=n) for j, n in enumerate(SIZES)])
    np.testing.assert_array_equal(found.counts, counts)
    assert (counts == 0).any() and not found.eigenvalues[counts == 0].any()


def test_sample_weights_and_a_data_set(model):
    ids, labels = samples()
    weight = np.random.default_rng(1).exponential(size=len(ids)).astype(np.float32)
    hessian, _ = full_hessian(model, ids, labels, weight)
    data = tf.data.Dataset.from_tensor_slices((ids, labels, weight)).batch(16)
    found = analysis.top_eigenvalues(model, data, "embedding")
    np.testing.assert_allclose(found, top_of_blocks(hessian), rtol=1e-4, atol=1e-7)


def test_rows_are_named_by_number_or_field_in_any_order(model):
    ids, labels = samples()
    data = batches(ids, labels)
    layer = model.layers[1]
    whole = analysis.top_eigenvalues(model, data, layer)
    some = analysis.top_eigenvalues(model, data, layer, rows=[6, 0, 6])
    np.testing.assert_allclose(some, whole[[6, 0, 6]], rtol=1e-5)
    items = analysis.top_eigenvalues(model, data, layer, rows="item")
    np.testing.assert_allclose(items, whole[SIZES[0] :], rtol=1e-5)
    both = analysis.top_eigenvalues(model, data, layer, rows=["item", "user"])
    np.testing.assert_allclose(both, np.roll(whole, -SIZES[0]), rtol=1e-5)
    norms = analysis.gradient_norms(model, data, layer, rows=[2, 1])
    np.testing.assert_allclose(norms, analysis.gradient_norms(model, data, layer)[[2, 1]])


def test_it_changes_nothing(model):
    before = [variable.numpy() for variable in model.variables]
    analysis.top_eigenvalues(model, batches(*samples()), "embedding")
    for one, other in zip(before, (variable.numpy() for variable in model.variables), strict=True):
        np.testing.assert_array_equal(one, other)


class Fixed(keras.layers.Layer):
    """`e A e / 2` of the looked-up row: its Hessian is A."""

    def __init__(self, matrix):
        super().__init__()
        self.matrix = np.asarray(matrix, np.float32)

    def call(self, x):
        return 0.5 * tf.einsum("bfi,ij,bfj->b", x, self.matrix, x)


class Value(keras.losses.Loss):
    """The mean prediction."""

    def call(self, y_true, y_pred):
        return y_pred


SPECTRA = {"positive": [3.0, 1.0, 0.5], "negative dominates": [-5.0, 2.0, 0.1]}


@pytest.mark.parametrize("method", ["blocks", "power"])
@pytest.mark.parametrize("name", SPECTRA)
def test_a_quadratic_loss_has_its_matrix_as_hessian(name, method):
    spectrum = np.array(SPECTRA[name])
    basis = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    inputs = keras.Input((1,), dtype="int32")
    layer = tf_helen.layers.Embedding({"user": 4}, 3)
    model = keras.Model(inputs, Fixed(basis * spectrum @ basis.T)(layer(inputs)))
    ids = np.array([[0], [0], [0], [1], [3]])
    data = [(ids[:2], np.zeros(2)), (ids[2:], np.zeros(3))]
    found = analysis.top_eigenvalues(
        model, data, layer, loss=Value(), method=method, iterations=200, tolerance=1e-6
    )
    shares = np.array([3, 1, 0, 1]) / 5
    np.testing.assert_allclose(found, shares * spectrum.max(), rtol=1e-3, atol=1e-5)


def test_a_scalar_row_may_have_a_negative_eigenvalue():
    inputs = keras.Input((1,), dtype="int32")
    layer = tf_helen.layers.Embedding({"user": 2}, 1)
    model = keras.Model(inputs, Fixed([[-4.0]])(layer(inputs)))
    data = [(np.array([[0], [1]]), np.zeros(2))]
    for method in ("blocks", "power"):
        found = analysis.top_eigenvalues(model, data, layer, loss=Value(), method=method)
        np.testing.assert_allclose(found, [-2.0, -2.0], rtol=1e-5)


def test_a_linear_loss_has_no_curvature():
    inputs = keras.Input((1,), dtype="int32")
    layer = tf_helen.layers.Embedding({"user": 2}, 2)
    model = keras.Model(inputs, keras.layers.Dense(1)(keras.layers.Flatten()(layer(inputs))))
    data = [(np.array([[0], [1]]), np.zeros((2, 1)))]
    for method in ("blocks", "power"):
        found = analysis.top_eigenvalues(model, data, layer, loss=Value(), method=method)
        assert not found.any()


def test_least_squares_is_known_in_closed_form():
    """`L = mean (<e_u, e_i> - y)^2`: the block of u is `(2 / n) sum of e_i e_i^T`."""
    rng = np.random.default_rng(2)
    inputs = keras.Input((2,), dtype="int32")
    layer = tf_helen.layers.Embedding({"user": 3, "item": 4}, 2)
    x = layer(inputs)
    model = keras.Model(inputs, keras.ops.sum(x[:, 0] * x[:, 1], axis=-1))
    table = rng.normal(size=(7, 2)).astype(np.float32)
    layer.set_weights([table])
    ids = np.stack([rng.integers(0, 3, 30), rng.integers(0, 4, 30)], axis=1)
    data = batches(ids, rng.normal(size=30).astype(np.float32), sizes=(7, 23))
    found = analysis.top_eigenvalues(model, data, layer, rows="user", loss=MSE)
    items = table[3 + ids[:, 1]]
    for user in range(3):
        block = 2 / 30 * items[ids[:, 0] == user].T @ items[ids[:, 0] == user]
        np.testing.assert_allclose(found[user], np.linalg.eigvalsh(block)[-1], rtol=1e-4)


# Fields of which a sample has several ids.


def several_model(pooling="sum", **arguments):
    inputs = keras.Input((4,), dtype="int32")
    fields = {"user": 3, "tags": 4}
    layer = tf_helen.layers.Embedding(
        fields, 2, lengths={"tags": 3}, pooling=pooling, name="ids", **arguments
    )
    x = keras.layers.Dense(4, activation="tanh")(keras.layers.Flatten()(layer(inputs)))
    return keras.Model(inputs, keras.layers.Dense(1)(x)), layer


def test_multi_valued_fields_are_exact_row_by_row():
    keras.utils.set_random_seed(0)
    model, layer = several_model()
    layer.embeddings.assign(np.random.default_rng(0).normal(size=(7, 2)))
    rng = np.random.default_rng(1)
    tags = rng.integers(-1, 4, (20, 3))  # the same tag may occur twice in a sample
    ids = np.concatenate([rng.integers(0, 3, (20, 1)), tags], axis=1)
    labels = rng.integers(0, 2, (20, 1)).astype(np.float32)
    data = [(ids, labels)]
    table = tf.Variable(layer.embeddings.numpy(), dtype=tf.float64)
    times = np.zeros((20, 2, 7))
    for sample, (user, *of_sample) in enumerate(ids):
        times[sample, 0, user] = 1
        for tag in of_sample:
            if tag >= 0:
                times[sample, 1, 3 + tag] += 1
    (w1, b1), (w2, b2) = (
        [tf.cast(w, tf.float64) for w in one.get_weights()] for one in model.layers[-2:]
    )
    with tf.GradientTape() as outer:
        with tf.GradientTape() as inner:
            x = tf.reshape(tf.einsum("bfr,rd->bfd", tf.constant(times), table), [20, -1])
            logits = tf.tanh(x @ w1 + b1) @ w2 + b2
            loss = tf.reduce_mean(
                tf.nn.sigmoid_cross_entropy_with_logits(tf.cast(labels, tf.float64), logits)
            )
        gradient = inner.gradient(loss, table)
    expected = top_of_blocks(outer.jacobian(gradient, table).numpy())
    rows = ["user", "tags"]
    found = analysis.top_eigenvalues(model, data, layer, rows=rows, loss=BCE)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-8)
    found = analysis.top_eigenvalues(model, data, layer, rows=[4], loss=BCE, method="power")
    np.testing.assert_allclose(found, expected[4:5], rtol=1e-3)


def test_multi_valued_fields_must_be_named():
    model, layer = several_model()
    data = [(np.array([[0, 1, -1, -1]]), np.zeros((1, 1)))]
    with pytest.raises(ValueError, match=r"several ids of the field 'tags'.*rows.*user, tags"):
        analysis.top_eigenvalues(model, data, layer, loss=BCE)
    # One id in each sample of the data proves nothing.
    assert analysis.top_eigenvalues(model, data, layer, rows="user", loss=BCE).shape == (3,)


def test_a_single_field_with_several_columns_is_noticed():
    inputs = keras.Input((2,), dtype="int32")
    layer = tf_helen.layers.Embedding(4, 2)
    model = keras.Model(inputs, keras.layers.Dense(1)(keras.layers.Flatten()(layer(inputs))))
    data = [(np.array([[0, 1], [2, 3]]), np.zeros((2, 1)))]
    with pytest.raises(ValueError, match="several ids of the field 'ids'"):
        analysis.top_eigenvalues(model, data, layer, loss=BCE)
    named = analysis.top_eigenvalues(model, data, layer, rows=[0, 3], loss=BCE)
    assert (named > 0).all()


def test_fields_that_share_rows_are_noticed():
    inputs = keras.Input((2,), dtype="int32")
    layer = tf_helen.layers.Embedding({"item": 4, "last": 4}, 2, shared={"last": "item"})
    model = keras.Model(inputs, keras.layers.Dense(1)(keras.layers.Flatten()(layer(inputs))))
    data = [(np.array([[0, 1], [2, 3]]), np.zeros((2, 1)))]
    with pytest.raises(ValueError, match="several ids of the field 'item'"):
        analysis.top_eigenvalues(model, data, layer, loss=BCE)


# Models of the zoo.


def test_a_model_of_the_zoo_with_batch_norm_and_dropout():
    keras.utils.set_random_seed(0)
    schema = zoo.Schema(
        "s", [zoo.Categorical("user", 5), zoo.Categorical("item", 4)], [zoo.Numeric("price")]
    )
    model = zoo.PNN(
        schema,
        embedding_dim=3,
        hidden_units=(8,),
        activation="tanh",  # so that differences of gradients are smooth
        batch_norm=True,
        dropout=0.3,
        embedding_l2=0.1,
    )
    ids, labels = samples(16)
    x = {"ids": ids, "numeric": np.random.default_rng(0).normal(size=(16, 1)).astype(np.float32)}
    data = [(x, labels)]
    by_layer = analysis.top_eigenvalues(model, data, model.embedding, loss=BCE)
    by_name = analysis.top_eigenvalues(model, data, "embedding/table", loss=BCE, method="power")
    np.testing.assert_allclose(by_name, by_layer, rtol=1e-2, atol=1e-9)

    # By central differences of the gradient, of one row.
    layer, step = analysis.tables_of(model)["embedding/table"], 1e-2
    table = layer.embeddings.numpy()

    def gradient(values):
        layer.embeddings.assign(values)
        with tf.GradientTape() as tape:
            loss = BCE(labels, model(x, training=False))
        slices = tape.gradient(loss, layer.embeddings.value)
        return np.array(tf.math.unsorted_segment_sum(slices.values, slices.indices, 9))[5]

    block = np.zeros((3, 3))
    for i in range(3):
        moved = np.zeros_like(table)
        moved[5, i] = step
        block[i] = (gradient(table + moved) - gradient(table - moved)) / (2 * step)
    layer.embeddings.assign(table)
    np.testing.assert_allclose(by_layer[5], np.linalg.eigvalsh(block)[-1], rtol=1e-2)


# Errors.


@pytest.mark.parametrize(
    "changes,message",
    [
        ({"rows": "usr"}, "unknown field.*'usr'.*Did you mean 'user'"),
        ({"rows": [9]}, "row numbers from 0 to 8"),
        ({"rows": [0.5]}, "row numbers from 0 to 8"),
        ({"rows": []}, "row numbers from 0 to 8"),
        ({"method": "exact"}, "`method` must be one of"),
        ({"iterations": 0}, "`iterations` must be an integer >= 1"),
        ({"tolerance": 0.0}, "`tolerance` must be a number above 0"),
        ({"embedding": "table"}, "names no table.*Names: embedding"),
        ({"data": []}, "`data` is empty"),
        ({"data": iter([])}, "read more than once"),
        ({"data": [(np.zeros((1, 2), np.int32),)]}, "no targets"),
    ],
)
def test_what_it_refuses(model, changes, message):
    arguments = {"data": batches(*samples()), "embedding": "embedding", **changes}
    with pytest.raises(ValueError, match=message):
        analysis.top_eigenvalues(model, **arguments)


def test_a_model_without_a_loss():
    model, layer = several_model()
    data = [(np.array([[0, 1, -1, -1]]), np.zeros((1, 1)))]
    with pytest.raises(ValueError, match="has no loss"):
        analysis.gradient_norms(model, data, layer)
    with pytest.raises(TypeError, match=r"must be a keras.losses.Loss"):
        analysis.gradient_norms(model, data, layer, loss="mse")


def test_a_model_without_our_layer():
    with pytest.raises(ValueError, match=r"no tf_helen\.layers\.Embedding"):
        analysis.tables_of(keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)]))
    with pytest.raises(TypeError, match="Keras model or layer"):
        analysis.tables_of("model")


def test_a_row_that_does_not_settle_is_reported(model, caplog):
    with caplog.at_level("WARNING", logger="absl"):
        analysis.top_eigenvalues(
            model, batches(*samples()), "embedding", method="power", iterations=1
        )
    assert "in the last of 1 iterations" in caplog.text

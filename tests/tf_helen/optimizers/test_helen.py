"""Helen against NumPy: the paper's equations 7 and 8, and the reading of the authors' code."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tf_helen
from tf_helen.core.rows import as_block

FIELDS = {"user": 6, "item": 4}
OFFSETS = np.array([0, 6, 10])
RANGES = [slice(0, 6), slice(6, 10)]
TABLES = ("deep", "wide")  # widths 3 and 1, over the same two fields
SHAPES = {"deep": (10, 3), "wide": (10, 1), "kernel": (6, 1), "bias": (1,)}
LR, RHO, BATCHES = 0.2, 0.3, 4
# By hand: row 0 of "user" and row 3 of "item" are the most frequent, row 4 and row 2 never seen.
GIVEN = {"user": np.array([100, 40, 3, 25, 0, 7]), "item": np.array([9, 1, 0, 50])}
TRAINED_ON = np.concatenate([GIVEN["user"], GIVEN["item"]])


def draw(seed):
    rng = np.random.default_rng(seed)
    return {name: rng.normal(size=shape) * 0.5 for name, shape in SHAPES.items()}


def batch(step):
    """Row numbers [size, 2] of the fused table, repeated ones among them, and labels.

    Every other batch is small, without the rows that are the most frequent so far.
    """
    rng, odd = np.random.default_rng(100 + step), step % 2
    size = 4 if odd else 12
    users, items = odd + rng.integers(0, 5, size) ** 2 // 4, rng.integers(0, 3, size) ** 2 // 3
    ids = np.stack([users, 3 - items if odd else items], axis=1)
    return ids + OFFSETS[:2], rng.integers(0, 2, (size, 1)).astype(float)


def occurrences(rows):
    return np.bincount(rows.ravel(), minlength=10)


def gradients(w, rows, labels):
    """Of the mean cross-entropy of `wide + concat(deep) @ kernel + bias`."""
    x = w["deep"][rows].reshape(len(rows), -1)
    z = w["wide"][rows].sum(axis=1) + x @ w["kernel"] + w["bias"]
    dz = (1 / (1 + np.exp(-z)) - labels) / len(rows)
    deep, wide = np.zeros(SHAPES["deep"]), np.zeros(SHAPES["wide"])
    np.add.at(deep, rows, (dz * w["kernel"][:, 0]).reshape(len(rows), 2, 3))
    np.add.at(wide, rows, np.repeat(dz, 2, axis=1)[..., None])
    return {"deep": deep, "wide": wide, "kernel": x.T @ dz, "bias": dz.sum(axis=0)}


def norm_of(*arrays):
    return np.sqrt(sum(np.square(a).sum() for a in arrays))


def reference(g, counts, w, bound=0.0, norm="row", dense_norm="dense", adaptive=False):
    """The perturbation of every variable; `counts` [10] are N."""
    tables = [t for t in TABLES if norm == "row" or SHAPES[t][1] > 1]
    eps, last = {}, None
    for name in tables:
        eps[name] = np.zeros(SHAPES[name])
        for rows in RANGES:
            share = np.maximum(counts[rows] / max(counts[rows].max(), 1), bound)
            last = norm_of(g[name][rows])
            for k in range(rows.start, rows.stop):
                length = norm_of(g[name][k]) if norm == "row" else last
                if length > 0:
                    eps[name][k] = RHO * share[k - rows.start] * g[name][k] / length
    dense = [name for name in SHAPES if name not in tables]
    weighted = {n: g[n] * np.abs(w[n]) if adaptive else g[n] for n in SHAPES}
    length = {
        "dense": norm_of(*(g[n] for n in dense)),
        "global": norm_of(*weighted.values()),
        "last_table": last,
    }[dense_norm]
    for name in dense:
        eps[name] = RHO * g[name] / length * (np.square(w[name]) if adaptive else 1)
    return eps


class Net:
    """The same model in TensorFlow: two fields fused in one table, a kernel, a bias."""

    def __init__(self, w):
        self.layers = {n: tf_helen.layers.Embedding(FIELDS, SHAPES[n][1], name=n) for n in TABLES}
        self.named = {n: keras.Variable(w[n], dtype="float32", name=n) for n in ("kernel", "bias")}
        for name, layer in self.layers.items():
            layer.build()
            layer.embeddings.assign(w[name])
            self.named[name] = layer.embeddings
        self.variables = [self.named[name] for name in SHAPES]

    def loss(self, rows, labels):
        ids = tf.constant(rows - OFFSETS[:2], tf.int32)
        x = tf.reshape(self.layers["deep"](ids), [-1, 6])
        z = x @ self.named["kernel"].value + self.named["bias"].value
        z += tf.reduce_sum(self.layers["wide"](ids), axis=1)
        labels = tf.constant(labels, tf.float32)
        return tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(labels, z))

    def values(self):
        return {name: self.named[name].numpy().copy() for name in SHAPES}


def assert_close(found, expected, label=""):
    for name in SHAPES:
        np.testing.assert_allclose(found[name], expected[name], atol=3e-6, err_msg=label + name)


def slices_of(g, rows, seed=0):
    """Slices in random order that sum to `g`, one per occurrence, in unequal shares."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(rows.ravel())
    shares = rng.uniform(0.2, 1, len(order))
    shares /= np.bincount(order, shares, 10)[order]
    values = tf.constant(g[order] * shares[:, None], tf.float32)
    return tf.IndexedSlices(values, tf.constant(order), tf.constant(g.shape))


def perturbations(optimizer, net, g, rows):
    grads = [slices_of(g[n], rows) if n in TABLES else tf.constant(g[n], tf.float32) for n in g]
    blocks = [as_block(gradient) for gradient in grads]
    optimizer.build(net.variables)
    found = {}
    for name, block, epsilon in zip(
        g, blocks, optimizer.perturbations(blocks, net.variables), strict=True
    ):
        found[name] = epsilon
        if epsilon is not None and block.is_sparse:
            found[name] = np.zeros(SHAPES[name])
            found[name][block.ids.numpy()] = epsilon.numpy()
    return found


READINGS = [
    {},
    {"bound": 0.5},
    {"norm": "table", "dense_norm": "dense"},
    {"norm": "table", "dense_norm": "global", "bound": 0.3},
    {"norm": "table", "dense_norm": "last_table", "bound": 0.3},
    {"dense_norm": "global"},
    {"dense_norm": "last_table"},
    {"norm": "table", "dense_norm": "last_table", "adaptive": True},
    {"norm": "table", "dense_norm": "global", "adaptive": True},
    {"adaptive": True},
]


def helen(reading=(), **kwargs):
    arguments = {
        "rho": RHO,
        "base_optimizer": "sgd",
        "learning_rate": LR,
        **dict(reading),
        **kwargs,
    }
    arguments["lower_bound"] = arguments.pop("bound", 0.0)
    return tf_helen.Helen(**arguments)


def given_by_path(net):
    return {net.named[name].path: TRAINED_ON for name in TABLES}


@pytest.mark.parametrize("frequency", ["batch", "by field", "by path"])
@pytest.mark.parametrize("reading", READINGS, ids=str)
def test_perturbation_equals_the_formula(reading, frequency):
    w, (rows, labels) = draw(1), batch(0)
    net, g = Net(w), gradients(w, rows, labels)
    counts = occurrences(rows) if frequency == "batch" else TRAINED_ON
    sources = {"batch": "batch", "by field": GIVEN, "by path": given_by_path(net)}
    found = perturbations(helen(reading, frequency=sources[frequency]), net, g, rows)
    assert_close(found, reference(g, counts, w, **reading))


@pytest.mark.parametrize("reading", READINGS[:5], ids=str)
def test_a_zero_gradient_and_an_absent_field_are_not_perturbed(reading):
    w, (rows, labels) = draw(2), batch(0)
    rows, (net, g) = rows[:, :1], (Net(w), gradients(w, rows, labels))
    absent = occurrences(rows) == 0
    for name in TABLES:
        g[name][absent] = 0
        g[name][rows[0, 0]] = 0
    found = perturbations(helen(reading), net, g, rows)
    assert not found["deep"][rows[0, 0]].any() and not found["deep"][6:].any()
    if reading.get("dense_norm") == "last_table":  # whose norm is 0: the authors' code divides by 0
        assert not np.any(found["kernel"])
    else:
        assert_close(found, reference(g, occurrences(rows), w, **reading))


def test_the_maximum_of_given_counts_need_not_be_in_the_batch():
    w, rows = draw(3), np.array([[2, 7], [5, 8], [4, 7]])
    net, g = Net(w), gradients(w, rows, np.ones((3, 1)))
    for bound in (0.0, 0.05):
        found = perturbations(helen({"bound": bound}, frequency=GIVEN), net, g, rows)
        lengths = np.linalg.norm(found["deep"], axis=1)
        shares = np.maximum([3 / 100, 7 / 100, 0 / 100, 1 / 50, 0 / 50], bound)
        np.testing.assert_allclose(lengths[[2, 5, 4, 7, 8]], RHO * shares, atol=1e-7)


STEPS = [
    ("batch", {}),
    ("running", {}),
    ("running", {"norm": "table", "dense_norm": "last_table", "bound": 0.3}),
    ("given", {"bound": 0.5}),
    ("batch", {"perturb_dense": False}),
    ("running", {"perturb_dense": False, "norm": "table"}),
]


@pytest.mark.parametrize("frequency,reading", STEPS, ids=str)
def test_steps_of_training_equal_numpy(frequency, reading):
    """Pass 2 sees w + eps; its gradient is applied at w; counts are those of all batches so far."""
    w = draw(4)
    net, seen, counts = Net(w), [], np.zeros(10, int)
    optimizer = helen(reading, frequency=GIVEN if frequency == "given" else frequency)
    perturb_dense = reading.get("perturb_dense", True)
    formula = {k: v for k, v in reading.items() if k != "perturb_dense"}
    unperturbed = {"kernel", "bias"} | ({"wide"} if reading.get("norm") == "table" else set())
    unperturbed = set() if perturb_dense else unperturbed
    for step in range(BATCHES):
        rows, labels = batch(step)
        counts = occurrences(rows) + (counts if frequency == "running" else 0)
        first = gradients(w, rows, labels)
        eps = reference(first, TRAINED_ON if frequency == "given" else counts, w, **formula)
        moved = {name: w[name] + (0 if name in unperturbed else eps[name]) for name in SHAPES}
        second = gradients(moved, rows, labels)
        w = {n: w[n] - LR * (first[n] if n in unperturbed else second[n]) for n in SHAPES}
        seen.clear()

        def closure(rows=rows, labels=labels):
            seen.append(net.values())
            return net.loss(rows, labels)

        optimizer.minimize(closure, net.variables)
        assert len(seen) == 2
        assert_close(seen[1], moved, f"pass 2 of step {step}: ")
        assert_close(net.values(), w, f"step {step}: ")
        if frequency == "running":
            slots = optimizer.slots_of(net.named["deep"])
            counted = optimizer.row_history(net.named["deep"])["count"]
            np.testing.assert_array_equal(counted, counts)
            largest = [counts[field].max() for field in RANGES]
            np.testing.assert_array_equal(slots["field_maximum"].numpy(), largest)

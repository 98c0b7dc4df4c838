"""DCNv3's own loss: Tri-BCE."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from click_features import features_of

import tf_helen
import zoo

SCHEMA = zoo.Schema("ids", [zoo.Categorical("user", 10), zoo.Categorical("item", 8)])
BCE = keras.losses.BinaryCrossentropy(from_logits=True)
FEATURES = features_of(SCHEMA, 16)
LABEL = np.random.default_rng(0).integers(0, 2, (16, 1)).astype(np.float32)


def model(**settings):
    made = zoo.DCNv3(SCHEMA, 4, exponential_layers=1, linear_layers=1, **settings)
    rng = np.random.default_rng(2)
    for weight in made.weights:
        weight.assign(rng.normal(0, 1, weight.shape))
    made.compile(tf_helen.SGD(0.1), BCE)
    return made


def cross_entropy(logit, weight=1.0):
    return np.mean(weight * (np.logaddexp(0, logit) - LABEL * logit))


def sub_logits(made):
    logit = made(FEATURES, training=True)
    return logit.numpy(), [part.numpy() for part in logit._zoo_parts]


def test_the_logit_is_that_of_the_papers_formulas():
    made = zoo.DCNv3(SCHEMA, 4, exponential_layers=2, linear_layers=3)
    rng = np.random.default_rng(3)
    w = {}
    for weight in made.weights:
        weight.assign(rng.normal(0, 0.5, weight.shape))
        w[weight.path.split("/", 1)[1]] = np.array(weight, np.float64)
    rows = w["embedding/table/embeddings"][FEATURES["ids"] + [0, 10]]
    x0 = np.concatenate([rows[:, :, :2].reshape(-1, 4), rows[:, :, 2:].reshape(-1, 4)], axis=1)

    def masked(name, x):
        c = x @ w[f"{name}/kernel"]
        centred = c - c.mean(axis=1, keepdims=True)
        normed = centred / np.sqrt(c.var(axis=1, keepdims=True) + 1e-5)
        normed = normed * w[f"{name}/layer_norm/gamma"] + w[f"{name}/layer_norm/beta"]
        return np.concatenate([c, c * np.maximum(normed, 0)], axis=1) + w[f"{name}/bias"]

    exponential = linear = x0
    for i in range(2):
        exponential = exponential * masked(f"exponential_{i}", exponential) + exponential
    for i in range(3):
        linear = x0 * masked(f"linear_{i}", linear) + linear
    ends = {"exponential": exponential, "linear": linear}
    logits = [x @ w[f"{end}_unit/kernel"] + w[f"{end}_unit/bias"] for end, x in ends.items()]
    np.testing.assert_allclose(made(FEATURES), np.mean(logits, axis=0), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("weight", [1.0, np.linspace(0, 2, 16)[:, None]], ids=["plain", "weighted"])
def test_training_adds_the_losses_of_the_parts_that_are_worse_than_the_whole(weight):
    made = model()
    logit, parts = sub_logits(made)
    np.testing.assert_allclose(logit, np.mean(parts, axis=0), atol=1e-6)
    whole = cross_entropy(logit, weight)
    losses = [cross_entropy(part, weight) for part in parts]
    expected = whole + sum(max(0, loss - whole) * loss for loss in losses)
    assert expected > 1.1 * whole
    weights = None if isinstance(weight, float) else weight
    assert made.train_on_batch(FEATURES, LABEL, weights) == pytest.approx(expected, rel=1e-5)


def test_evaluation_has_the_compiled_loss():
    made = model()
    expected = cross_entropy(sub_logits(made)[0])
    assert made.evaluate(FEATURES, LABEL, verbose=0) == pytest.approx(expected, rel=1e-5)
    made = model(tri_bce=False)
    assert made.train_on_batch(FEATURES, LABEL) == pytest.approx(expected, rel=1e-5)


def test_the_gradient_is_that_of_the_whole_formula():
    made = model()
    with tf.GradientTape() as tape:
        logit = made(FEATURES, training=True)
        losses = [BCE(LABEL, z) for z in (logit, *logit._zoo_parts)]
        total = losses[0] + sum(tf.nn.relu(loss - losses[0]) * loss for loss in losses[1:])
    kernel = made.exponential_unit.kernel
    expected = kernel.numpy() - 0.1 * tape.gradient(total, kernel.value).numpy()
    made.train_on_batch(FEATURES, LABEL)
    np.testing.assert_allclose(kernel.numpy(), expected, rtol=1e-5)

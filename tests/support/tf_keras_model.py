"""A small model of tf_keras with one table, for the tests of `tf_helen.legacy`."""

import numpy as np
import pytest

tf_keras = pytest.importorskip(
    "tf_keras", reason="tf_keras is not installed: pip install 'tf-helen[tfrs]'"
)

import tf_helen.legacy  # noqa: E402

ROWS = 20


def data(samples=128):
    """Ids after a power law, with duplicates in every batch, and labels."""
    rng = np.random.default_rng(0)
    ids = rng.zipf(1.3, (samples, 2)) % ROWS
    return ids.astype(np.int32), rng.integers(0, 2, (samples, 1)).astype(np.float32)


@tf_keras.saving.register_keras_serializable(package="tests")
class MixinModel(tf_helen.legacy.TrainerMixin, tf_keras.Model):
    pass


def build(optimizer, embedding=None, model_class=MixinModel, *middle, **compile_arguments):
    """A compiled functional model whose initial weights are always the same."""
    tf_keras.utils.set_random_seed(0)
    inputs = tf_keras.Input((2,), dtype="int32")
    x = tf_keras.layers.Flatten()((embedding or tf_helen.legacy.Embedding)(ROWS, 4)(inputs))
    for layer in middle:
        x = layer(x)
    model = model_class(inputs, tf_keras.layers.Dense(1, dtype="float32")(x))
    loss = tf_keras.losses.BinaryCrossentropy(from_logits=True)
    model.compile(optimizer, loss, metrics=["accuracy"], **compile_arguments)
    return model


def train(model, epochs=1, **arguments):
    return model.fit(
        *data(), batch_size=32, epochs=epochs, shuffle=False, verbose=0, **arguments
    ).history


def assert_equal_weights(left, right, atol=0.0):
    for a, b in zip(left.get_weights(), right.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=atol)

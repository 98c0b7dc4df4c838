"""Run by test_recommender.py in a process with TF_USE_LEGACY_KERAS=1: a real `tfrs.Model`."""

import itertools
import os
import pathlib
import re

import keras
import numpy as np
import pytest
import tensorflow as tf
from kinds import some

assert os.environ.get("TF_USE_LEGACY_KERAS") == "1", "run by test_recommender.py"
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)

import tensorflow_recommenders as tfrs  # noqa: E402
import tf_keras  # noqa: E402

import tf_helen.legacy  # noqa: E402

USERS, ITEMS, BATCH, SAMPLES = 60, 25, 64, 512


def data():
    """Clicks that depend on the user, the item and a number; ids follow a power law."""
    rng = np.random.default_rng(0)
    user, item = rng.zipf(1.3, SAMPLES) % USERS, rng.zipf(1.3, SAMPLES) % ITEMS
    price = rng.normal(size=(SAMPLES, 1))
    taste = rng.normal(size=USERS)[user] * rng.normal(size=ITEMS)[item] + price[:, 0]
    click = (taste + 0.3 * rng.normal(size=SAMPLES) > 0).astype(np.float32)[:, None]
    features = {"user": user, "item": item, "price": price.astype(np.float32), "click": click}
    return tf.data.Dataset.from_tensor_slices(features).batch(BATCH, drop_remainder=True)


class Ranker(tfrs.Model):
    """A small DLRM and DCN in one."""

    def __init__(self, embedding):
        super().__init__()
        self.user, self.item = embedding(USERS, 8), embedding(ITEMS, 8)
        self.bottom = tf_keras.layers.Dense(8, activation="relu")
        self.dot = tfrs.layers.feature_interaction.DotInteraction()
        self.cross = tfrs.layers.dcn.Cross()
        self.top = tf_keras.layers.Dense(1)
        # As tfrs asks for under a strategy: the sum, divided below by the global batch.
        loss = tf_keras.losses.BinaryCrossentropy(
            from_logits=True, reduction=tf_keras.losses.Reduction.SUM
        )
        self.task = tfrs.tasks.Ranking(loss=loss, metrics=[tf_keras.metrics.MeanSquaredError()])

    def call(self, features):
        parts = [
            self.user(features["user"]),
            self.item(features["item"]),
            self.bottom(features["price"]),
        ]
        crossed = self.cross(tf.concat(parts, axis=1))
        return self.top(tf.concat([self.dot(parts), crossed], axis=1))

    def compute_loss(self, features, training=False):
        return self.task(labels=features["click"], predictions=self(features)) / BATCH


class MixinRanker(tf_helen.legacy.TrainerMixin, Ranker):
    pass


OURS, STOCK = tf_helen.legacy.Embedding, tf_keras.layers.Embedding
ARGUMENTS = {
    "Helen": {"rho": 0.01},
    "GroupAdam": {"l21": 1e-5},
    "AdamAR": {"alpha": 1e-3},
    "GroupAdaHessian": {"l21": 1e-5},
}
NAMES = [name for name in ("Adam", *ARGUMENTS) if hasattr(tf_helen.legacy, name)]


def make(name, **kwargs):
    arguments = {"learning_rate": 0.01, **ARGUMENTS.get(name, {}), **kwargs}
    return getattr(tf_helen.legacy, name)(**arguments)


def build(optimizer, model_class=MixinRanker, embedding=OURS, with_variables=True):
    """A compiled model; tfrs models have no variables before they see features."""
    tf_keras.utils.set_random_seed(0)
    model = model_class(embedding)
    if with_variables:
        model(next(iter(data())))
    model.compile(optimizer)
    return model


def weights_of(model):
    model.optimizer.finalize_variable_values(model.trainable_variables)
    return [v.numpy() for v in model.trainable_variables]


def assert_equal(left, right, atol=0.0):
    for a, b in zip(left, right, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=atol)


def test_two_generations_of_keras_live_in_one_process():
    assert tf.keras.Model is tf_keras.Model
    assert keras.__version__.startswith("3.") and not issubclass(tf.keras.Model, keras.Model)


# Each of: one pass, decay, two passes, a Hessian; both models; both layers.
FALLS = [
    ("Adam", Ranker, STOCK), ("AdamAR", MixinRanker, OURS), ("Helen", Ranker, OURS),
    ("Helen", MixinRanker, STOCK), ("GroupAdaHessian", MixinRanker, OURS),
]  # fmt: skip
EVERY = list(itertools.product(NAMES, [Ranker, MixinRanker], [OURS, STOCK]))


@pytest.mark.parametrize("name,model_class,embedding", some(EVERY, fast=FALLS))
def test_the_loss_falls(name, model_class, embedding):
    model = build(make(name), model_class, embedding, with_variables=False)
    if model.optimizer.needs and model_class is Ranker:
        with pytest.raises(RuntimeError, match=r"per step.*legacy\.TrainerMixin"):
            model.fit(data(), verbose=0)
        return
    losses = model.fit(data(), epochs=4, verbose=0).history["total_loss"]
    assert np.all(np.isfinite(losses))
    before = build(make(name), model_class, embedding).evaluate(data(), return_dict=True, verbose=0)
    after = model.evaluate(data(), return_dict=True, verbose=0)
    assert after["total_loss"] < 0.9 * before["total_loss"]


@pytest.mark.parametrize("name", some([n for n in NAMES if not make(n).needs], fast=["AdamAR"]))
def test_the_mixin_trains_as_the_models_own_step(name):
    plain, mixed = (build(make(name), cls) for cls in (Ranker, MixinRanker))
    histories = [model.fit(data(), epochs=2, verbose=0).history for model in (plain, mixed)]
    assert_equal(weights_of(plain), weights_of(mixed), atol=1e-6)
    for key, values in histories[0].items():
        np.testing.assert_allclose(histories[1][key], values, atol=1e-5, err_msg=key)


def test_a_stock_optimizer_trains_under_the_mixin():
    plain, mixed = (build(tf_keras.optimizers.SGD(0.1), cls) for cls in (Ranker, MixinRanker))
    for model in (plain, mixed):
        model.fit(data(), epochs=1, verbose=0)
    assert_equal(*([v.numpy() for v in model.trainable_variables] for model in (plain, mixed)))


@pytest.mark.parametrize(
    "name", some([*NAMES, "Helen(AdamAR)"], fast=["GroupAdam", "Helen(AdamAR)"])
)
def test_a_checkpoint_resumes_bit_for_bit(name, tmp_path):
    def optimizer():
        if name == "Helen(AdamAR)":
            return tf_helen.legacy.Helen(base_optimizer=make("AdamAR"), frequency="running")
        return make(name)

    whole = build(optimizer())
    whole.fit(data(), epochs=1, verbose=0)
    path = tf.train.Checkpoint(model=whole, optimizer=whole.optimizer).save(tmp_path / "ckpt")
    whole.fit(data(), epochs=1, verbose=0)

    resumed = build(optimizer())
    resumed.fit(data().take(1), verbose=0)
    status = tf.train.Checkpoint(model=resumed, optimizer=resumed.optimizer).restore(path)
    status.assert_existing_objects_matched()
    assert int(resumed.optimizer.iterations) == SAMPLES // BATCH
    resumed.fit(data(), epochs=1, verbose=0)
    assert_equal(weights_of(whole), weights_of(resumed))


@pytest.mark.parametrize("name", some(NAMES, fast=["AdamAR", "Helen"]))
def test_two_replicas_train_as_one(name):
    results = []
    for devices in (["CPU:0"], ["CPU:0", "CPU:1"]):
        strategy = tf.distribute.MirroredStrategy(devices)
        with strategy.scope():
            model = build(make(name), with_variables=False)
        model.fit(data(), epochs=2, verbose=0)
        results.append(weights_of(model))
    copies = model.user.embeddings.values
    np.testing.assert_array_equal(copies[0].numpy(), copies[1].numpy())
    assert_equal(*results, atol=1e-5)


@pytest.mark.parametrize("name", some(NAMES, fast=["Helen"]))
def test_the_learning_rate_falls_on_a_plateau(name):
    model = build(make(name))
    plateau = tf_keras.callbacks.ReduceLROnPlateau(
        monitor="total_loss", factor=0.1, patience=1, min_delta=100.0
    )
    model.fit(data(), epochs=4, verbose=0, callbacks=[plateau])
    np.testing.assert_allclose(tf_keras.backend.get_value(model.optimizer.lr), 1e-5, rtol=1e-3)


def test_the_page_of_documentation_runs():
    page = pathlib.Path(__file__).parents[3] / "docs" / "legacy.md"
    (example,) = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    names = {"__name__": "page"}
    exec(compile(example, str(page), "exec"), names)
    history = names["history"].history
    assert history["total_loss"][-1] < 0.9 * history["total_loss"][0]
    assert history["val_auc"][-1] > 0.6

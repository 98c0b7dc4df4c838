"""Norms by bucket and shares of zero rows, in the logs and for TensorBoard."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tf_helen
from tf_helen import analysis
from tf_helen.callbacks import EmbeddingNorms, Sparsity

FIELDS = {"user": 9, "item": 5}
COUNTS = {"user": [0, 1, 3, 12, 0, 15, 700, 2, 10], "item": [1, 1, 40, 0, 5]}


@pytest.fixture(autouse=True)
def eager():
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


def compiled(optimizer=None, initializer="uniform"):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((2,), dtype="int32")
    layer = tf_helen.layers.Embedding(FIELDS, 3, embeddings_initializer=initializer, name="ids")
    x = keras.layers.Dense(4, activation="tanh")(keras.layers.Flatten()(layer(inputs)))
    model = tf_helen.Model(inputs, keras.layers.Dense(1)(x))
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    model.compile(optimizer or tf_helen.Adam(0.05), loss)
    return model


class Tables(keras.callbacks.Callback):
    """The table at the end of each epoch."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def on_epoch_end(self, epoch, logs=None):
        self.seen.append(self.model.get_layer("ids").embeddings.numpy())


def fit(model, *callbacks, epochs=2):
    rng = np.random.default_rng(0)
    ids = np.stack([rng.integers(0, size, 32) for size in FIELDS.values()], axis=1)
    labels = rng.integers(0, 2, (32, 1)).astype(np.float32)
    options = {"batch_size": 8, "verbose": 0, "shuffle": False}
    return model.fit(ids, labels, epochs=epochs, callbacks=list(callbacks), **options).history


def test_norms_by_bucket_of_each_epoch():
    tables = Tables()
    history = fit(compiled(), EmbeddingNorms(COUNTS, edges=[1, 10]), tables)
    counts = np.concatenate(list(COUNTS.values()))
    assert len(tables.seen) == 2
    for epoch, table in enumerate(tables.seen):
        norms = np.linalg.norm(table, axis=1)
        for label, inside in {
            "0": counts == 0,
            "1-9": (counts > 0) & (counts < 10),
            "10+": counts >= 10,
        }.items():
            name = f"embedding_norm/ids/{label}"
            assert history[f"{name}/sum"][epoch] == pytest.approx(norms[inside].sum(), rel=1e-6)
            assert history[f"{name}/mean"][epoch] == pytest.approx(norms[inside].mean(), rel=1e-6)


def test_without_counts_all_rows_are_one_bucket():
    tables = Tables()
    history = fit(compiled(), EmbeddingNorms(), tables, epochs=1)
    total = np.linalg.norm(tables.seen[0], axis=1).sum()
    assert history["embedding_norm/ids/all/sum"] == [pytest.approx(total, rel=1e-6)]


def test_empty_buckets_are_left_out():
    history = fit(compiled(), EmbeddingNorms({"user": [20] * 9, "item": [20] * 5}), epochs=1)
    names = {name for name in history if name.startswith("embedding_norm")}
    assert names == {"embedding_norm/ids/10+/sum", "embedding_norm/ids/10+/mean"}


def test_the_bound_of_each_epoch():
    model = compiled()
    history = fit(model, EmbeddingNorms(samples=32))
    assert history["rademacher_bound"][1] == pytest.approx(analysis.rademacher_bound(model, 32))
    assert history["rademacher_bound"][0] != history["rademacher_bound"][1]


def test_zero_rows_of_each_epoch():
    tables = Tables()
    history = fit(compiled(initializer="zeros"), Sparsity(), tables)
    assert history["zero_rows/ids"] == [np.mean(~t.any(axis=1)) for t in tables.seen]


def test_a_pending_decay_is_applied_before_they_look():
    optimizer = tf_helen.AdamAR(0.05, alpha=1.0)  # a row is erased by two steps of absence
    tables = Tables()
    history = fit(compiled(optimizer), Sparsity(), EmbeddingNorms(), tables, epochs=1)
    assert history["zero_rows/ids"][0] == np.mean(~tables.seen[0].any(axis=1)) > 0
    total = np.linalg.norm(tables.seen[0], axis=1).sum()
    assert history["embedding_norm/ids/all/sum"][0] == pytest.approx(total, rel=1e-6)


def events(folder):
    """What TensorBoard would show: name -> {step: value}."""
    found = {}
    for path in sorted(tf.io.gfile.glob(f"{folder}/events.*")):
        for event in tf.compat.v1.train.summary_iterator(path):
            for value in event.summary.value:
                assert value.metadata.plugin_data.plugin_name == "scalars"
                number = float(tf.make_ndarray(value.tensor))
                found.setdefault(value.tag, {})[event.step] = number
    return found


def test_tensorboard_gets_the_same_numbers(tmp_path):
    folder = str(tmp_path)
    callbacks = [EmbeddingNorms(COUNTS, log_dir=folder), Sparsity(log_dir=folder)]
    history = fit(compiled(), *callbacks)
    shown = events(folder)
    assert set(shown) == {name for name in history if "/" in name}
    for name, by_step in shown.items():
        assert by_step == pytest.approx(dict(enumerate(history[name])), rel=1e-6)


def test_what_does_not_fit():
    with pytest.raises(ValueError, match="ascending"):
        EmbeddingNorms(COUNTS, edges=[3, 1])
    with pytest.raises(ValueError, match=r"lacks the field 'item'"):
        fit(compiled(), EmbeddingNorms({"user": COUNTS["user"]}))
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    for callback in (EmbeddingNorms(), Sparsity()):
        with pytest.raises(ValueError, match=r"no tf_helen\.layers\.Embedding"):
            fit(model, callback)

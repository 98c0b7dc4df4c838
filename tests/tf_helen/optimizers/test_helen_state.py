"""Helen's counts: errors, their values after `fit`, and files."""

import keras
import numpy as np
import pytest

import tf_helen

FIELDS = {"user": 6, "item": 4}
ROWS = sum(FIELDS.values())
COUNTS = {"user": [100, 40, 3, 25, 2, 7], "item": [9, 1, 4, 50]}
FUSED = COUNTS["user"] + COUNTS["item"]


def table():
    layer = tf_helen.layers.Embedding(FIELDS, 3, name="features")
    layer.build()
    return layer.embeddings


REFUSED = [
    ({"clicks": FUSED}, r"no counts.*features/embeddings.*user, item.*clicks"),
    ({"user": COUNTS["user"]}, r"no counts.*user, item"),
    ({"user": [1] * 5, "item": [1] * 4}, r"5 counts.*'user'.*6"),
    ({"features/embeddings": [1] * 9}, r"10.*9"),
    ({"features/embeddings": [[1] * 10] * 2}, r"10.*20"),
    ({"embeddings": [-1] + [1] * 9}, "-1"),
    ({"user": [1] * 6, "item": [-2] * 4}, "frequency"),
    ({"embeddings": [float("nan")] + [1] * 9}, "nan"),
    ({"embeddings": [0.5] + [1] * 9}, r"0\.5"),
    ({"user": [1] * 6, "item": [0.25] * 4}, "frequency"),
]


@pytest.mark.parametrize("counts,message", REFUSED, ids=[m for _, m in REFUSED])
def test_counts_that_fit_no_table_are_refused(counts, message):
    variable = table()
    with pytest.raises(ValueError, match=message):
        tf_helen.Helen(frequency=counts).build([variable])


@pytest.mark.parametrize(
    "counts",
    [COUNTS, {"embeddings": FUSED}, {"features/embeddings": np.array(FUSED)[:, None]}],
    ids=["by field", "by the end of the path", "by path, as a column"],
)
def test_counts_are_found_by_field_and_by_path(counts):
    variable, kernel = table(), keras.Variable(np.ones((4, 2)), name="kernel")
    optimizer = tf_helen.Helen(frequency=counts)
    optimizer.build([kernel, variable])
    slots = optimizer.slots_of(variable)
    np.testing.assert_array_equal(slots["history"].numpy()[:, 0], FUSED)
    np.testing.assert_array_equal(slots["field_maximum"].numpy(), [100, 50])


def data(size=48, seed=0):
    rng = np.random.default_rng(seed)
    ids = np.stack([rng.integers(0, 3, size) * 2, rng.integers(0, 4, size)], axis=1)
    return ids.astype(np.int32), rng.integers(0, 2, (size, 1)).astype(np.float32)


def compiled(frequency, seed=0):
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((2,), dtype="int32")
    x = keras.layers.Flatten()(tf_helen.layers.Embedding(FIELDS, 3, name="features")(inputs))
    model = tf_helen.Model(inputs, keras.layers.Dense(1)(x))
    optimizer = tf_helen.Helen(0.05, rho=0.5, base_optimizer="adam", frequency=frequency)
    model.compile(optimizer, keras.losses.BinaryCrossentropy(from_logits=True))
    return model


def slots(model):
    return model.optimizer.slots_of(model.get_layer("features").embeddings)


def test_fit_counts_every_batch():
    model, (ids, labels) = compiled("running"), data()
    model.fit(ids, labels, batch_size=10, epochs=3, verbose=0)  # the last batch is a part
    expected = [3 * np.bincount(ids[:, j], minlength=n) for j, n in enumerate(FIELDS.values())]
    counted = model.optimizer.row_history(model.get_layer("features").embeddings)["count"]
    np.testing.assert_array_equal(counted, np.concatenate(expected))
    largest = [counts.max() for counts in expected]
    np.testing.assert_array_equal(slots(model)["field_maximum"].numpy(), largest)


def test_fit_leaves_given_counts_alone():
    model, (ids, labels) = compiled(COUNTS), data()
    model.fit(ids, labels, batch_size=10, epochs=2, verbose=0)
    np.testing.assert_array_equal(slots(model)["history"].numpy()[:, 0], FUSED)


def weights_after(model, ids, labels):
    for start in range(0, len(ids), 12):
        model.train_on_batch(ids[start : start + 12], labels[start : start + 12])
    return model.get_weights()


def largest_difference(one, other):
    return max(np.abs(a - b).max() for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize(
    "frequency", ["batch", "running", COUNTS], ids=["batch", "running", "given"]
)
def test_training_goes_on_alike_after_a_file(frequency, tmp_path):
    model = compiled(frequency)
    weights_after(model, *data())
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert type(loaded.optimizer) is tf_helen.Helen
    if frequency != "batch":
        for name, slot in slots(model).items():
            assert slot.numpy().any(), f"{name} is empty: nothing to lose"
            np.testing.assert_array_equal(slots(loaded)[name].numpy(), slot.numpy())
    more = data(seed=1)
    first, second = weights_after(model, *more), weights_after(loaded, *more)
    assert largest_difference(first, second) == 0


def test_the_sources_of_frequency_differ():
    """Or the tests of this file would hold for an optimizer that ignores its counts."""
    results = [weights_after(compiled(f), *data()) for f in ("batch", "running", COUNTS)]
    assert largest_difference(results[0], results[1]) > 1e-4
    assert largest_difference(results[0], results[2]) > 1e-4
    assert largest_difference(results[1], results[2]) > 1e-4

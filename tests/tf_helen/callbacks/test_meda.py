"""MEDA: what is re-initialized in an epoch, and what is kept."""

import keras
import numpy as np
import pytest

import tf_helen
from tf_helen.callbacks import MEDA

FIELDS = {"user": 9, "item": 5}


def data(rows=48, seed=0):
    rng = np.random.default_rng(seed)
    ids = np.stack([(rng.zipf(1.5, rows) - 1) % size for size in FIELDS.values()], axis=1)
    return ids.astype(np.int32), rng.integers(0, 2, (rows, 1)).astype(np.float32)


def compiled(optimizer, kind="tf_helen", seed=0):
    """A model with two embedding layers, `first` and `second`."""
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((2,), dtype="int32")

    def layer(name):
        if kind == "tf_helen":
            return tf_helen.layers.Embedding(FIELDS, 3, name=name)
        return keras.layers.Embedding(9, 3, name=name)

    x = layer("first")(inputs) + layer("second")(inputs)
    x = keras.layers.Dense(4, activation="tanh")(keras.layers.Flatten()(x))
    model = tf_helen.Model(inputs, keras.layers.Dense(1)(x))
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    model.compile(optimizer, loss, run_eagerly=True)
    return model


class Recorder(keras.callbacks.Callback):
    """Records the weights at the start and the end of each epoch."""

    def __init__(self):
        super().__init__()
        self.starts, self.ends = [], []

    def _weights(self):
        return [v.numpy() for v in self.model.trainable_variables]

    def on_epoch_begin(self, epoch, logs=None):
        self.starts.append(self._weights())

    def on_epoch_end(self, epoch, logs=None):
        self.ends.append(self._weights())


def fit(model, *callbacks, epochs=3, **kwargs):
    """The recorder of a training; the first two weights are the tables."""
    recorder, (ids, labels) = Recorder(), data()
    callbacks = [*callbacks, recorder]
    model.fit(ids, labels, batch_size=12, epochs=epochs, verbose=0, callbacks=callbacks, **kwargs)
    return recorder


def assert_equal(one, other):
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)


OPTIMIZERS = {
    "Adam": lambda: tf_helen.Adam(0.05),
    "Adagrad": lambda: tf_helen.Adagrad(0.05, initial_accumulator_value=0.5),
    "GroupAdamAR": lambda: tf_helen.GroupAdamAR(0.05, alpha=0.01, l21=1e-3),
    "Helen": lambda: tf_helen.Helen(base_optimizer=tf_helen.AdamAR(0.05), frequency="running"),
    "PerVariable": lambda: tf_helen.PerVariable({"embeddings": "adamar", "*": "adam"}),
    "scaled": lambda: keras.optimizers.LossScaleOptimizer(tf_helen.Adam(0.05)),
}


@pytest.mark.parametrize(
    "name,kind", [*((name, "tf_helen") for name in OPTIMIZERS), ("Adam", "of Keras")]
)
def test_tables_are_re_initialized_and_the_tower_is_kept(name, kind):
    seen = fit(compiled(OPTIMIZERS[name](), kind), MEDA())
    for end, start in zip(seen.ends[:-1], seen.starts[1:], strict=True):
        assert_equal(end[2:], start[2:])
        for table, before in zip(start[:2], end[:2], strict=True):
            assert (table != before).all(), "a number of a table is that of the last epoch"
            assert np.abs(table).max() <= 0.05  # Keras's "uniform"
            assert 0.015 < table.std() < 0.045
    tables = [table for start in seen.starts for table in start[:2]]
    assert len({float(table[0, 0]) for table in tables}) == 6, "two draws are alike"


class Slots(keras.callbacks.Callback):
    """Looks at the slots of the first table at the start of the second epoch."""

    def on_epoch_begin(self, epoch, logs=None):
        if epoch != 1:
            return
        self.model.optimizer.finalize_variable_values(self.model.trainable_variables)
        self.variable = self.model.get_layer("first").embeddings
        owner = self.model.optimizer.record_owner(self.variable)
        slots = owner.slots_of(self.variable)
        self.found = {name: slot.numpy() for name, slot in slots.items()}
        self.columns = owner.history_columns()
        self.history = self.model.optimizer.row_history(self.variable)
        self.of_kernel = [
            s.numpy() for s in owner.slots_of(self.model.trainable_variables[2]).values()
        ]
        self.read = np.array(self.model.get_layer("first")(data()[0]))
        self.stored = self.variable.numpy()


BASES = {
    "AdamAR": lambda: tf_helen.AdamAR(0.05, alpha=0.3, track_rows=True),
    "Adagrad": lambda: tf_helen.Adagrad(0.05, initial_accumulator_value=0.5, track_rows=True),
    "RowWiseAdagrad": lambda: tf_helen.RowWiseAdagrad(0.05, track_rows=True),
    "RowWiseRMSpropAR": lambda: tf_helen.RowWiseRMSpropAR(0.05, track_rows=True),
    "AdamW by counter": lambda: tf_helen.AdamW(0.05, counter_halflife=5, track_rows=True),
    "GroupAdam": lambda: tf_helen.GroupAdam(0.05, l21=0.01, track_rows=True),
}


@pytest.mark.parametrize("name", BASES)
def test_slots_are_reset_and_occurrences_kept(name):
    slots, (ids, _) = Slots(), data()
    model = compiled(BASES[name]())
    fit(model, MEDA(), slots, epochs=2)
    found = dict(slots.found)
    record = dict(zip(slots.columns, found.pop("history").T, strict=True))
    for slot, values in found.items():
        np.testing.assert_array_equal(values, 0.5 if name == "Adagrad" else 0.0, err_msg=slot)
    for column in {"last_step", "decayed_to"} & set(record):
        np.testing.assert_array_equal(record[column], 4, err_msg=column)  # 4 batches
    for column in {"recent_count", "last_touch"} & set(record):
        assert not record[column].any(), column
    counts = [np.bincount(ids[:, j], minlength=n) for j, n in enumerate(FIELDS.values())]
    np.testing.assert_array_equal(slots.history["count"], np.concatenate(counts))
    assert not slots.history["idle"].any()
    # nothing is owed: what is read is what was drawn
    np.testing.assert_array_equal(slots.read, slots.stored[ids + np.array([0, FIELDS["user"]])])
    assert any(slot.any() for slot in slots.of_kernel), "the tower was reset too"


def test_draws_depend_on_the_seed_of_the_callback_only():
    runs = [
        fit(compiled(tf_helen.Adam(0.05), seed=seed), MEDA(seed=of_callback), epochs=2)
        for seed, of_callback in ((0, 0), (1, 0), (0, 1))
    ]
    first, same, other = (run.starts[1][:2] for run in runs)
    assert_equal(first, same)
    assert all((a != b).all() for a, b in zip(first, other, strict=True))


def test_later_epochs_of_a_training_that_goes_on_are_drawn_alike():
    whole = fit(compiled(tf_helen.Adam(0.05)), MEDA(), epochs=3)
    model = compiled(tf_helen.Adam(0.05))
    fit(model, MEDA(), epochs=2)
    rest = fit(model, MEDA(), epochs=3, initial_epoch=2)
    assert_equal(whole.starts[2][:2], rest.starts[0][:2])


def test_the_first_epoch_is_as_without_it_and_the_second_is_not():
    plain, meda = (fit(compiled(tf_helen.Adam(0.05)), *extra) for extra in ([], [MEDA()]))
    assert_equal(plain.ends[0], meda.ends[0])
    assert max(np.abs(a - b).max() for a, b in zip(plain.ends[1], meda.ends[1], strict=True)) > 1e-2


def test_named_layers_only():
    seen = fit(compiled(tf_helen.Adam(0.05)), MEDA(["second"]), epochs=2)
    assert_equal(seen.ends[0][:1], seen.starts[1][:1])
    assert (seen.ends[0][1] != seen.starts[1][1]).all()


def test_absent_rows_decay_from_the_draw_on():
    """With AdamAR: an epoch later an absent row has forgotten P(steps of that epoch), no more."""
    model, absent, recorder = compiled(tf_helen.AdamAR(0.05, alpha=0.1)), 8, Recorder()
    ids, labels = data()
    ids[:, 0] %= absent
    callbacks = [MEDA(), recorder]
    model.fit(ids, labels, batch_size=12, epochs=2, verbose=0, callbacks=callbacks)
    kept = np.prod([1 - 0.1 * interval for interval in range(4)])  # I = t - s - 1 at 4 steps
    left = model.get_weights()[0][absent] / recorder.starts[1][0][absent]
    np.testing.assert_allclose(left, kept, rtol=1e-5)


@pytest.mark.parametrize(
    "make,callback,error,message",
    [
        (tf_helen.Adam, lambda: MEDA(["frist"]), ValueError, r"'frist'.*'first', 'second'"),
        (keras.optimizers.Adam, MEDA, TypeError, r"Keras's Adam.*tf_helen\.Adam"),
        (
            lambda: tf_helen.PerVariable({"embeddings": keras.optimizers.Adam(), "*": "adam"}),
            *(MEDA, TypeError, r"Keras's Adam.*cannot"),
        ),
    ],
    ids=["unknown layer", "Keras's optimizer", "Keras's optimizer on tables"],
)
def test_what_it_cannot_do_is_said(make, callback, error, message):
    with pytest.raises(error, match=message):
        fit(compiled(make()), callback())


def test_a_model_without_embeddings():
    model = tf_helen.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(tf_helen.Adam(), "mse", run_eagerly=True)
    with pytest.raises(ValueError, match="needs a trainable embedding layer"):
        fit(model, MEDA())

"""Magnitude pruning: which rows become zero, when, and that they stay so."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from kinds import some

import tf_helen
from tf_helen import analysis
from tf_helen.callbacks import MEDA, ExactResume, MagnitudePruning, Sparsity

FIELDS = {"user": 30, "item": 11}
ROWS = sum(FIELDS.values())


@pytest.fixture(autouse=True)
def eager(request):
    """Most tests take few steps, so tracing graphs would be most of their time."""
    tf.config.run_functions_eagerly("graphs" not in request.fixturenames)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.fixture
def graphs():
    """A test that asks for it runs compiled functions, as users do."""


def data(rows=96, seed=0):
    rng = np.random.default_rng(seed)
    ids = np.stack([rng.integers(0, size, rows) for size in FIELDS.values()], axis=1)
    return ids.astype(np.int32), rng.integers(0, 2, (rows, 1)).astype(np.float32)


def occurring():
    """bool `[rows]`: whether a row occurs in the data."""
    counts = [
        np.bincount(column, minlength=n)
        for column, n in zip(data()[0].T, FIELDS.values(), strict=True)
    ]
    return np.concatenate(counts) > 0


def compiled(optimizer=None):
    keras.backend.clear_session()
    keras.utils.set_random_seed(0)
    inputs = keras.Input((2,), dtype="int32")
    wide = keras.layers.Flatten()(tf_helen.layers.Embedding(FIELDS, 1, name="wide")(inputs))
    deep = tf_helen.layers.Embedding(FIELDS, 3, name="deep")(inputs)
    x = keras.layers.Dense(4, activation="tanh")(keras.layers.Flatten()(deep))
    x = keras.layers.Concatenate()([x, wide])
    model = tf_helen.Model(inputs, keras.layers.Dense(1)(x))
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    model.compile(optimizer or tf_helen.Adam(0.05), loss)
    return model


def fit(model, *callbacks, epochs=2, **options):
    ids, labels = data()
    options = {"batch_size": 16, "shuffle": False, "verbose": 0, **options}
    return model.fit(ids, labels, epochs=epochs, callbacks=list(callbacks), **options)


def tables(model):
    return {name: model.get_layer(name).embeddings.numpy() for name in ("deep", "wide")}


def is_zero(table):
    return ~table.any(axis=1)


def test_the_rows_of_the_smallest_norms_become_zero_and_no_other_changes():
    plain, pruned = compiled(), compiled()
    fit(plain, epochs=1)
    fit(pruned, MagnitudePruning(0.7), epochs=1)
    for name, before in tables(plain).items():
        after, norms = tables(pruned)[name], np.linalg.norm(before, axis=1)
        smallest = np.argsort(norms)[: round(0.7 * ROWS)]
        assert set(np.flatnonzero(is_zero(after))) == set(smallest)
        np.testing.assert_array_equal(after[~is_zero(after)], before[~is_zero(after)])
    assert analysis.zero_rows(pruned) == {"deep": 29 / 41, "wide": 29 / 41}


OPTIMIZERS = {
    "Adam": lambda: tf_helen.Adam(0.05, weight_decay=0.1),
    "Momentum": lambda: tf_helen.Momentum(0.05, nesterov=True),
    "Adagrad": lambda: tf_helen.Adagrad(0.05, initial_accumulator_value=0.5),
    "AdamAR": lambda: tf_helen.AdamAR(0.05, alpha=0.01),
    "GroupAdam": lambda: tf_helen.GroupAdam(0.05, l1=1e-4),
    "AdaHessian": lambda: tf_helen.AdaHessian(0.05),
    "CowClip": lambda: tf_helen.CowClip(),
    "Helen": lambda: tf_helen.Helen(0.05, rho=0.1, base_optimizer="nadam"),
    "PerVariable": lambda: tf_helen.PerVariable({"embeddings": "rowwiseadagrad", "*": "adam"}),
    "scaled": lambda: keras.optimizers.LossScaleOptimizer(tf_helen.Adam(0.05)),
}


class ZerosInSteps(keras.callbacks.Callback):
    """The zero rows after every step, and at the end of every epoch."""

    def __init__(self):
        super().__init__()
        self.steps, self.ends = [], []

    def on_train_batch_end(self, batch, logs=None):
        self.steps.append({name: is_zero(table) for name, table in tables(self.model).items()})

    def on_epoch_end(self, epoch, logs=None):
        self.ends.append(tables(self.model))


@pytest.mark.parametrize("name", some(OPTIMIZERS, fast=["Momentum", "AdamAR", "Helen"]))
def test_pruned_rows_stay_at_zero_and_the_others_train(name):
    model, seen = compiled(OPTIMIZERS[name]()), ZerosInSteps()
    fit(model, MagnitudePruning(0.5), seen, epochs=3)
    for table in ("deep", "wide"):
        zeros = is_zero(seen.ends[0][table])
        assert zeros.sum() == round(0.5 * ROWS)
        for step in seen.steps[6:]:
            np.testing.assert_array_equal(step[table], zeros)
        moved = (seen.ends[2][table] != seen.ends[0][table]).any(axis=1)
        assert not moved[zeros].any()
        assert moved[occurring() & ~zeros].all()


def test_slots_of_pruned_rows_are_reset():
    model = compiled(tf_helen.Adagrad(0.05, initial_accumulator_value=0.5))
    fit(model, MagnitudePruning(0.5), epochs=1)
    variable = model.get_layer("deep").embeddings
    (slot,) = model.optimizer.slots_of(variable).values()
    zeros = is_zero(variable.numpy())
    assert (slot.numpy()[zeros] == 0.5).all()
    assert (slot.numpy()[~zeros] != 0.5).any(axis=1).mean() > 0.9


def test_a_step_that_was_compiled_before_obeys(graphs):
    model = compiled()
    fit(model, epochs=1)
    fit(model, MagnitudePruning(0.5), epochs=3)
    assert analysis.zero_rows(model) == {"deep": round(0.5 * ROWS) / ROWS} | {
        "wide": round(0.5 * ROWS) / ROWS
    }


def test_the_schedule_is_that_of_the_paper():
    pruning = MagnitudePruning(0.9, begin=2, end=8, every=2, initial_sparsity=0.3)
    expected = {t: 0.9 + (0.3 - 0.9) * (1 - (t - 2) / 6) ** 3 for t in (2, 4, 6, 8)}
    found = {t: pruning.sparsity_at(t) for t in range(1, 12)}
    assert {t: s for t, s in found.items() if s is not None} == pytest.approx(expected)
    assert MagnitudePruning(0.4, begin=3).sparsity_at(3) == 0.4


def test_rows_are_pruned_along_the_schedule():
    pruning = MagnitudePruning(0.8, begin=1, end=4)
    seen = ZerosInSteps()
    history = fit(compiled(), pruning, seen, Sparsity(), epochs=5).history
    numbers = [round(pruning.sparsity_at(epoch) * ROWS) for epoch in (1, 2, 3, 4)]
    numbers.append(numbers[-1])
    assert len(set(numbers)) == 4
    for name in ("deep", "wide"):
        assert [is_zero(end[name]).sum() for end in seen.ends] == numbers
        assert history[f"zero_rows/{name}"] == [number / ROWS for number in numbers]
        for one, next_one in zip(seen.ends, seen.ends[1:], strict=False):
            assert (is_zero(one[name]) <= is_zero(next_one[name])).all(), "a row came back"


def test_rows_that_a_decay_has_erased_are_not_pruned_for_it():
    """AdamAR with alpha = 1 erases rows after a step of absence; they train when they occur."""
    model = compiled(tf_helen.AdamAR(0.05, alpha=1.0))
    pruning, seen = MagnitudePruning(0.2), ZerosInSteps()
    fit(model, pruning, seen, epochs=2)
    erased = is_zero(seen.ends[0]["deep"])
    assert erased.sum() > round(0.2 * ROWS)
    (bits, _), before = pruning.pruned, seen.ends[0]["deep"]
    mask = np.unpackbits(bits, count=ROWS).astype(bool) if len(bits) else None
    assert mask.sum() == round(0.2 * ROWS) and is_zero(before)[mask].all()
    assert is_zero(seen.ends[1]["deep"])[mask].all()
    came_back = np.zeros(ROWS, bool)
    for step in seen.steps[6:]:
        came_back |= erased & ~step["deep"]
    assert (came_back & ~mask).any() and not (came_back & mask).any()


def test_a_later_fit_keeps_them_with_the_same_callback_only():
    model, pruning = compiled(), MagnitudePruning(0.5)
    fit(model, pruning, epochs=1)
    zeros = is_zero(tables(model)["deep"])
    fit(model, pruning, epochs=2, initial_epoch=1)
    np.testing.assert_array_equal(is_zero(tables(model)["deep"]), zeros)
    fit(model, epochs=3, initial_epoch=2)
    assert is_zero(tables(model)["deep"]).sum() < zeros.sum()


def test_another_model_begins_without_pruned_rows():
    pruning = MagnitudePruning(0.5, begin=2)
    fit(compiled(), pruning, epochs=2)
    model = compiled()
    fit(model, pruning, epochs=1)
    assert not is_zero(tables(model)["deep"]).any()


class Killed(Exception):
    """What ends a training here, as `kill -9` would."""


class KillAt(keras.callbacks.Callback):
    def __init__(self, epoch, step):
        super().__init__()
        self._at = epoch, step

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if (self._epoch, batch + 1) == self._at:
            raise Killed


@pytest.mark.parametrize("step", some([1, 4], fast=[1]))
@pytest.mark.slow
def test_a_killed_training_goes_on_to_the_same_bits(tmp_path, step):
    def run(folder, *others):
        model, pruning = compiled(tf_helen.AdamAR(0.05, alpha=0.2)), MagnitudePruning(0.6)
        resume = ExactResume(folder, 0, callbacks=[pruning], verbose=0)
        fit(model, resume, pruning, *others, epochs=3)
        return model

    whole = run(tmp_path / "whole")
    with pytest.raises(Killed):
        run(tmp_path / "broken", KillAt(1, step))
    broken = run(tmp_path / "broken")
    for one, other in zip(
        whole.variables + whole.optimizer.variables,
        broken.variables + broken.optimizer.variables,
        strict=True,
    ):
        np.testing.assert_array_equal(one.numpy(), other.numpy(), err_msg=one.path)
    assert is_zero(tables(whole)["wide"]).sum() >= round(0.6 * ROWS)


def test_named_tables_only():
    model = compiled()
    fit(model, MagnitudePruning(0.5, tables=["wide"]), epochs=1)
    assert analysis.zero_rows(model) == {"deep": 0.0, "wide": 20 / 41}


def test_all_and_no_rows():
    model = compiled()
    fit(model, MagnitudePruning(1.0), epochs=2)
    assert analysis.zero_rows(model) == {"deep": 1.0, "wide": 1.0}
    model = compiled()
    fit(model, MagnitudePruning(0.0), epochs=2)
    assert analysis.zero_rows(model) == {"deep": 0.0, "wide": 0.0}


def test_files_and_checkpoints_hold_nothing_of_it(tmp_path, graphs):
    model = compiled()
    plain = [name for name, _ in tf.train.list_variables(_saved(model, tmp_path / "plain"))]
    fit(model, MagnitudePruning(0.5), epochs=1)
    assert [n for n, _ in tf.train.list_variables(_saved(model, tmp_path / "pruned"))] == plain
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    ids, _ = data()
    np.testing.assert_allclose(loaded.predict(ids, verbose=0), model.predict(ids, verbose=0))
    model.export(tmp_path / "served", verbose=False)
    served = tf.saved_model.load(tmp_path / "served")
    np.testing.assert_allclose(served.serve(ids), model.predict(ids, verbose=0), rtol=1e-5)


def _saved(model, path):
    return tf.train.Checkpoint(layer=model.get_layer("deep")).write(str(path))


def test_beside_meda_the_other_rows_are_drawn_again():
    model, pruning, seen = compiled(), MagnitudePruning(0.5), ZerosInSteps()
    fit(model, pruning, MEDA(), seen, epochs=2)
    zeros = is_zero(seen.ends[0]["deep"])
    for step in seen.steps[6:]:
        np.testing.assert_array_equal(step["deep"], zeros)
    assert (seen.ends[1]["deep"] != seen.ends[0]["deep"])[~zeros].all()


@pytest.mark.parametrize(
    "arguments,message",
    [
        ({"sparsity": 1.2}, r"`sparsity` must be a number in \[0, 1\]"),
        ({"begin": 0}, "`begin` must be an integer >= 1"),
        ({"begin": 3, "end": 2}, "`end` must be an integer >= 3"),
        ({"end": 4, "every": 2}, "`every` must divide end - begin"),
        ({"sparsity": 0.5, "initial_sparsity": 0.6}, r"`initial_sparsity`.*\[0, 0.5\]"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        MagnitudePruning(**arguments)


def test_what_it_cannot_do_is_said():
    with pytest.raises(ValueError, match=r"'dep'. Did you mean 'deep'\? Names: (wide|deep)"):
        fit(compiled(), MagnitudePruning(tables=["dep"]))
    with pytest.raises(TypeError, match=r"Keras's Adam.*tf_helen\.Adam"):
        fit(compiled(keras.optimizers.Adam()), MagnitudePruning())

"""A training that ends at any step continues in another process with the same bits."""

import json
import os
import signal

import keras
import numpy as np
import pytest
import tensorflow as tf

import tf_helen
from tf_helen.callbacks import ExactResume
from tf_helen.callbacks.state_files import StateFiles

RNG = np.random.default_rng(0)
X = np.stack([RNG.integers(0, 30, 100), RNG.integers(0, 20, 100)], axis=1).astype("int32")
Y = RNG.integers(0, 2, (100, 1)).astype("float32")
STEPS = 7  # of 16 rows
OPTIMIZERS = {
    "adamar": lambda: tf_helen.AdamAR(0.01, alpha="auto"),
    "helen": lambda: tf_helen.Helen(0.01, base_optimizer="adamar"),
    "scaled": lambda: keras.optimizers.LossScaleOptimizer(tf_helen.AdamAR(0.01, alpha=1e-3)),
}


class Killed(Exception):
    """What ends a training here, as `kill -9` would."""


class At(keras.callbacks.Callback):
    """Does something at the end of a step."""

    def __init__(self, epoch, step, action):
        super().__init__()
        self._at, self._action = (epoch, step), action

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if (self._epoch, batch + 1) == self._at:
            self._action()


def kill():
    raise Killed


def build(optimizer=OPTIMIZERS["adamar"], width=8, name=None):
    keras.backend.clear_session()
    keras.utils.set_random_seed(0)
    inputs = keras.Input((2,), dtype="int32")
    x = keras.layers.Flatten()(tf_helen.layers.Embedding([30, 20], 4)(inputs))
    x = keras.layers.Dropout(0.3)(keras.layers.Dense(width, activation="relu", name=name)(x))
    x = keras.layers.BatchNormalization()(x)
    model = tf_helen.Model(inputs, keras.layers.Dense(1)(x))
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    model.compile(optimizer(), loss, metrics=["mae"])
    return model


def fit(folder, *others, model=None, optimizer=OPTIMIZERS["adamar"], minutes=0, **changes):
    model = build(optimizer) if model is None else model
    reduce = keras.callbacks.ReduceLROnPlateau("val_loss", factor=0.5, patience=1, min_delta=0.1)
    stop = keras.callbacks.EarlyStopping("val_loss", patience=9, restore_best_weights=True)
    resume = ExactResume(folder, minutes, callbacks=[reduce, stop], verbose=0)
    given = {"epochs": 3, "batch_size": 16, "shuffle": False, "verbose": 0, **changes}
    callbacks = [resume, tf_helen.callbacks.MEDA(), reduce, stop, *others]
    history = model.fit(X, Y, validation_data=(X, Y), callbacks=callbacks, **given)
    return model, history


def assert_same(first, second):
    assert first[1].epoch == second[1].epoch
    assert first[1].history == second[1].history
    for one, other in zip(
        first[0].variables + first[0].optimizer.variables,
        second[0].variables + second[0].optimizer.variables,
        strict=True,
    ):
        np.testing.assert_array_equal(one.numpy(), other.numpy(), err_msg=one.path)


@pytest.mark.parametrize(
    "name", [n if n == "adamar" else pytest.param(n, marks=pytest.mark.slow) for n in OPTIMIZERS]
)
def test_a_killed_training_goes_on_to_the_same_bits(name, tmp_path):
    optimizer = OPTIMIZERS[name]
    whole = fit(tmp_path / "whole", optimizer=optimizer)
    assert whole[1].epoch == [0, 1, 2]
    assert float(whole[0].optimizer.learning_rate) < 0.01  # the plateau belongs to the state
    # One training, killed in its first epoch, at the end of an epoch and in a later one.
    for epoch, step in ((0, 3), (1, STEPS)):
        with pytest.raises(Killed):
            fit(tmp_path / "broken", At(epoch, step, kill), optimizer=optimizer)
    assert_same(whole, fit(tmp_path / "broken", optimizer=optimizer))


def test_a_finished_training_trains_no_further(tmp_path):
    first = fit(tmp_path, minutes=60, epochs=2)
    again = fit(tmp_path, At(0, 1, kill), At(1, 1, kill), minutes=60, epochs=2)
    assert_same(first, again)


@pytest.mark.slow
def test_a_last_execution_of_fewer_steps_is_skipped_whole(tmp_path):
    def made():
        model = build()
        model.compile("adam", "mse", steps_per_execution=4)
        return model

    def trained(folder, *others):
        model = made()
        data = tf.data.Dataset.from_tensor_slices((X, Y)).batch(16)
        callbacks = [ExactResume(folder, 0, verbose=0), *others]
        return model, model.fit(data, epochs=2, verbose=0, callbacks=callbacks)

    whole = trained(tmp_path / "whole")
    # Keras 3.10 numbers an execution by its first step, newer Keras by its last.
    for first, last in ((1, 4), (5, 8)):
        with pytest.raises(Killed):
            trained(tmp_path / "broken", At(0, first, kill), At(0, last, kill))
    assert_same(whole, trained(tmp_path / "broken"))


def test_sigterm_saves_the_state_after_the_step_and_ends_with_143(tmp_path):
    before = signal.getsignal(signal.SIGTERM)
    stop = At(1, 2, lambda: os.kill(os.getpid(), signal.SIGTERM))
    whole = fit(tmp_path / "whole", minutes=60, epochs=2)
    with pytest.raises(SystemExit) as ended:
        fit(tmp_path / "broken", stop, minutes=60, epochs=2)
    assert ended.value.code == 143
    assert signal.getsignal(signal.SIGTERM) == before
    assert (tmp_path / "broken/ckpt-1-3.index").exists()  # the step after the one that it came in
    assert_same(whole, fit(tmp_path / "broken", minutes=60, epochs=2))


def damaged_copies(path):
    content = path.read_bytes()
    middle = len(content) // 2
    yield content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
    yield content[:middle]
    yield b""


def test_a_damaged_state_is_reported_and_the_one_before_is_used(tmp_path, capsys):
    with pytest.raises(Killed):
        fit(tmp_path, At(0, 3, kill), epochs=1)
    states = StateFiles(tmp_path)
    newest, before = states.newest()
    assert (newest.step, before.step) == (3, 2)
    for ending in ("index", "data-00000-of-00001", "json"):
        file = tmp_path / f"ckpt-0-3.{ending}"
        whole = file.read_bytes()
        for content in damaged_copies(file):
            file.write_bytes(content)
            found, notes = states.newest_whole()
            assert found.path == before.path and len(notes) == 1, (ending, len(content))
            assert "ckpt-0-3 is damaged" in notes[0]
            file.write_bytes(whole)
            assert states.newest_whole()[0].path == newest.path
    file.write_bytes(b"")
    fit(tmp_path, epochs=1)
    assert "ckpt-0-3 is damaged" in capsys.readouterr().out


def test_only_damaged_states_are_an_error(tmp_path):
    with pytest.raises(Killed):
        fit(tmp_path, At(0, 2, kill), epochs=1)
    for path in tmp_path.glob("*.data-*"):
        path.write_bytes(b"")
    with pytest.raises(ValueError, match=r"all states in .* are damaged.*another folder"):
        fit(tmp_path, epochs=1)


def test_a_state_of_another_model_is_refused(tmp_path):
    fit(tmp_path, epochs=1, minutes=60)
    with pytest.raises(ValueError, match=r"kernel of shape \(8, 8\), the model has shape \(8, 4\)"):
        fit(tmp_path, model=build(width=4), epochs=2, minutes=60)


def test_a_layer_whose_name_has_a_dot_is_found_again(tmp_path):
    first = fit(tmp_path, model=build(name="v1.Small..S"), epochs=1, minutes=60)
    again = fit(tmp_path, model=build(name="v1.Small..S"), epochs=1, minutes=60)
    assert_same(first, again)


def test_data_that_became_shorter_are_refused(tmp_path):
    with pytest.raises(Killed):
        fit(tmp_path, At(0, 5, kill), epochs=1)
    with pytest.raises(ValueError, match=r"2 callbacks in `callbacks`\. Received: 0"):
        build().fit(X, Y, batch_size=16, callbacks=[ExactResume(tmp_path, verbose=0)], verbose=0)
    others = [keras.callbacks.ReduceLROnPlateau(), keras.callbacks.EarlyStopping()]
    data = tf.data.Dataset.from_tensor_slices((X[:40], Y[:40])).batch(16)
    for known in (True, False):  # whether Keras knows the number of steps
        rows = data if known else data.filter(lambda x, y: True)
        resume = ExactResume(tmp_path, callbacks=others, verbose=0)
        with pytest.raises(ValueError, match=r"after step 5 of an epoch.*the data have 3"):
            build().fit(rows, callbacks=[resume], verbose=0)


def test_what_killed_processes_left_is_removed_and_nothing_else(tmp_path):
    gone = 2**22 + 1  # beyond the numbers of processes
    names = {f".partial-{gone}": True, f".partial-{os.getppid()}": True, "notes.txt": False}
    for name, folder in names.items():
        (tmp_path / name).mkdir() if folder else (tmp_path / name).write_text("mine")
    fit(tmp_path, epochs=1, minutes=60)
    left = {path.name for path in tmp_path.iterdir()}
    assert {f".partial-{os.getppid()}", "notes.txt"} < left
    assert f".partial-{gone}" not in left


def test_a_state_names_what_it_holds(tmp_path):
    fit(tmp_path, epochs=1, minutes=60)
    content = json.loads((tmp_path / "ckpt-1.json").read_text())["content"]
    assert content["facts"]["history"]["epoch"] == [0]
    keys = dict(tf.train.list_variables(str(tmp_path / "ckpt-1")))
    assert sum("seed_generator_state" in key for key in keys) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"minutes": -1}, "minutes=-1"),
        ({"minutes": True}, "minutes=True"),
        ({"keep": 1}, ">= 2.*keep=1"),
        ({"keep": 2.5}, "keep=2.5"),
    ],
)
def test_bad_arguments_are_named(arguments, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        ExactResume(tmp_path, **arguments)

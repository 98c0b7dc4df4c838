"""ExactResume: a training that was killed goes on as if it had not been, to the bit."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from types import FrameType
from typing import Any

import keras
import tensorflow as tf

from tf_helen import keras_access
from tf_helen.callbacks.state_files import SavedState, StateFiles
from tf_helen.callbacks.training_state import (
    TrainingState,
    attributes_of,
    epoch_state,
    set_attributes,
    set_epoch_state,
)

TERMINATED = 143  # as shells count: 128 + SIGTERM


class Terminated(SystemExit):
    """Ends the process with the exit code 143 after SIGTERM; the state is saved before."""

    def __init__(self):
        super().__init__(TERMINATED)


class ExactResume(keras.callbacks.Callback):
    """Saves the state of a training in the middle of epochs too, and goes on from it.

    A process that is killed at any instant and started again with the same arguments ends with the
    same weights, bit for bit on CPUs, as one that was not killed. The state is: weights, the
    optimizer's variables, the seeds of random layers, the metrics of the epoch so far, the number
    of the step, the history, and the attributes of `callbacks`. Each state is read back before it
    replaces an older one; a damaged one is reported, and the one before it is used. On SIGTERM the
    current step is finished, the state is saved, and `SystemExit` with the code 143 is raised.

    The data must give the same batches in the same order in every epoch and every process:
    unshuffled, or shuffled with a seed and `reshuffle_each_iteration=False`; with arrays, use
    `shuffle=False`. The batches that were trained already are read again without training, which
    costs the time of reading them.

    Args:
        directory: folder of the states, of this training only; local or remote.
        minutes: a state is saved after the first step that ends so many minutes after the one
            before, and after every epoch; 0: after every step.
        keep: how many of the newest states stay, at least 2.
        callbacks: other callbacks of the same `fit` whose attributes (numbers, texts, arrays and
            lists of them) belong to the state, such as `ReduceLROnPlateau` or `EarlyStopping`.
        verbose: 1: print when the training goes on from a state; 0: print nothing.

    Raises:
        ValueError: on arguments out of range, a state of another model or optimizer, if all
            states are damaged, or if the data have become shorter.

    Put it before all other callbacks: what they change at the end of a step is then repeated.

    Example:
        >>> import tempfile
        >>> x, y = np.ones((8, 2)), np.ones((8, 1))
        >>> folder = tempfile.mkdtemp()
        >>> for epochs in (1, 2):
        ...     keras.utils.clear_session()  # as a new process: layers get the same names
        ...     model = tf_helen.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        ...     model.compile("sgd", "mse")
        ...     resume = tf_helen.callbacks.ExactResume(folder, verbose=0)
        ...     run = {"epochs": epochs, "shuffle": False, "verbose": 0, "callbacks": [resume]}
        ...     history = model.fit(x, y, **run)
        >>> history.epoch
        [0, 1]
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        minutes: float = 10.0,
        keep: int = 2,
        callbacks: Sequence[keras.callbacks.Callback] = (),
        verbose: int = 1,
    ):
        super().__init__()
        if isinstance(minutes, bool) or not minutes >= 0:
            raise ValueError(f"`minutes` must be a number >= 0. Received: minutes={minutes!r}")
        if isinstance(keep, bool) or not isinstance(keep, int) or keep < 2:
            raise ValueError(
                "`keep` must be an integer >= 2, so that a damaged state leaves one to go on "
                f"from. Received: keep={keep!r}"
            )
        self.files = StateFiles(os.fspath(directory), keep)
        self.minutes, self.others, self.verbose = float(minutes), list(callbacks), verbose
        self._states: dict[bool, TrainingState] = {}
        self._looked = False
        self._pending: SavedState | None = None  # loaded once its step is reached
        self._attributes: list[dict[str, Any]] | None = None
        self._earlier: dict[str, Any] = {}  # the history of earlier processes
        self._epoch = self._step = self._known_step = 0
        self._finished: int | None = None  # the last epoch that this process finished
        self._logs: dict[str, float] = {}
        self._read = 0  # steps that were skipped so far
        self._saved_at = time.monotonic()
        self._listening: tuple[Any, ...] | None = None
        self._terminating = False

    def facts(self) -> dict[str, Any]:
        """What is saved beside the variables, as JSON holds it."""
        return {
            "history": self._history(),
            "logs": self._logs,
            "callbacks": attributes_of(self.others),
            "stopped": bool(self.model.stop_training),
        }

    def restore_facts(self, facts: Mapping[str, Any]) -> None:
        """Takes what `facts` returned."""
        self._earlier = dict(facts.get("history", {}))
        self._logs = dict(facts.get("logs", {}))
        self._attributes = facts.get("callbacks")

    def save(self, epoch: int, step: int = 0, protect: Sequence[int] = ()) -> None:
        """Writes the state now.

        Args:
            epoch: how many epochs it has behind it.
            step: steps of the next epoch.
            protect: numbers of epochs whose states at their end stay too.
        """
        state = self._state(metrics=step > 0)
        facts = {**self.facts(), "epoch_state": epoch_state(self.model)}
        self.files.write(state.checkpoint(epoch), epoch, step, facts, protect)
        self._saved_at = time.monotonic()

    def load(self, saved: SavedState) -> None:
        """Sets everything to a state that is whole."""
        self._state(metrics=saved.step > 0).load(saved)
        if "epoch_state" in saved.facts:
            set_epoch_state(self.model, saved.facts["epoch_state"])
        self.restore_facts(saved.facts)
        self._epoch, self._step, self._known_step = saved.epoch, saved.step, saved.step
        self._saved_at = time.monotonic()

    def _state(self, metrics: bool) -> TrainingState:
        # Made late: some metrics have no variables before the first batch is known.
        if metrics not in self._states:
            self._states[metrics] = TrainingState(self.model, metrics)
        return self._states[metrics]

    # The course of `fit`.

    def on_train_begin(self, logs=None):
        self._listen()
        if self._looked:
            return
        self._looked = True
        self.files.remove_leftovers()
        saved, notes = self.files.newest_whole()
        if notes and saved is None:
            raise ValueError(
                f"no state in {self.files.directory} is whole: {'; '.join(notes)}; to train from "
                "the beginning, use another folder"
            )
        for note in notes:
            print(f"{note}; the one before it is used", flush=True)
        if saved is None:
            return
        if self.verbose:
            print(f"going on from {saved.path}: after epoch {saved.epoch}, step {saved.step}")
        first = saved.epoch
        if saved.step:
            self._pending = saved
            self.restore_facts(saved.facts)
        else:
            self.load(saved)
            if saved.facts.get("stopped"):
                first = max(first, self.params.get("epochs") or 0)
        keras_access.begin_fit_at(self.model, first)

    def on_epoch_begin(self, epoch, logs=None):
        keras_access.begin_fit_at(self.model, None)  # it is for this `fit` only
        self._show_history()
        self._take_attributes()
        if self._finished is not None:
            self.save(epoch)  # here, after what all callbacks did at the end of the last epoch
        self._epoch, self._step, self._known_step = epoch, 0, 0
        if self._pending:
            self._skip_batches(self._pending)

    def on_train_batch_end(self, batch, logs=None):
        if self._pending:  # only read
            self._read = batch + 1
            self._leave_if_asked(saved=False)
            return
        self._step, self._logs = batch + 1, _numbers(logs)
        if self._step > self._known_step and self._is_due():
            self.save(self._epoch, self._step)
        self._leave_if_asked(saved=True)

    def on_epoch_end(self, epoch, logs=None):
        if self._pending:
            raise _too_few(self._pending, self._read)
        self._finished = epoch

    def on_train_end(self, logs=None):
        keras_access.begin_fit_at(self.model, None)
        if self._finished is not None:
            self.save(self._finished + 1)
            self._finished = None
        self._take_attributes()
        self._show_history()
        self._stop_listening()

    def _is_due(self) -> bool:
        return self._terminating or time.monotonic() - self._saved_at >= 60 * self.minutes

    def _skip_batches(self, saved: SavedState) -> None:
        """Lets the steps that the state has behind it read their batches, and do nothing else."""
        model, train, size = self.model, self.model.train_function, self.model.steps_per_execution
        done, batch = 0, None

        def skip(iterator):
            nonlocal done, batch
            for number in range(size):
                try:
                    batch = next(iterator)
                except (StopIteration, tf.errors.OutOfRangeError):
                    if number and done + size >= saved.step:
                        break  # the last execution of the epoch has fewer steps
                    raise _too_few(saved, done + number) from None
            if not done:
                keras_access.build_with(model, batch)
            done += size
            if done >= saved.step:
                model.train_function = train
                self._pending = None
                self.load(saved)
                self._take_attributes()
                self._show_history()
            return {name: tf.constant(value) for name, value in self._logs.items()}

        model.train_function = skip

    def _take_attributes(self) -> None:
        if self._attributes is not None:
            set_attributes(self.others, self._attributes)
        self._attributes = None

    def _history(self) -> dict[str, Any]:
        shown = self.model.history
        if shown is None:
            return {}
        logs = {name: _floats(values) for name, values in shown.history.items()}
        return {"epoch": list(shown.epoch), "logs": logs}

    def _show_history(self) -> None:
        """Puts the epochs of earlier processes into what `fit` returns."""
        if self._earlier and self.model.history is not None:
            self.model.history.epoch = list(self._earlier["epoch"])
            self.model.history.history = {k: list(v) for k, v in self._earlier["logs"].items()}
        self._earlier = {}

    # SIGTERM.

    def _listen(self) -> None:
        if self._listening is None and threading.current_thread() is threading.main_thread():
            self._listening = (signal.signal(signal.SIGTERM, self._on_sigterm),)

    def _stop_listening(self) -> None:
        if self._listening is not None:
            signal.signal(signal.SIGTERM, self._listening[0] or signal.SIG_DFL)
            self._listening = None

    def _on_sigterm(self, number: int, frame: FrameType | None) -> None:
        while frame is not None:
            if frame.f_code.co_name == "fit" and frame.f_locals.get("self") is self.model:
                self._terminating = True  # the step is finished first
                return
            frame = frame.f_back
        # An error has ended `fit`: the signal is for whoever listened before.
        self._stop_listening()
        os.kill(os.getpid(), signal.SIGTERM)

    def _leave_if_asked(self, saved: bool) -> None:
        if not self._terminating:
            return
        self._stop_listening()
        if self.verbose:
            state = "state saved" if saved else "state was saved before"
            print(f"\nstopped by SIGTERM; {state} in {self.files.directory}", file=sys.stderr)
        raise Terminated


def _too_few(saved: SavedState, steps: int) -> ValueError:
    return ValueError(
        f"{saved.path} has {saved.step} steps of an epoch behind it, and the data end after "
        f"{steps}; give the data of the first run"
    )


def _numbers(logs: Mapping[str, Any] | None) -> dict[str, float]:
    """The logs that are single numbers."""
    found = {}
    for name, value in (logs or {}).items():
        with contextlib.suppress(TypeError, ValueError):
            found[name] = float(value)
    return found


def _floats(values: Sequence[Any]) -> list[float]:
    return [float(value) for value in values]

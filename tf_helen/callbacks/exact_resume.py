"""ExactResume: resumes a killed training with the same bits."""

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
from tf_helen.core.workers import Workers, leads

_ASK_EVERY = 16  # steps after which workers ask each other whether a state is due
TERMINATED = 143  # as shells count: 128 + SIGTERM


class Terminated(SystemExit):
    """Ends the process with exit code 143 after SIGTERM; the state is saved before."""

    def __init__(self):
        super().__init__(TERMINATED)


class ExactResume(keras.callbacks.Callback):
    """Saves the state of a training, also in the middle of epochs, and resumes from it.

    A process that is killed at any time and started again with the same arguments ends with the
    same weights as an uninterrupted one, bit for bit on CPUs. The state contains the weights, the
    variables of the optimizer, the seeds of random layers, the metrics of the current epoch, the
    step, the history, and the attributes of `callbacks`. Each state is read back before older ones
    are removed. If a state is damaged, it is reported and the previous one is used. On SIGTERM, the
    current step is finished, the state is saved, and `SystemExit` with exit code 143 is raised.

    The data must have the same batches in the same order in every epoch and every process:
    unshuffled, or shuffled with a seed and `reshuffle_each_iteration=False`; with arrays, use
    `shuffle=False`. Batches that were trained before are read again, but not trained.

    Under `MultiWorkerMirroredStrategy`, every worker has this callback; the first one writes the
    states, and all of them read them, from a folder that they share. SIGTERM to one worker saves a
    state within 16 steps and ends all of them.

    Args:
        directory: string or path, folder of the states of this training only, local or remote.
        minutes: float, not negative, minutes between two states; a state is also saved after every
            epoch. 0: after every step. Defaults to 10.
        keep: int, at least 2, number of states to keep. Defaults to 2.
        callbacks: sequence of other callbacks of the same `fit`, such as `ReduceLROnPlateau` or
            `EarlyStopping`, whose attributes (numbers, strings, arrays and lists of them) are part
            of the state. Defaults to `()`.
        verbose: 1 to print that the training resumes from a state, or 0. Defaults to 1.
        stream: source of the batches with a position of its own, such as the `stream` of
            `zoo.read_stream`: an object with `state()` (a dict that JSON can represent),
            `restore(state)` and `advance(batches)`. Its state is part of the state, and batches
            that were trained before are not read again. Defaults to `None`.

    Raises:
        ValueError: on arguments out of range, a state of another model or optimizer, if all states
            are damaged, or if the data have fewer batches than before.

    Pass it before all other callbacks, so that their changes at the end of a step are repeated.

    Example:
        >>> import tempfile
        >>> x, y = np.ones((8, 2)), np.ones((8, 1))
        >>> folder = tempfile.mkdtemp()
        >>> for epochs in (1, 2):
        ...     keras.utils.clear_session()  # as in a new process: layers get the same names
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
        stream: Any = None,
    ):
        super().__init__()
        if isinstance(minutes, bool) or not minutes >= 0:
            raise ValueError(f"`minutes` must be a number >= 0. Received: minutes={minutes!r}")
        if isinstance(keep, bool) or not isinstance(keep, int) or keep < 2:
            raise ValueError(
                "`keep` must be an integer >= 2, so that one state remains if the other is "
                f"damaged. Received: keep={keep!r}"
            )
        self.files = StateFiles(os.fspath(directory), keep)
        self.minutes, self.others, self.verbose = float(minutes), list(callbacks), verbose
        self.stream = stream
        self._states: dict[bool, TrainingState] = {}
        self._looked = False
        self._pending: SavedState | None = None  # loaded when its step is reached
        self._attributes: list[dict[str, Any]] | None = None
        self._earlier: dict[str, Any] = {}  # the history of earlier processes
        self._epoch = self._step = self._known_step = 0
        self._finished: int | None = None  # the last epoch that was finished in this process
        self._logs: dict[str, float] = {}
        self._read = 0  # number of skipped steps
        self._saved_at = time.monotonic()
        self._listening: tuple[Any, ...] | None = None
        self._terminating = self._leaving = False  # SIGTERM was received; all workers know of it
        self._group: Workers | None = None
        self._trainer: object | None = None  # the object whose `fit` trains, if not the model

    def facts(self) -> dict[str, Any]:
        """Returns the part of the state that is saved as JSON."""
        facts = {
            "history": self._history(),
            "logs": self._logs,
            "callbacks": attributes_of(self.others),
            "stopped": bool(self.model.stop_training),
        }
        return facts if self.stream is None else {**facts, "stream": self.stream.state()}

    def restore_facts(self, facts: Mapping[str, Any]) -> None:
        """Restores the result of `facts`."""
        self._earlier = dict(facts.get("history", {}))
        self._logs = dict(facts.get("logs", {}))
        self._attributes = facts.get("callbacks")

    def save(self, epoch: int, step: int = 0, protect: Sequence[int] = ()) -> None:
        """Writes the current state.

        Args:
            epoch: int, number of finished epochs.
            step: int, number of finished steps of the next epoch. Defaults to 0.
            protect: numbers of epochs whose states at the end of the epoch are kept. Defaults to
                none.
        """
        state = self._state(metrics=step > 0)
        self._saved_at = time.monotonic()
        if not leads(self.model.distribute_strategy):
            return
        facts = {**self.facts(), "epoch_state": epoch_state(self.model)}
        self.files.write(state.checkpoint(epoch), epoch, step, facts, protect)
        self._saved_at = time.monotonic()

    def load(self, saved: SavedState) -> None:
        """Restores an intact state."""
        self._state(metrics=saved.step > 0).load(saved)
        if "epoch_state" in saved.facts:
            set_epoch_state(self.model, saved.facts["epoch_state"])
        self.restore_facts(saved.facts)
        self._epoch, self._step, self._known_step = saved.epoch, saved.step, saved.step
        self._saved_at = time.monotonic()

    @property
    def _workers(self) -> Workers:
        strategy = self.model.distribute_strategy
        if self._group is None or self._group.strategy is not strategy:
            self._group = Workers(strategy)
        return self._group

    def _state(self, metrics: bool) -> TrainingState:
        # Created late, because some metrics have no variables before the first batch.
        if metrics not in self._states:
            self._states[metrics] = TrainingState(self.model, metrics)
        return self._states[metrics]

    # Called by `fit`.

    def on_train_begin(self, logs=None):
        self._listen()
        if self._looked:
            return
        self._looked = True
        if leads(self.model.distribute_strategy):
            self.files.remove_leftovers()
        saved, notes = self.files.newest_whole()
        self.check_workers(*(saved.epoch, saved.step) if saved else (0, 0))
        if notes and saved is None:
            raise ValueError(
                f"all states in {self.files.directory} are damaged: {'; '.join(notes)}; use "
                "another folder to train from the beginning"
            )
        for note in notes:
            print(f"{note}; the previous state is used", flush=True)
        if saved is None:
            return
        if self.verbose:
            print(f"resuming from {saved.path}: epoch {saved.epoch}, step {saved.step}")
        first = saved.epoch
        if self.stream is not None:
            if "stream" not in saved.facts:
                raise ValueError(
                    f"{saved.path} holds no position of a stream; it was saved without `stream`. "
                    "Use another folder"
                )
            self.stream.restore(saved.facts["stream"])  # before its first batch is read
        if saved.step:
            self._pending = saved
            self.restore_facts(saved.facts)
        else:
            self.load(saved)
            if saved.facts.get("stopped"):
                first = max(first, self.params.get("epochs") or 0)
        keras_access.begin_fit_at(self.model, first)

    def on_epoch_begin(self, epoch, logs=None):
        keras_access.begin_fit_at(self.model, None)  # valid for this `fit` only
        self._show_history()
        self._take_attributes()
        if self._finished is not None:
            self.save(epoch)  # after the changes of all callbacks at the end of the last epoch
        self._epoch, self._step, self._known_step = epoch, 0, 0
        if self._pending:
            self._skip_batches(self._pending)

    def on_train_batch_end(self, batch, logs=None):
        if self._pending:  # this batch was read, but not trained
            self._read = batch + 1
            self._is_due(batch + 1)
            self._leave_if_asked(saved=False)
            return
        if self.stream is not None:
            self.stream.advance(batch + 1 - self._step)
        self._step, self._logs = batch + 1, _numbers(logs)
        if self._is_due(self._step) and self._step > self._known_step:
            self._gather()
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

    def _is_due(self, step: int | None = None) -> bool:
        """Returns whether a state is due or the training is to end, on all workers alike."""
        due = time.monotonic() - self._saved_at >= 60 * self.minutes
        self._leaving = self._terminating
        if self._workers.are_several:
            if step is not None and step % _ASK_EVERY and self.minutes:
                self._leaving = False
                return False
            due, self._leaving = self._workers.any([due, self._leaving])
        return due or self._leaving

    def _gather(self) -> None:
        """Reads the metrics of other workers, which `save` writes; all workers must call it."""
        if self._workers.are_several:
            self._state(metrics=True).gather()

    def check_workers(self, epoch: int, step: int) -> None:
        """Raises unless all workers have found the state after the same epoch and step."""
        if not self._workers.agree((epoch, step)):
            raise ValueError(
                f"the workers find different states in {self.files.directory}; this one finds that "
                f"of epoch {epoch}, step {step}. Use a folder that all workers share"
            )

    def _skip_batches(self, saved: SavedState) -> None:
        """Makes steps before the state read their batches without training them."""
        model, train, size = self.model, self.model.train_function, self.model.steps_per_execution
        done, batch = 0, None

        def skip(iterator):
            nonlocal done, batch
            if self.stream is not None:  # it continues after these batches
                batch = _example(iterator) if batch is None else batch
            for number in range(size if self.stream is None else 0):
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
                if self.stream is not None:
                    self._step = done  # `fit` counts this execution as a whole
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
        """Adds the epochs of earlier processes to the history that `fit` returns."""
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
            trains = frame.f_locals.get("self") in (self.model, self._trainer)
            if frame.f_code.co_name == "fit" and trains:
                self._terminating = True  # after the current step
                return
            frame = frame.f_back
        # `fit` has ended with an error: the previous handler receives the signal.
        self._stop_listening()
        os.kill(os.getpid(), signal.SIGTERM)

    def _leave_if_asked(self, saved: bool) -> None:
        if not self._leaving:
            return
        self._stop_listening()
        if self.verbose:
            state = "state saved" if saved else "the last saved state is"
            print(f"\nstopped by SIGTERM; {state} in {self.files.directory}", file=sys.stderr)
        raise Terminated


def _example(iterator: Any) -> Any:
    """Returns a batch of zeros like those of an iterator, to create variables with."""

    def zeros(spec: tf.TensorSpec) -> tf.Tensor:
        return tf.zeros([1 if size is None else size for size in spec.shape], spec.dtype)

    return tf.nest.map_structure(zeros, iterator.element_spec)


def _too_few(saved: SavedState, steps: int) -> ValueError:
    return ValueError(
        f"{saved.path} is after step {saved.step} of an epoch, and the data have {steps} steps; "
        "pass the data of the first run"
    )


def _numbers(logs: Mapping[str, Any] | None) -> dict[str, float]:
    """Returns the logs that are single numbers."""
    found = {}
    for name, value in (logs or {}).items():
        with contextlib.suppress(TypeError, ValueError):
            found[name] = float(value)
    return found


def _floats(values: Sequence[Any]) -> list[float]:
    return [float(value) for value in values]

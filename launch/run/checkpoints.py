"""Checkpoints from which a run resumes exactly, also in the middle of an epoch."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import keras

from launch.run.history import Epoch, best_of
from launch.run.progress import Progress
from tf_helen.callbacks import ExactResume
from tf_helen.callbacks.state_files import SavedState
from tf_helen.callbacks.training_state import attributes_of, set_attributes
from zoo.data.files import DataError, join

FOLDER = "checkpoints"


class Checkpoints(ExactResume):
    """The newest states of a run: weights, optimizer, seeds, metrics, measurements.

    As a callback of the `fit` of each epoch, it saves states within the epoch; `save` saves one at
    the end of the epoch. The last two states and that of the best epoch are kept. Unlike
    `ExactResume`, it does not skip the rows that were trained before: the caller does.

    Args:
        directory: string, folder of the run.
        model: built, compiled Keras model.
        minutes: float, minutes between two states within an epoch. Defaults to 10.
        callbacks: sequence of the other callbacks of the run; their attributes are part of the
            state. Defaults to `()`.

    Attributes:
        epochs: list of `Epoch`, the measurements so far.
        step: int, number of steps of the next epoch that the restored state includes.
        trained: boolean, whether the state includes all steps of that epoch but not its scores.
        seconds: float, duration of these steps.
        measured: dict, what callbacks measured at the end of an epoch that has no scores yet.

    Example:
        >>> Checkpoints("out", model).save(1)  # doctest: +SKIP
    """

    def __init__(
        self,
        directory: str,
        model: keras.Model,
        minutes: float = 10.0,
        callbacks: Sequence[keras.callbacks.Callback] = (),
    ):
        super().__init__(join(directory, FOLDER), minutes, callbacks=callbacks, verbose=0)
        self.set_model(model)
        self._state(metrics=False)  # builds the optimizer
        self._looked = True  # `restore` looks for a state, before `fit`
        self.epochs: list[Epoch] = []
        self.step, self.trained, self.seconds = 0, False, 0.0
        self.measured: dict[str, float] = {}
        self.notes: list[str] = []
        self._progress: Progress | None = None
        self._steps: int | None = None

    def facts(self) -> dict[str, Any]:
        seconds = self.seconds if self._progress is None else self._progress.elapsed
        return {
            "history": [dataclasses.asdict(epoch) for epoch in self.epochs],
            "trained": self.trained,
            "seconds": seconds,
            "measured": self.measured,
            "callbacks": attributes_of(self.others),
        }

    def restore_facts(self, facts: Mapping[str, Any]) -> None:
        if "history" in facts:  # in place: the caller appends to this list
            self.epochs[:] = [Epoch(**epoch) for epoch in facts["history"]]
        self.trained, self.seconds = facts.get("trained", False), facts.get("seconds", 0.0)
        self.measured = facts.get("measured", {})
        if "callbacks" in facts:  # older versions saved none
            set_attributes(self.others, facts["callbacks"])

    def save(self, epoch: int, step: int = 0, protect: Sequence[int] = ()) -> None:
        if self.epochs:
            protect = [*protect, best_of(self.epochs).epoch]
        super().save(epoch, step, protect)

    def save_trained(self, epoch: int, steps: int) -> None:
        """Writes the state after the last step of an epoch, before its scores."""
        self.trained = True
        self.save(epoch, steps)

    def restore(self) -> int:
        """Restores the newest intact state; `notes` lists the damaged ones.

        Returns:
            Int, number of epochs that the state includes; 0 without a checkpoint.

        Raises:
            DataError: if all states are damaged, or belong to another model or optimizer.
        """
        saved, self.notes = self.files.newest_whole()
        if saved is None:
            if self.notes:
                raise DataError(f"all checkpoints are damaged: {'; '.join(self.notes)}")
            return 0
        self.notes = [f"{note}; continuing from {saved.path}" for note in self.notes]
        self.restore_facts(saved.facts)
        self.step = saved.step
        if saved.step and not self.trained:
            self._pending = saved  # loaded at the first step, after all `on_epoch_begin`
        else:
            self._load(saved)
        return saved.epoch

    def restore_epoch(self, epoch: int) -> bool:
        """Sets the variables to those after an epoch; returns `False` without an intact state."""
        saved = self.files.whole(epoch)
        if saved is not None:
            self._state(metrics=False).load(saved)
        return saved is not None

    def _load(self, saved: SavedState) -> None:
        try:
            self.load(saved)
        except ValueError as error:
            raise DataError(
                f"{saved.path} does not fit this model and optimizer ({error}); use the arguments "
                "of the first run, or name another folder"
            ) from None

    def begin_epoch(self, progress: Progress, steps: int, trainer: object | None = None) -> None:
        """Sets the progress bar and the number of steps of the epoch that `fit` trains next.

        Args:
            progress: `Progress` of the epoch.
            steps: int, steps of the epoch.
            trainer: object whose `fit` trains the model. Defaults to `None`: the model.
        """
        self._progress, self._steps, self.trained = progress, steps, False
        self._trainer = trainer

    @property
    def is_due(self) -> bool:
        """Whether a state is due, or the process received SIGTERM."""
        return self._is_due()

    @property
    def terminating(self) -> bool:
        """Whether a worker received SIGTERM during `fit`; all workers must ask."""
        self._is_due()
        return self._leaving

    # Called by `fit`.

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch, self._known_step = epoch, self.step

    def on_train_batch_begin(self, batch, logs=None):
        if self._pending is not None:
            self._load(self._pending)
            self._pending = None

    def on_train_batch_end(self, batch, logs=None):
        step = self._known_step + batch + 1
        # The last execution of an epoch may have fewer steps than the others.
        if self._steps is not None and step >= self._steps:
            # The caller scores the epoch, or calls `save_trained`, perhaps on one worker only.
            self._gather()
            return
        if self._is_due(step):
            self._gather()
            self.save(self._epoch, step)
        self._leave_if_asked(saved=True)

    def on_epoch_end(self, epoch, logs=None):
        self.step = 0
        self.seconds = self._progress.elapsed if self._progress else 0.0
        self._progress = None

    def on_train_end(self, logs=None):
        self._stop_listening()

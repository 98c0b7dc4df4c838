"""Checkpoints between the slices of a pass over time, for exact resuming."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from launch.run.checkpoints import FOLDER
from launch.run.progressive_history import SliceScores
from tf_helen.callbacks.state_files import StateFiles
from tf_helen.callbacks.training_state import TrainingState, epoch_state, set_epoch_state
from zoo.data.files import DataError, join

_LOGITS = "logits/.ATTRIBUTES/VARIABLE_VALUE"
_MEASURED = ("loss", "seconds", "score_seconds")  # the rest is computed from rows and logits


@dataclasses.dataclass(frozen=True)
class State:
    """The content of a checkpoint besides the variables.

    Attributes:
        slices: int, number of trained slices.
        rows: list of ints, number of rows of each slice.
        facts: list of dicts, the measurements of each slice that cannot be computed again.
        logits: float32 array, the predictions of all rows.
    """

    slices: int
    rows: list[int]
    facts: list[dict[str, Any]]
    logits: np.ndarray

    def logits_of(self, number: int) -> np.ndarray:
        """Returns the predictions of a slice, counted from 1."""
        start = sum(self.rows[: number - 1])
        return self.logits[start : start + self.rows[number - 1]]

    def measured(self, number: int) -> dict[str, Any]:
        """Returns the measurements of a slice, counted from 1."""
        return self.facts[number - 1]


class SliceCheckpoints:
    """The last two states of a run between slices: weights, optimizer, seeds, predictions.

    Args:
        directory: string, folder of the run.
        model: a built, compiled model.
        minutes: float, minutes from one state to the next.

    Example:
        >>> SliceCheckpoints("out", model, minutes=10.0).restore()  # doctest: +SKIP
    """

    State = State

    def __init__(self, directory: str, model: keras.Model, minutes: float):
        self._files = StateFiles(join(directory, FOLDER))
        self._directory, self._model, self._minutes = directory, model, minutes
        self._state = TrainingState(model)
        self._saved_at = time.monotonic()

    def is_due(self) -> bool:
        """Returns whether the next state is due."""
        return time.monotonic() - self._saved_at >= 60 * self._minutes

    def save(self, slices: Sequence[SliceScores], logits: Sequence[np.ndarray]) -> None:
        """Writes the state after the last slice.

        Args:
            slices: the slices trained so far.
            logits: the predictions of each slice.
        """
        checkpoint = self._state.checkpoint(len(slices))
        checkpoint.logits = tf.Variable(np.concatenate(logits), trainable=False)
        facts = {
            "rows": [s.rows for s in slices],
            "slices": [{name: getattr(s, name) for name in _MEASURED} for s in slices],
            "epoch_state": epoch_state(self._model),
        }
        self._files.write(checkpoint, len(slices), facts=facts)
        self._saved_at = time.monotonic()

    def restore(self) -> State | None:
        """Restores the newest undamaged state, and prints which states are damaged.

        Returns:
            The content of the state besides the variables; `None` without a checkpoint.

        Raises:
            DataError: if all states are damaged, or the state belongs to another model or
                optimizer.
        """
        again = "start again with --overwrite in place of --resume, or name another folder"
        saved, notes = self._files.newest_whole()
        if saved is None:
            if notes:
                raise DataError(
                    f"{self._directory}: all checkpoints are damaged: {notes[0]}; {again}"
                )
            return None
        for note in notes:
            print(f"{note}; continuing from {saved.path}", flush=True)
        try:
            self._state.load(saved)
            set_epoch_state(self._model, saved.facts["epoch_state"])
            facts = saved.facts["slices"]
            return State(saved.epoch, saved.facts["rows"], facts, saved.read(_LOGITS))
        except (ValueError, KeyError, tf.errors.OpError) as error:
            raise DataError(f"{saved.path} does not fit this run ({error}); {again}") from None

"""The progress of `fit`: rows per second, time left, loss."""

from __future__ import annotations

import time

import keras

from zoo.data.progress import ProgressBar


class Progress(keras.callbacks.Callback):
    """Shows the progress of one epoch and measures its speed.

    Args:
        description: string before the progress, such as "epoch 1/4".
        rows: int, rows of the epoch, or `None` if unknown.
        batch_size: int, rows per step.
        show: boolean, whether to show the progress. Defaults to `True`.
        done: int, rows of the epoch that an interrupted process trained. Defaults to 0.
        seconds: float, duration of the training of these rows. Defaults to 0.

    Attributes:
        seconds: float, duration of the epoch.
        rows_per_second: float, rows trained per second.
    """

    def __init__(
        self, description: str, rows: int | None, batch_size: int, show: bool = True,
        done: int = 0, seconds: float = 0.0,
    ):  # fmt: skip
        super().__init__()
        self._description, self._rows, self._batch_size = description, rows, batch_size
        self._show = show
        self._bar: ProgressBar | None = None
        self._done_before, self._seconds_before = done, seconds
        self._started: float | None = None
        self.seconds = self.rows_per_second = 0.0

    @property
    def elapsed(self) -> float:
        """Seconds of training so far, including those of an interrupted process."""
        now = 0.0 if self._started is None else time.perf_counter() - self._started
        return self._seconds_before + now

    def on_epoch_begin(self, epoch, logs=None):
        self._done, self._steps = self._done_before, 0
        self._bar = ProgressBar(
            self._description, self._rows, show=self._show, done=self._done_before
        )
        self._started = time.perf_counter()

    def on_train_batch_end(self, batch, logs=None):
        rows = self._batch_size * (batch + 1 - self._steps)  # of all steps of the execution
        self._steps = batch + 1
        if self._rows is not None:
            rows = min(rows, self._rows - self._done)
        self._done += rows
        # Reading the loss waits for the step.
        notes = {"loss": f"{float(logs['loss']):.4f}"} if self._bar.is_due else {}
        self._bar.update(rows, **notes)

    def on_epoch_end(self, epoch, logs=None):
        self.seconds = self.elapsed
        self.rows_per_second = self._done / self.seconds
        self.close()

    def close(self) -> None:
        """Removes the bar, also after an interrupted epoch."""
        if self._bar is not None:
            self._bar.close()

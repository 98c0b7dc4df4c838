"""Scalars for TensorBoard; the package tensorboard is needed only to show them."""

from __future__ import annotations

from collections.abc import Mapping

import keras
import tensorflow as tf
from tensorflow.core.framework.summary_pb2 import DATA_CLASS_SCALAR, SummaryMetadata

from launch.run.history import Epoch
from launch.run.progressive_history import SliceScores
from zoo.data.files import join

FOLDER = "tensorboard"
EVERY = 100  # steps between two training losses
_METADATA = SummaryMetadata(
    plugin_data=SummaryMetadata.PluginData(plugin_name="scalars"), data_class=DATA_CLASS_SCALAR
).SerializeToString()
_SCORES = ("valid_auc", "valid_logloss", "test_auc", "test_logloss")


class Board:
    """Writes the measurements of a run as scalars to the folder `tensorboard` of the run.

    `tensorboard --logdir=OUT` shows them. Scalars of epochs are at the number of steps trained so
    far: `train/loss`, `train/rows_per_second`, `valid/auc`, `valid/logloss`, `test/auc`,
    `test/logloss`, and what callbacks measure. Within an epoch, `step/loss` is the mean training
    loss of 100 steps. A resumed run adds a file; steps that it repeats have the same values.

    Args:
        out: string, folder of the run.
        write: boolean; if false, nothing is written. Defaults to `True`.

    Example:
        >>> Board("out/frappe", write=False).add_epoch(Epoch(1, 0.5, 0.7, 0.4), 100)
    """

    def __init__(self, out: str, write: bool = True):
        self._folder, self._write = join(out, FOLDER), write
        self._writer: tf.summary.SummaryWriter | None = None

    def callbacks(self, before: int, skipped: int = 0) -> list[keras.callbacks.Callback]:
        """Returns the callbacks of an epoch.

        Args:
            before: int, number of steps in earlier epochs.
            skipped: int, steps of the epoch that an interrupted process trained. Defaults to 0.
        """
        return [_StepLosses(self, before, skipped)] if self._write else []

    def add_epoch(self, epoch: Epoch, steps: int) -> None:
        """Writes the measurements of an epoch.

        Args:
            epoch: `Epoch`.
            steps: int, number of steps trained so far.
        """
        scores = {name.replace("_", "/"): getattr(epoch, name) for name in _SCORES}
        rates = {"train/loss": epoch.loss, "train/rows_per_second": epoch.rows_per_second}
        self.add({**rates, **scores, **epoch.measured}, steps)

    def add_slice(self, scores: SliceScores, rows: int) -> None:
        """Writes the scores of a slice of a pass over time.

        Args:
            scores: `SliceScores`.
            rows: int, number of rows trained so far.
        """
        values = {f"slice/{name}": getattr(scores, name) for name in ("auc", "logloss", "loss")}
        values |= {f"pass/{name}": getattr(scores, f"{name}_so_far") for name in ("auc", "logloss")}
        self.add(values, rows)

    def add(self, values: Mapping[str, float | None], step: int) -> None:
        """Writes scalars.

        Args:
            values: dict from name to value; `None` is left out.
            step: int, place on the horizontal axis.
        """
        if not self._write:
            return
        if self._writer is None:  # now: the folder of a run that is replaced appears when it begins
            self._writer = tf.summary.create_file_writer(self._folder)
        with self._writer.as_default(), tf.device("CPU"):
            for name, value in values.items():
                if value is not None:
                    scalar = tf.constant(value, tf.float32)
                    tf.summary.write(name, scalar, step=step, metadata=_METADATA)
        self._writer.flush()


class _StepLosses(keras.callbacks.Callback):
    """Writes the mean training loss of every 100 steps."""

    def __init__(self, board: Board, before: int, skipped: int):
        super().__init__()
        self._board, self._before, self._skipped = board, before, skipped
        # The mean loss of the steps of an interrupted process is not known.
        self._last = None if skipped else (0, 0.0)
        self._done = skipped

    def on_train_batch_end(self, batch, logs=None):
        before, done = self._done, self._skipped + batch + 1
        self._done = done
        if before // EVERY == done // EVERY:  # several steps may be executed at once
            return
        mean = float(logs["loss"])  # of all steps of the epoch so far
        if self._last is not None:
            steps, earlier = self._last
            loss = (mean * done - earlier * steps) / (done - steps)
            self._board.add({"step/loss": loss}, self._before + done)
        self._last = (done, mean)

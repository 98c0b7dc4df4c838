"""Base class of callbacks that measure a model at the end of each epoch."""

from __future__ import annotations

import os

import keras
import tensorflow as tf

from tf_helen.stores.schemes import is_native
from tf_helen.training import settle

# The metadata of `tf.summary.scalar`, which needs the package tensorboard.
_SCALAR = tf.compat.v1.SummaryMetadata(plugin_data={"plugin_name": "scalars"}, data_class=1)


class EpochScalars(keras.callbacks.Callback):
    """Adds numbers to the logs of each epoch, and to TensorBoard.

    Later callbacks in the list and the history that `fit` returns contain them.

    Args:
        log_dir: string, folder for TensorBoard, local or remote. Defaults to `None`: nothing is
            written.

    Raises:
        ValueError: if the folder is in a store that TensorFlow does not write to.
    """

    def __init__(self, log_dir: str | os.PathLike[str] | None = None):
        super().__init__()
        self.log_dir = None if log_dir is None else os.fspath(log_dir)
        if self.log_dir is not None and not is_native(self.log_dir):
            raise ValueError(
                "TensorFlow writes summaries to local folders and gs:// only. Received: "
                f"log_dir={self.log_dir!r}; name another folder"
            )
        self._writer: tf.summary.SummaryWriter | None = None

    def measure(self) -> dict[str, float]:
        """Returns the numbers by name. Pending decay is applied before the call."""
        raise NotImplementedError(f"{type(self).__name__} must define `measure`.")

    def on_epoch_end(self, epoch, logs=None):
        settle(self.model)
        measured = self.measure()
        if logs is not None:
            logs.update(measured)
        if self.log_dir is None:
            return
        if self._writer is None:
            self._writer = tf.summary.create_file_writer(self.log_dir)
        with self._writer.as_default():
            for name, value in measured.items():
                value = tf.constant(value, tf.float32)
                tf.summary.write(name, value, step=epoch, metadata=_SCALAR)

    def on_train_end(self, logs=None):
        if self._writer is not None:
            self._writer.close()
            self._writer = None

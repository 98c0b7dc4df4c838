"""Checkpoints from which a run continues exactly where it was."""

from __future__ import annotations

import keras
import tensorflow as tf

from zoo.files import DataError, join


class Checkpoints:
    """The last two states of a run: weights, optimizer, seeds, epoch.

    Variables are listed one by one: that includes the seeds of dropout, which
    `tf.train.Checkpoint(model=...)` leaves out.

    Args:
        directory: folder of the run.
        model: a built, compiled model.

    Example:
        >>> Checkpoints("out", model).save(1)  # doctest: +SKIP
    """

    def __init__(self, directory: str, model: keras.Model):
        model.optimizer.build(model.trainable_variables)
        self._epoch = tf.Variable(0, dtype=tf.int64, name="epoch")
        state = {
            f"{kind}_{place:04d}_{variable.path}": variable.value
            for kind, variables in (
                ("model", model.variables),
                ("optimizer", model.optimizer.variables),
            )
            for place, variable in enumerate(variables)
        }
        self._checkpoint = tf.train.Checkpoint(epoch=self._epoch, state=state)
        self._manager = tf.train.CheckpointManager(
            self._checkpoint, join(directory, "checkpoints"), max_to_keep=2
        )

    def save(self, epoch: int) -> None:
        """Writes the state after `epoch` epochs and removes the oldest of three."""
        self._epoch.assign(epoch)
        self._manager.save(checkpoint_number=epoch)

    def restore(self) -> int:
        """Restores the newest state.

        Returns:
            How many epochs it has behind it; 0 without a checkpoint.

        Raises:
            DataError: if the checkpoint belongs to another model or optimizer.
        """
        path = self._manager.latest_checkpoint
        if path is None:
            return 0
        try:
            self._checkpoint.restore(path).assert_consumed()
        except (AssertionError, ValueError) as error:
            raise DataError(
                f"{path} does not fit this model and optimizer ({str(error).splitlines()[0]}); "
                "use the arguments of the first run, or another folder"
            ) from None
        return int(self._epoch.numpy())

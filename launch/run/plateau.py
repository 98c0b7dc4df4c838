"""Lowers the learning rate of a run when its validation AUC does not improve."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from launch.run.history import Epoch
from tf_helen import keras_access

LEAST = 1e-6


def reduced_rate(epochs: Sequence[Epoch], rate: float, factor: float) -> float:
    """Returns the learning rate after some epochs, lowered for each that was not a new best.

    It depends on the measurements only, so a resumed run has the same learning rate.

    Args:
        epochs: sequence of `Epoch`, the measurements so far.
        rate: float, the initial learning rate.
        factor: float in (0, 1), the factor per epoch without a better validation AUC.

    Returns:
        Float, the learning rate of the next epoch, at least 1e-6 or the initial one if it is lower.

    Example:
        >>> aucs = (0.7, 0.8, 0.8, 0.79)
        >>> epochs = [Epoch(i + 1, 0.5, auc, 0.5) for i, auc in enumerate(aucs)]
        >>> round(reduced_rate(epochs, 1e-3, 0.1), 9)
        1e-05
    """
    best = float("-inf")
    for epoch in epochs:
        if epoch.valid_auc > best:
            best = epoch.valid_auc
        else:
            rate = max(rate * factor, min(rate, LEAST))
    return rate


class Plateau:
    """Lowers an optimizer's learning rate after every epoch without a better validation AUC.

    Args:
        optimizer: Keras optimizer with its initial learning rate.
        factor: float in (0, 1), factor of the learning rate; `None`: it is not changed.
        report: boolean, whether to print every change. Defaults to `False`.

    Raises:
        ValueError: if the optimizer's learning rate is a schedule.

    Example:
        >>> plateau = Plateau(keras.optimizers.SGD(0.5), 0.1)
        >>> plateau.set_rate([Epoch(1, 0.5, 0.7, 0.5), Epoch(2, 0.5, 0.6, 0.5)])
        0.05
    """

    def __init__(self, optimizer: Any, factor: float | None, report: bool = False):
        self._optimizer, self._factor, self._report = optimizer, factor, report
        if factor is None:
            return
        schedule = keras.optimizers.schedules.LearningRateSchedule
        if isinstance(keras_access.stored_learning_rate(optimizer), schedule):
            raise ValueError(
                f"reduce_lr={factor} needs a learning rate that is a number. Received: a schedule; "
                "leave one of the two out"
            )
        self._rate = float(keras.ops.convert_to_numpy(optimizer.learning_rate))

    def set_rate(self, epochs: Sequence[Epoch]) -> float | None:
        """Sets the learning rate of the next epoch.

        Args:
            epochs: sequence of `Epoch`, the measurements so far.

        Returns:
            Float, the learning rate; `None` if `factor` is `None`.
        """
        if self._factor is None:
            return None
        rate = reduced_rate(epochs, self._rate, self._factor)
        if self._report and rate != reduced_rate(epochs[:-1], self._rate, self._factor):
            print(f"no better valid AUC: the learning rate is now {rate:.3g}")
        self._optimizer.learning_rate = rate
        return rate

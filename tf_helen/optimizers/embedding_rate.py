"""The learning rate of embedding tables."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf
from keras.optimizers.schedules import LearningRateSchedule

from tf_helen.core import checks


class EmbeddingRate:
    """The learning rate of an optimizer's tables.

    If both learning rates are numbers, the rate keeps its ratio to `learning_rate` when that is
    changed (`ReduceLROnPlateau` then lowers both). If `learning_rate` is a schedule, a number is
    constant. A schedule is followed.

    Args:
        rate: float, schedule, or the result of `config`.
        base: variable of `learning_rate`, or its schedule.

    Raises:
        ValueError: on a negative number, or on a number if `learning_rate` is 0.
    """

    def __init__(self, rate: Any, base: keras.Variable | LearningRateSchedule):
        ratio = rate["ratio"] if isinstance(rate, dict) and set(rate) == {"ratio"} else None
        if isinstance(rate, dict) and ratio is None:
            rate = keras.optimizers.schedules.deserialize(rate)
        self._base, self._keeps_ratio = base, False
        self.schedule: Any = rate if isinstance(rate, LearningRateSchedule) else None
        self.variable: keras.Variable | None = None
        if self.schedule is not None:
            return
        rate = checks.number_in_range("embedding_learning_rate", rate if ratio is None else ratio)
        if isinstance(base, keras.Variable):
            rate = self._ratio(rate) if ratio is None else ratio
            self._keeps_ratio = True
        self.variable = keras.Variable(
            rate,
            name="embedding_learning_rate",
            trainable=False,
            aggregation="only_first_replica",
        )

    def _ratio(self, rate: float) -> float:
        base = float(self._base.numpy())
        if base == 0:
            raise ValueError(
                "`embedding_learning_rate` has no ratio to a `learning_rate` of 0. "
                f"Received: embedding_learning_rate={rate}. Use `tf_helen.PerVariable` instead."
            )
        return rate / base

    def assign(self, rate: float) -> None:
        """Sets the learning rate.

        Raises:
            TypeError: if it is a schedule.
        """
        if self.variable is None:
            raise TypeError(
                "`embedding_learning_rate` can be set only if it was given as a number at "
                f"construction. It is: {self.schedule!r}"
            )
        rate = checks.number_in_range("embedding_learning_rate", rate)
        self.variable.assign(self._ratio(rate) if self._keeps_ratio else rate)

    def at(self, base_rate: tf.Tensor, iterations: keras.Variable) -> tf.Tensor:
        """Returns the rate of tables at a step whose `learning_rate` is `base_rate`."""
        if self.variable is None:
            return self.schedule(iterations)
        own = tf.convert_to_tensor(self.variable.value)
        return base_rate * own if self._keeps_ratio else own

    def config(self) -> Any:
        """Returns the argument from which the constructor restores this object."""
        if self.variable is None:
            return keras.optimizers.schedules.serialize(self.schedule)
        number = float(self.variable.numpy())
        if not self._keeps_ratio:
            return number
        base = float(self._base.numpy())
        # While `learning_rate` is 0, for example before a warm-up, only the ratio is known.
        return number * base if base else {"ratio": number}

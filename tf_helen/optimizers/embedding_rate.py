"""A learning rate of their own for embedding tables."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from tf_helen.core import checks

Schedule = keras.optimizers.schedules.LearningRateSchedule


class EmbeddingRate:
    """The learning rate of an optimizer's tables.

    Given as a number beside a number, it keeps its ratio to `learning_rate` when that is changed
    (`ReduceLROnPlateau` then lowers both). Beside a schedule a number stays as it is, and a
    schedule of its own is followed.

    Args:
        rate: a number, a schedule, or what `config` returned.
        base: the variable of `learning_rate`, or its schedule.

    Raises:
        ValueError: on a negative number, or a number beside a `learning_rate` of 0.
    """

    def __init__(self, rate: Any, base: keras.Variable | Schedule):
        ratio = rate["ratio"] if isinstance(rate, dict) and set(rate) == {"ratio"} else None
        if isinstance(rate, dict) and ratio is None:
            rate = keras.optimizers.schedules.deserialize(rate)
        self._base, self._keeps_ratio = base, False
        self.schedule = rate if isinstance(rate, Schedule) else None
        self.variable = None
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
                "`embedding_learning_rate` beside a `learning_rate` of 0 has no ratio to keep. "
                f"Received: embedding_learning_rate={rate}. Use `tf_helen.PerVariable` instead."
            )
        return rate / base

    def assign(self, rate: float) -> None:
        """Sets the rate while training.

        Raises:
            TypeError: if it was given as a schedule.
        """
        if self.variable is None:
            raise TypeError(
                "`embedding_learning_rate` can be set while training only if it was given as a "
                f"number at construction. It was: {self.schedule!r}"
            )
        rate = checks.number_in_range("embedding_learning_rate", rate)
        self.variable.assign(self._ratio(rate) if self._keeps_ratio else rate)

    def at(self, base_rate: tf.Tensor, iterations: keras.Variable) -> tf.Tensor:
        """The rate of tables at this step, whose `learning_rate` is `base_rate`."""
        if self.schedule is not None:
            return self.schedule(iterations)
        own = tf.convert_to_tensor(self.variable.value)
        return base_rate * own if self._keeps_ratio else own

    def config(self) -> Any:
        """What the constructor takes to make the same again."""
        if self.schedule is not None:
            return keras.optimizers.schedules.serialize(self.schedule)
        number = float(self.variable.numpy())
        if not self._keeps_ratio:
            return number
        base = float(self._base.numpy())
        # While the rate is 0 (before a warm-up, after a decay) only the ratio is known.
        return number * base if base else {"ratio": number}

"""A learning rate of their own for embedding tables."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from tf_helen import checks

Schedule = keras.optimizers.schedules.LearningRateSchedule


class EmbeddingRate:
    """Mixin before a Keras optimizer: `embedding_learning_rate`, settable while training.

    Given as a number beside a number, it keeps its ratio to `learning_rate` when that is changed
    (`ReduceLROnPlateau` then lowers both). Beside a schedule a number stays as it is, and a
    schedule of its own is followed.
    """

    _embedding_rate: Any = None
    _rate_is_ratio = False

    def _set_up_embedding_rate(self, rate: Any) -> None:
        ratio = rate["ratio"] if isinstance(rate, dict) and set(rate) == {"ratio"} else None
        if isinstance(rate, dict) and ratio is None:
            rate = keras.optimizers.schedules.deserialize(rate)
        if rate is None or isinstance(rate, Schedule):
            self._embedding_rate = rate
            return
        rate = checks.number_in_range("embedding_learning_rate", rate if ratio is None else ratio)
        if self._is_number(self._learning_rate):
            rate = self._ratio(rate) if ratio is None else ratio
            self._rate_is_ratio = True
        self._embedding_rate = keras.Variable(
            rate,
            name="embedding_learning_rate",
            trainable=False,
            aggregation="only_first_replica",
        )
        self._track_variable(self._embedding_rate)

    def _ratio(self, rate: float) -> float:
        base = float(self._learning_rate.numpy())
        if base == 0:
            raise ValueError(
                "`embedding_learning_rate` beside a `learning_rate` of 0 has no ratio to keep. "
                f"Received: embedding_learning_rate={rate}. Use `tf_helen.PerVariable` instead."
            )
        return rate / base

    @staticmethod
    def _is_number(rate: Any) -> bool:
        return isinstance(rate, keras.Variable)

    @property
    def embedding_learning_rate(self) -> Any:
        """The learning rate of tables at this step; that of all weights if none was given."""
        return self._current_rate(is_table=True)

    @embedding_learning_rate.setter
    def embedding_learning_rate(self, rate: float) -> None:
        if not self._is_number(self._embedding_rate):
            raise TypeError(
                "`embedding_learning_rate` can be set while training only if it was given as a "
                f"number at construction. It was: {self._embedding_rate!r}"
            )
        rate = checks.number_in_range("embedding_learning_rate", rate)
        self._embedding_rate.assign(self._ratio(rate) if self._rate_is_ratio else rate)

    def _current_rate(self, is_table: bool) -> tf.Tensor:
        rate = self._get_current_learning_rate()
        if not is_table or self._embedding_rate is None:
            return rate
        if isinstance(self._embedding_rate, Schedule):
            return self._embedding_rate(self._iterations)
        own = tf.convert_to_tensor(self._embedding_rate.value)
        return rate * own if self._rate_is_ratio else own

    def _embedding_rate_config(self) -> Any:
        rate = self._embedding_rate
        if rate is None:
            return None
        if isinstance(rate, Schedule):
            return keras.optimizers.schedules.serialize(rate)
        number = float(rate.numpy())
        if not self._rate_is_ratio:
            return number
        base = float(self._learning_rate.numpy())
        # While the rate is 0 (before a warm-up, after a decay) only the ratio is known.
        return number * base if base else {"ratio": number}

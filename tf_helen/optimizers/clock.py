"""The clock by which absent rows decay: the optimizer's steps, or the times of the batches."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from tf_helen import keras_access
from tf_helen.core import checks, replicas

CLOCKS = ("steps", "event")
_OTHER_COLUMNS = {  # of row records, which count steps
    "recent_count": "counter_halflife",
    "last_touch": "RowWiseRMSpropAR",
    "step_count": "FrequencyAware",
}


class StepClock:
    """Counts the steps of an optimizer.

    Args:
        optimizer: `RowSparseOptimizer`.
    """

    is_event = False

    def __init__(self, optimizer: Any):
        self._optimizer = optimizer

    def now(self) -> tf.Tensor:
        """Returns the time of the current step, int64, at least 1."""
        return self._optimizer.step_number()

    def stored(self) -> keras.Variable:
        """Returns the variable from which `passed_of` computes the time that has passed."""
        return keras_access.own_iterations(self._optimizer)

    def passed_of(self, stored: tf.Tensor) -> tf.Tensor:
        """Returns the time up to which absent rows have decayed when rows are read, int64."""
        return tf.cast(stored, tf.int64)

    def passed(self) -> tf.Tensor:
        """Returns `passed_of` on this replica."""
        return self.passed_of(replicas.local(self.stored()).read_value())

    def passed_now(self) -> int:
        """Returns `passed_of` outside of a step."""
        return int(self.passed_of(replicas.copies(self.stored())[0].read_value()).numpy())

    def elapsed(self) -> tf.Tensor:
        """Returns the time from the step before to the current step, int64."""
        return tf.constant(1, tf.int64)

    def after_step(self) -> None:
        """Called when the rows of a step are written, after `elapsed` was used."""

    def advance(self, time: tf.Tensor) -> None:
        """Does nothing: steps are counted by the optimizer."""

    def check_columns(self, columns: tuple[str, ...]) -> None:
        """Raises `ValueError` if row records have a column that this clock does not fit."""

    def config(self) -> dict[str, Any]:
        """Returns the constructor arguments of the optimizer."""
        return {"clock": "steps", "time_unit": 1.0}


class EventClock(StepClock):
    """Counts units of the time that batches have, from 1 in the first step.

    `now = max(now before, floor(time / unit) - origin + 1)`, where the origin is `floor(time /
    unit)` of the first step. Rows that are read at time `now` have decayed up to `now - 1`, or up
    to the last step if that was at the same time. If the times are the numbers of the steps, this
    is `StepClock`.

    Args:
        optimizer: `RowSparseOptimizer`.
        unit: float, above 0, the time in one unit of the clock.
    """

    is_event = True

    def __init__(self, optimizer: Any, unit: float):
        super().__init__(optimizer)
        self._unit = checks.number_above_zero("time_unit", unit)
        # The origin, the current time, and the time of the last finished step.
        self._times = optimizer.add_variable((3,), "zeros", "int64", name="event_times")

    def advance(self, time: tf.Tensor) -> None:
        if replicas.is_asynchronous():
            raise ValueError(
                "`clock='event'` needs workers that train in turn, and those of "
                "ParameterServerStrategy do not. Use `clock='steps'`, or another strategy."
            )
        # Division in float64: float32 has no room for seconds since 1970.
        units = tf.floor(tf.cast(tf.reduce_max(time), tf.float64) / self._unit)
        reading = replicas.all_reduce_max(tf.cast(units, tf.int64))
        times = replicas.local(self._times)
        origin, now, finished = tf.unstack(times.read_value())
        origin = tf.where(now > 0, origin, reading)
        now = tf.maximum(tf.maximum(now, reading - origin + 1), 1)
        in_range = tf.debugging.Assert(
            now < 2**31,
            ["`time_unit` is too small: the clock exceeds 2^31 units since the first step:", now],
        )
        with tf.control_dependencies([] if in_range is None else [in_range]):
            times.assign(tf.stack([origin, now, finished]), read_value=False)

    def now(self):
        now = replicas.local(self._times).read_value()[1]
        check = tf.debugging.Assert(
            now > 0,
            [
                "`clock='event'` needs the time of each batch: an input named 'time' in `fit` of "
                "`tf_helen.Model`, or `optimizer.advance_clock(time)` before each step."
            ],
        )
        with tf.control_dependencies([] if check is None else [check]):
            return tf.identity(now)

    def stored(self):
        return self._times

    def passed_of(self, stored):
        return tf.maximum(stored[2], stored[1] - 1)

    def elapsed(self):
        times = replicas.local(self._times).read_value()
        return times[1] - times[2]

    def after_step(self):
        times = replicas.local(self._times)
        origin, now, _ = tf.unstack(times.read_value())
        times.assign(tf.stack([origin, now, now]), read_value=False)

    def check_columns(self, columns):
        for name, owner in _OTHER_COLUMNS.items():
            if name in columns:
                raise ValueError(
                    f"`clock='event'` cannot be combined with {owner}, which counts steps. Use "
                    "`clock='steps'`, or leave it out."
                )

    def config(self):
        return {"clock": "event", "time_unit": self._unit}


def refuse_clock(name: str, clock: str) -> None:
    """Raises `ValueError`: an optimizer without decay of absent rows has no other clock."""
    raise ValueError(
        f"{name} has no decay of absent rows, so `clock` has no effect. Received: clock={clock!r}. "
        "Use AdamAR, AdagradAR or GroupAdamAR, or leave it out."
    )


def make_clock(optimizer: Any, clock: str, time_unit: float) -> StepClock:
    """Creates the clock of an optimizer.

    Args:
        optimizer: `RowSparseOptimizer`.
        clock: "steps" or "event".
        time_unit: float, above 0; 1 with "steps".

    Returns:
        The clock.

    Raises:
        ValueError: on a value out of range.
    """
    if checks.one_of("clock", clock, CLOCKS) == "event":
        return EventClock(optimizer, time_unit)
    if time_unit != 1:
        raise ValueError(
            f"`time_unit` needs `clock='event'`. Received: time_unit={time_unit!r} with "
            f"clock={clock!r}"
        )
    return StepClock(optimizer)


class HasClock:
    """Mixin of optimizers whose absent rows may decay by the times of batches."""

    absent_rows: Any

    @property
    def needs_time(self) -> bool:
        """Whether the time of each batch must be passed to `advance_clock`."""
        return self.absent_rows.clock.is_event

    def advance_clock(self, time: Any) -> None:
        """Sets the clock of `clock="event"`; `fit` of `tf_helen.Model` does this in each step.

        Call it before the rows of a step are read, and before `tf_helen.settle` or an export to
        apply the decay up to a later time. Other clocks do not change.

        Args:
            time: number or tensor; its maximum counts. An earlier time than before changes nothing.
        """
        self.absent_rows.clock.advance(tf.convert_to_tensor(time))

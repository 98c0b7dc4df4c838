"""Row records: what optimizers store about the occurrences of each row."""

from __future__ import annotations

import dataclasses

import numpy as np
import tensorflow as tf

COLUMNS = ("last_step", "decayed_to", "count", "recent_count", "last_touch", "step_count", "alpha")


def ordered(names: set[str]) -> tuple[str, ...]:
    """Returns the columns of a record in the order of `COLUMNS`."""
    unknown = names - set(COLUMNS)
    if unknown:
        raise ValueError(f"The columns of a row history are {COLUMNS}. Received: {sorted(unknown)}")
    return tuple(name for name in COLUMNS if name in names)


@dataclasses.dataclass(frozen=True)
class RowHistory:
    """The records of some rows, with adjacent columns so that one memory access reads them all.

    Each column takes 4 bytes per row and is stored only if a rule needs it:
        last_step: the last step in which the row had a non-zero gradient; 0: none yet.
        decayed_to: the step up to which the stored row is decayed (`tf_helen.AdamAR`).
        count: occurrences in all batches so far.
        recent_count: float32 bits, occurrences with decreasing weight (`tf_helen.AdamW`).
        last_touch: the last step with the row in its batch, also with a zero gradient; 0: none yet
            (`tf_helen.RowWiseRMSpropAR`).
        step_count: number of steps with the row in their batch (`tf_helen.FrequencyAware`).
        alpha: float32 bits, decay of the row per step of absence (`tf_helen.AdamAR`).

    Attributes:
        names: tuple of strings, the columns.
        record: uint32 `[rows, columns]`, the only 4-byte integer type that TensorFlow gathers and
            scatters on GPUs.
    """

    names: tuple[str, ...]
    record: tf.Tensor

    def __contains__(self, name: str) -> bool:
        return name in self.names

    def __getitem__(self, name: str) -> tf.Tensor:
        return self.record[:, self.names.index(name)]

    def replace(self, **columns: tf.Tensor) -> RowHistory:
        """Returns records with new columns `[rows]` (or scalars); unknown names are ignored."""
        zeros = tf.zeros_like(self.record[:, 0])  # TensorFlow broadcasts uint32 only on CPUs
        values = [
            zeros + tf.cast(columns[name], self.record.dtype) if name in columns else self[name]
            for name in self.names
        ]
        return RowHistory(self.names, tf.stack(values, axis=1))

    def after(self, step: tf.Tensor, occurred: tf.Tensor, counts: tf.Tensor | None) -> RowHistory:
        """Returns the records after a step.

        Args:
            step: integer scalar, number of the step.
            occurred: bool `[rows]`, whether the row has a non-zero gradient.
            counts: int32 `[rows]`, occurrences in the batch, or `None` if unknown.

        Returns:
            A new `RowHistory`.
        """
        now = tf.cast(step, self.record.dtype)
        new = {"decayed_to": now}
        if "last_step" in self:
            new["last_step"] = tf.where(occurred, now, self["last_step"])
        if "last_touch" in self:
            touched = occurred if counts is None else counts > 0
            new["last_touch"] = tf.where(touched, now, self["last_touch"])
        if "count" in self and counts is not None:
            new["count"] = self["count"] + tf.cast(counts, self.record.dtype)
        if "step_count" in self and counts is not None:
            new["step_count"] = self["step_count"] + tf.cast(counts > 0, self.record.dtype)
        return self.replace(**new)


def as_columns(
    names: tuple[str, ...], record: np.ndarray, steps_done: int
) -> dict[str, np.ndarray]:
    """Returns stored records as one array per column.

    Args:
        names: tuple of strings, the columns of the record.
        record: uint32 `[rows, columns]`.
        steps_done: int, number of the optimizer's steps so far.

    Returns:
        Dict with those of the following that the record contains: `count` and `last_step`, uint32
        `[rows]`, and `idle`, int64 `[rows]`, the steps since `last_step`.
    """
    columns = dict(zip(names, record.T, strict=True))
    found: dict[str, np.ndarray] = {
        name: columns[name] for name in ("count", "last_step") if name in columns
    }
    if "last_step" in found:
        found["idle"] = steps_done - found["last_step"].astype(np.int64)
    return found

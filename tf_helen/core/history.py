"""What optimizers remember of a row's occurrences: one record per row, shared by all who ask."""

from __future__ import annotations

import dataclasses

import numpy as np
import tensorflow as tf

COLUMNS = ("last_step", "decayed_to", "count", "recent_count", "last_touch", "step_count")


def ordered(names: set[str]) -> tuple[str, ...]:
    """The columns of a record that holds `names`, in the one order that all records have."""
    unknown = names - set(COLUMNS)
    if unknown:
        raise ValueError(f"A row's history has no {sorted(unknown)}; it knows {COLUMNS}.")
    return tuple(name for name in COLUMNS if name in names)


@dataclasses.dataclass(frozen=True)
class RowHistory:
    """The records of some rows, side by side so that one visit to memory reads them all.

    The columns, each 4 bytes per row and kept only where somebody asks for it:
        last_step: the last step that gave the row a gradient other than zero; 0: none yet.
        decayed_to: the step up to which the stored row has been decayed (`tf_helen.AdamAR`).
        count: occurrences in all batches so far.
        recent_count: float32 bits; occurrences, older ones counting less (`tf_helen.AdamW`).
        last_touch: the last step that had the row in its batch, also with a gradient of zero; 0:
            none yet (`tf_helen.RowWiseRMSpropAR`).
        step_count: the steps that had the row in their batch (`tf_helen.FrequencyAware`).

    Attributes:
        names: the columns.
        record: uint32 `[rows, columns]`: the one 4-byte integer that TensorFlow can gather and
            scatter on a GPU.
    """

    names: tuple[str, ...]
    record: tf.Tensor

    def __contains__(self, name: str) -> bool:
        return name in self.names

    def __getitem__(self, name: str) -> tf.Tensor:
        return self.record[:, self.names.index(name)]

    def replace(self, **columns: tf.Tensor) -> RowHistory:
        """The same records with some columns `[rows]` (or scalars) new; others are ignored."""
        shape = tf.shape(self.record)[:1]
        values = [
            tf.broadcast_to(tf.cast(columns[name], self.record.dtype), shape)
            if name in columns
            else self[name]
            for name in self.names
        ]
        return RowHistory(self.names, tf.stack(values, axis=1))

    def after(self, step: tf.Tensor, occurred: tf.Tensor, counts: tf.Tensor | None) -> RowHistory:
        """The records after a step.

        Args:
            step: integer scalar, its number.
            occurred: bool `[rows]`, whether the row had a gradient other than zero.
            counts: int32 `[rows]`, occurrences in the batch; `None`: nobody counted.

        Returns:
            The new records.
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
    """What a stored record says of each row, for people.

    Args:
        names: the columns of the record.
        record: uint32 `[rows, columns]`.
        steps_done: the optimizer's steps so far.

    Returns:
        `count` and `last_step`, uint32 `[rows]`, and `idle`, int64 `[rows]`, the steps since
        `last_step`; as far as the record holds them.
    """
    columns = dict(zip(names, record.T, strict=True))
    found = {name: columns[name] for name in ("count", "last_step") if name in columns}
    if "last_step" in found:
        found["idle"] = steps_done - found["last_step"].astype(np.int64)
    return found

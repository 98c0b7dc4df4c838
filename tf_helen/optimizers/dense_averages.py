"""Moving averages of dense weights (`use_ema`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from tf_helen import keras_access
from tf_helen.core import replicas, tables
from tf_helen.core.rows import RowBlock
from tf_helen.core.rule import compute_dtype
from tf_helen.optimizers.slots import SlotsByVariable, add_slot


class DenseAverages:
    """The moving averages of an optimizer's dense weights; embedding tables have none.

    ```
    average <- ema_momentum * average + (1 - ema_momentum) * w        # after each step
    w       <- average               # every `ema_overwrite_frequency` steps, and when finalized
    ```

    The first average of a variable is its value. Averages are those of Keras, which averages every
    variable, and at every step.

    Args:
        optimizer: a `RowSparseOptimizer`.
    """

    def __init__(self, optimizer: Any):
        self._optimizer = optimizer
        self._slots = SlotsByVariable()

    def build(self, variables: Sequence[keras.Variable]) -> None:
        """Adds the averages, and how many steps each of them contains."""
        if self._optimizer.use_ema:
            self._slots.by_index = [self._make(variable) for variable in variables]

    def _make(self, variable: keras.Variable) -> dict[str, keras.Variable]:
        # Layers of Keras name their tables so.
        if tables.of(variable) is not None or variable.path.split("/")[-1] == "embeddings":
            return {}
        optimizer, shape = self._optimizer, tuple(variable.shape)
        dtype = compute_dtype(variable)
        return {
            "average": add_slot(optimizer, variable, "average", shape, dtype, 0),
            "averaged": add_slot(optimizer, variable, "averaged", (), "int64", 0),
        }

    def _slots_of(self, variable: keras.Variable) -> dict[str, keras.Variable]:
        if not self._slots.by_index or not keras_access.is_known(self._optimizer, variable):
            return {}
        return self._slots.by_index[keras_access.index_of(self._optimizer, variable)]

    def after_step(self, blocks: Sequence[RowBlock], variables: Sequence[keras.Variable]) -> None:
        """Updates the averages, on this replica, of the variables with a dense gradient."""
        averaged = [
            variable
            for block, variable in zip(blocks, variables, strict=True)
            if not block.is_sparse and self._slots_of(variable)
        ]
        for variable in averaged:
            self._average(variable)
        every = self._optimizer.ema_overwrite_frequency
        if averaged and every:
            done = self._optimizer.step_number() - 1
            tf.cond(
                tf.equal(done % every, 0),
                lambda: self._overwrite(averaged),
                lambda: tf.constant(False),
            )

    def _average(self, variable: keras.Variable) -> None:
        slots = self._slots_of(variable)
        average, steps = replicas.local(slots["average"]), replicas.local(slots["averaged"])
        value = tf.cast(replicas.local(variable).read_value(), average.dtype)
        momentum = tf.constant(self._optimizer.ema_momentum, average.dtype)
        momentum = tf.where(tf.equal(steps.read_value(), 0), tf.zeros_like(momentum), momentum)
        average.assign(momentum * average.read_value() + (1 - momentum) * value, read_value=False)
        steps.assign_add(1, read_value=False)

    def _overwrite(self, variables: Sequence[keras.Variable]) -> tf.Tensor:
        for variable in variables:
            average = replicas.local(self._slots_of(variable)["average"]).read_value()
            replicas.local(variable).assign(tf.cast(average, variable.dtype), read_value=False)
        return tf.constant(True)

    def finalize(self, variables: Sequence[keras.Variable]) -> None:
        """Sets the given variables that have an average to it, on every replica."""
        for variable in variables:
            slots = self._slots_of(variable)
            if not slots or int(replicas.copies(slots["averaged"])[0].numpy()) == 0:
                continue
            pairs = zip(replicas.copies(variable), replicas.copies(slots["average"]), strict=True)
            for target, average in pairs:
                target.assign(tf.cast(average.read_value(), target.dtype), read_value=False)

"""The variables an optimizer keeps beside each variable it trains."""

from __future__ import annotations

import keras
import tensorflow as tf

from tf_helen.optimizers.step import compute_dtype


class SlotBook:
    """Slots by variable; a plain object, so that Keras does not track the variables twice."""

    def __init__(self) -> None:
        self.by_index: list[dict[str, keras.Variable]] = []


def make_slots(
    optimizer: keras.optimizers.Optimizer, variable: keras.Variable
) -> dict[str, keras.Variable]:
    """Creates what `optimizer.slots()` and `optimizer.row_slots()` name for one variable."""
    made = {
        name: add_slot(optimizer, variable, name, variable.shape, compute_dtype(variable), initial)
        for name, initial in optimizer.slots().items()
    }
    if len(variable.shape) > 0:
        for name, numbers in optimizer.row_slots().items():
            # uint32: the one 4-byte integer that TensorFlow can gather and scatter on a GPU.
            shape = (variable.shape[0], numbers)
            made[name] = add_slot(optimizer, variable, name, shape, "uint32", 0)
    return made


def add_slot(optimizer, variable, name, shape, dtype, initial) -> keras.Variable:
    """Creates one slot beside its variable, under the variable's name."""
    with optimizer._distribution_strategy.extended.colocate_vars_with(variable.value):
        return optimizer.add_variable(
            shape=shape,
            dtype=dtype,
            # Keras's Constant goes through float32, where 0.1 is not 0.1.
            initializer=lambda shape, dtype: tf.fill(shape, tf.constant(initial, dtype)),
            name=f"{variable.path.replace('/', '_')}_{name}",
        )

"""A scope for forward passes after the first one of a step."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import tensorflow as tf

from tf_helen.core import overlay, replicas


def values_before(state: Sequence[keras.Variable]) -> list[tuple[keras.Variable, tf.Tensor]]:
    """Returns variables with copies of their current values, for `LaterPass`."""
    return [(v, tf.identity(replicas.local(v).read_value())) for v in state]


class LaterPass(keras.StatelessScope):
    """A scope for a forward pass that changes no variable.

    Weights have their current values, including those of a `tf_helen.core.overlay.Overlay`. The
    variables of `state` (batch-norm statistics, counters, seeds) start with the given values, those
    before the first pass. Assignments of layers are visible within the scope and dropped at its
    end, except assignments to trained weights, which are ignored, because the loss must remain a
    function of these weights.

    Args:
        trained: sequence of Keras variables by which the loss is differentiated.
        state: result of `values_before` before the first pass. Defaults to `()`.

    Example:
        >>> steps = keras.Variable(0.0, trainable=False)
        >>> before = values_before([steps])
        >>> _ = steps.assign_add(1.0)  # the first pass
        >>> with LaterPass([], before):
        ...     seen = float(steps.assign_add(1.0))
        >>> seen, float(steps)
        (1.0, 1.0)
    """

    def __init__(
        self,
        trained: Sequence[keras.Variable],
        state: Sequence[tuple[keras.Variable, tf.Tensor]] = (),
    ):
        super().__init__(state, collect_losses=True)
        self._trained = {id(variable) for variable in trained}
        self._reads_through = False

    def get_current_value(self, variable):
        value = super().get_current_value(variable)
        if value is not None or self._reads_through:
            return value
        if tf.executing_eagerly():
            # Eager operations read a `tf.Variable` without its Python methods.
            layer = overlay.layer_of(replicas.local(variable))
            if layer is not None:
                return layer.value()
        # Keras passes this value to weight regularizers, which do not expect `None`.
        self._reads_through = True  # `variable.value` calls this method
        try:
            return variable.value
        finally:
            self._reads_through = False

    def add_update(self, update):
        variable, _ = update
        if id(variable) not in self._trained:
            super().add_update(update)

"""What a forward pass may see and change when it is not the first one of a step."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import tensorflow as tf

from tf_helen.core import replicas


class LaterPass(keras.StatelessScope):
    """A scope for a forward pass that must leave no trace.

    Weights read as they are, so that a perturbation of them counts. The variables of `state` read
    as they were when this object was made, before the first pass. What layers assign is dropped
    at the end. Until then they read it back, but not what they assign to a trained weight: the
    loss must stay a function of that weight, as it is in the first pass.

    Args:
        trained: Keras variables by which the loss is differentiated.
        state: Keras variables that the pass must find as the first pass found them.

    Example:
        >>> steps = keras.Variable(0.0, trainable=False)
        >>> later = LaterPass([], [steps])
        >>> _ = steps.assign_add(1.0)  # the first pass
        >>> with later:
        ...     seen = float(steps.assign_add(1.0))
        >>> seen, float(steps)
        (1.0, 1.0)
    """

    def __init__(self, trained: Sequence[keras.Variable], state: Sequence[keras.Variable] = ()):
        before = [(v, tf.identity(replicas.local(v).read_value())) for v in state]
        super().__init__(before, collect_losses=True)
        self._trained = {id(variable) for variable in trained}
        self._reads_through = False

    def get_current_value(self, variable):
        value = super().get_current_value(variable)
        if value is not None or self._reads_through:
            return value
        # Keras hands this value to weight regularizers, and does not expect `None`.
        self._reads_through = True  # `variable.value` asks this scope
        try:
            return variable.value
        finally:
            self._reads_through = False

    def add_update(self, update):
        variable, _ = update
        if id(variable) not in self._trained:
            super().add_update(update)

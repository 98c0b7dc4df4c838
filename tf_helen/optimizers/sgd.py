"""Stochastic gradient descent, and with momentum, for tables and dense weights."""

from __future__ import annotations

import keras

from tf_helen import checks
from tf_helen.optimizers.row_sparse import RowSparseOptimizer
from tf_helen.optimizers.rule import Direction


@keras.saving.register_keras_serializable(package="tf_helen")
class SGD(RowSparseOptimizer):
    """Row-sparse stochastic gradient descent.

    `e <- e - lr * g` on the rows of the batch, duplicates summed.

    Args:
        learning_rate: step size.
        name: the optimizer's name.
        **kwargs: see `tf_helen.RowSparseOptimizer`.

    Example:
        >>> table = keras.Variable([[1.0], [1.0]])
        >>> slices = tf.IndexedSlices(tf.constant([[1.0], [1.0]]), tf.constant([1, 1]))
        >>> tf_helen.SGD(0.25).apply([slices], [table])
        >>> table.numpy().ravel().tolist()
        [1.0, 0.5]
    """

    def __init__(self, learning_rate=1e-2, *, name="sgd", **kwargs):
        super().__init__(learning_rate, name=name, **kwargs)

    def direction(self, gradient, slots, step):
        return Direction(gradient, None, slots)


@keras.saving.register_keras_serializable(package="tf_helen")
class Momentum(RowSparseOptimizer):
    """Row-sparse SGD with momentum; the moment of an absent row waits.

    ```
    m <- momentum * m + g
    e <- e - lr * m                      # nesterov: e - lr * (g + momentum * m)
    ```

    Args:
        learning_rate: step size.
        momentum: in [0, 1).
        nesterov: look ahead by one momentum step.
        name: the optimizer's name.
        **kwargs: see `tf_helen.RowSparseOptimizer`.

    Raises:
        ValueError: if `momentum` is not in [0, 1).

    Reference: Sutskever et al., ICML 2013, section 2.

    Example:
        >>> w = keras.Variable([1.0])
        >>> optimizer = tf_helen.Momentum(0.1, momentum=0.5)
        >>> for _ in range(2):
        ...     optimizer.apply([tf.constant([1.0])], [w])
        >>> round(float(w.numpy()[0]), 6)
        0.75
    """

    def __init__(
        self, learning_rate=1e-2, momentum=0.9, nesterov=False, *, name="momentum", **kwargs
    ):
        super().__init__(learning_rate, name=name, **kwargs)
        self.momentum = checks.number_in_range("momentum", momentum, 0, 1, open_high=True)
        self.nesterov = bool(nesterov)

    def slots(self):
        return {"moment": 0.0}

    def direction(self, gradient, slots, step):
        moment = self.momentum * slots["moment"] + gradient
        ahead = gradient + self.momentum * moment if self.nesterov else moment
        return Direction(ahead, None, {"moment": moment})

    def get_config(self):
        config = super().get_config()
        return {**config, "momentum": self.momentum, "nesterov": self.nesterov}

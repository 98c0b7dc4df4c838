"""Stochastic gradient descent, with and without momentum."""

from __future__ import annotations

from typing import Unpack

import keras

from tf_helen.optimizers.arguments import CommonArguments, LearningRate
from tf_helen.optimizers.row_sparse import RowSparseOptimizer
from tf_helen.rules import MomentumRule, SGDRule


@keras.saving.register_keras_serializable(package="tf_helen")
class SGD(RowSparseOptimizer):
    """Row-sparse stochastic gradient descent.

    `e <- e - lr * g` on the rows of the batch, with duplicates summed.

    With `momentum`: `m <- momentum * m + g`, `e <- e - lr * m` (nesterov:
    `e - lr * (g + momentum * m)`), as `tf_helen.Momentum`.

    Args:
        learning_rate: float, schedule or callable. Defaults to 1e-2.
        momentum: float in [0, 1). Defaults to 0.
        nesterov: boolean, whether to use Nesterov's momentum; needs `momentum`. Defaults to
            `False`.
        name: string, name of the optimizer.
        **kwargs: see `tf_helen.RowSparseOptimizer`.

    Example:
        >>> table = keras.Variable([[1.0], [1.0]])
        >>> slices = tf.IndexedSlices(tf.constant([[1.0], [1.0]]), tf.constant([1, 1]))
        >>> tf_helen.SGD(0.25).apply([slices], [table])
        >>> table.numpy().ravel().tolist()
        [1.0, 0.5]
    """

    def __init__(
        self,
        learning_rate: LearningRate = 1e-2,
        *,
        momentum: float = 0.0,
        nesterov: bool = False,
        name: str = "sgd",
        **kwargs: Unpack[CommonArguments],
    ):
        if nesterov and not momentum:
            raise ValueError("`nesterov=True` needs a `momentum` above 0. Received: momentum=0.0")
        rule = MomentumRule(momentum=momentum, nesterov=nesterov) if momentum else SGDRule()
        super().__init__(learning_rate, rule=rule, name=name, **kwargs)


@keras.saving.register_keras_serializable(package="tf_helen")
class Momentum(RowSparseOptimizer):
    """Row-sparse SGD with momentum; the moments of absent rows do not change.

    ```
    m <- momentum * m + g
    e <- e - lr * m                      # nesterov: e - lr * (g + momentum * m)
    ```

    Args:
        learning_rate: float, schedule or callable. Defaults to 1e-2.
        momentum: float in [0, 1). Defaults to 0.9.
        nesterov: boolean, whether to use Nesterov's momentum. Defaults to `False`.
        name: string, name of the optimizer.
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
        self,
        learning_rate: LearningRate = 1e-2,
        *,
        momentum: float = 0.9,
        nesterov: bool = False,
        name: str = "momentum",
        **kwargs: Unpack[CommonArguments],
    ):
        rule = MomentumRule(momentum=momentum, nesterov=nesterov)
        super().__init__(learning_rate, rule=rule, name=name, **kwargs)

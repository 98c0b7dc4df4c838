"""Nadam: Adam with Nesterov's momentum."""

from __future__ import annotations

from typing import Unpack

import keras

from tf_helen.optimizers.arguments import CommonArguments, LearningRate
from tf_helen.optimizers.row_sparse import RowSparseOptimizer
from tf_helen.rules import NadamRule


@keras.saving.register_keras_serializable(package="tf_helen")
class Nadam(RowSparseOptimizer):
    """Row-sparse Adam with Nesterov's momentum.

    ```
    mu_t <- beta_1 * (1 - 0.96^(t * momentum_decay) / 2)
    m <- beta_1 m + (1 - beta_1) g          v <- beta_2 v + (1 - beta_2) g^2
    n <- mu_{t+1} m / (1 - prod_{i<=t+1} mu_i) + (1 - mu_t) g / (1 - prod_{i<=t} mu_i)
    e <- e - lr * n / (sqrt(v / (1 - beta_2^t)) + epsilon)
    ```

    Args:
        learning_rate: float, schedule or callable. Defaults to 2e-3.
        beta_1: float in [0, 1), decay of the first moment. Defaults to 0.9.
        beta_2: float in [0, 1), decay of the second moment. Defaults to 0.999.
        epsilon: float, not negative. Defaults to 1e-8.
        momentum_decay: float, not negative, the rate at which mu grows to beta_1; 0.004 in the
            paper and PyTorch, 1 in Keras. Defaults to 4e-3.
        epsilon_hat: see `tf_helen.Adam`. Defaults to `False`.
        name: string, name of the optimizer.
        **kwargs: see `tf_helen.RowSparseOptimizer`.

    Raises:
        ValueError: on a negative `momentum_decay`; as `tf_helen.Adam`.

    Reference: Dozat, ICLR 2016 workshop, section 2; mu_t of its appendix.

    Example:
        >>> w = keras.Variable([1.0])
        >>> tf_helen.Nadam(0.1).apply([tf.constant([2.0])], [w])
        >>> 0.8 < float(w.numpy()[0]) < 1
        True
    """

    def __init__(
        self,
        learning_rate: LearningRate = 2e-3,
        *,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        momentum_decay: float = 4e-3,
        epsilon_hat: bool = False,
        name: str = "nadam",
        **kwargs: Unpack[CommonArguments],
    ):
        rule = NadamRule(
            beta_1=beta_1,
            beta_2=beta_2,
            epsilon=epsilon,
            momentum_decay=momentum_decay,
            epsilon_hat=epsilon_hat,
        )
        super().__init__(learning_rate, rule=rule, name=name, **kwargs)

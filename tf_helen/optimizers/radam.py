"""RAdam: Adam with rectified variance of the adaptive learning rate."""

from __future__ import annotations

from typing import Unpack

import keras

from tf_helen.optimizers.arguments import CommonArguments, LearningRate
from tf_helen.optimizers.row_sparse import RowSparseOptimizer
from tf_helen.rules import RAdamRule


@keras.saving.register_keras_serializable(package="tf_helen")
class RAdam(RowSparseOptimizer):
    """Row-sparse rectified Adam.

    ```
    rho_inf = 2 / (1 - beta_2) - 1        rho_t = rho_inf - 2 t beta_2^t / (1 - beta_2^t)
    rho_t > 5:   r = sqrt((rho_t - 4)(rho_t - 2) rho_inf / ((rho_inf - 4)(rho_inf - 2) rho_t))
                 e <- e - lr * r * m_hat * sqrt(1 - beta_2^t) / (sqrt(v) + epsilon)
    otherwise:   e <- e - lr * m_hat
    ```

    t is the step of the optimizer, so rows that first occur late have no warm-up. Epsilon is added
    before the bias correction of v, as in PyTorch.

    Args:
        learning_rate: float, schedule or callable. Defaults to 1e-3.
        beta_1: float in [0, 1), decay of the first moment. Defaults to 0.9.
        beta_2: float in [0, 1), decay of the second moment. Defaults to 0.999.
        epsilon: float, not negative. Defaults to 1e-8.
        name: string, name of the optimizer.
        **kwargs: see `tf_helen.RowSparseOptimizer`.

    Raises:
        ValueError: as `tf_helen.Adam`.

    Reference: Liu et al., ICLR 2020, Algorithm 2.

    Example:
        >>> w = keras.Variable([1.0])
        >>> tf_helen.RAdam(0.1).apply([tf.constant([2.0])], [w])  # not yet adaptive: w - lr * g
        >>> round(float(w.numpy()[0]), 6)
        0.8
    """

    def __init__(
        self,
        learning_rate: LearningRate = 1e-3,
        *,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        name: str = "radam",
        **kwargs: Unpack[CommonArguments],
    ):
        rule = RAdamRule(beta_1=beta_1, beta_2=beta_2, epsilon=epsilon)
        super().__init__(learning_rate, rule=rule, name=name, **kwargs)

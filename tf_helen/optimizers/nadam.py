"""Nadam: Adam with Nesterov's momentum."""

from __future__ import annotations

import functools

import keras
import numpy as np
import tensorflow as tf

from tf_helen import checks
from tf_helen.optimizers.adam import Adam


@functools.lru_cache(maxsize=32)
def momentum_products(beta_1: float, momentum_decay: float) -> np.ndarray:
    """`prod_{i<=t} mu_i` for t = 0, 1, ..., as long as `1 - product` changes in float64."""
    steps = np.arange(1, int(40 / (1 - beta_1)) + 2)  # every mu_i is at most beta_1
    products = np.cumprod(beta_1 * (1 - 0.5 * 0.96 ** (steps * momentum_decay)))
    return np.concatenate([[1.0], products[products > 1e-17], [0.0]])


@keras.saving.register_keras_serializable(package="tf_helen")
class Nadam(Adam):
    """Row-sparse Adam with Nesterov's momentum; the moments of absent rows wait.

    ```
    mu_t <- beta_1 * (1 - 0.96^(t * momentum_decay) / 2)
    m <- beta_1 m + (1 - beta_1) g          v <- beta_2 v + (1 - beta_2) g^2
    n <- mu_{t+1} m / (1 - prod_{i<=t+1} mu_i) + (1 - mu_t) g / (1 - prod_{i<=t} mu_i)
    e <- e - lr * n / (sqrt(v / (1 - beta_2^t)) + epsilon)
    ```

    Args:
        learning_rate: step size.
        beta_1, beta_2, epsilon: see `tf_helen.Adam`.
        momentum_decay: how fast mu grows to beta_1; 0.004 in the paper and PyTorch (Keras's Nadam
            has 1: another schedule).
        **kwargs: see `tf_helen.Adam`; `amsgrad` is refused.

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
        learning_rate=2e-3,
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-8,
        momentum_decay=4e-3,
        *,
        name="nadam",
        **kwargs,
    ):
        if kwargs.pop("amsgrad", False):
            raise ValueError("Nadam has no AMSGrad form. Received: amsgrad=True")
        super().__init__(learning_rate, beta_1, beta_2, epsilon, name=name, **kwargs)
        self.momentum_decay = checks.number_in_range("momentum_decay", momentum_decay)

    def corrected(self, gradient, momentum, velocity, step):
        root, scale = self.root(velocity, step)
        table = tf.constant(momentum_products(self.beta_1, self.momentum_decay))
        rest = 1 - tf.gather(table, tf.minimum(step.number + np.arange(2), table.shape[0] - 1))
        of_gradient = (1 - self._momentum(step.number)) / rest[0]
        of_momentum = self._momentum(step.number + 1) / rest[1]
        dtype = momentum.dtype
        numerator = tf.cast(of_momentum, dtype) * momentum + tf.cast(of_gradient, dtype) * gradient
        return numerator, root, scale

    def _momentum(self, step: tf.Tensor) -> tf.Tensor:
        faded = tf.pow(
            tf.constant(0.96, tf.float64), tf.cast(step, tf.float64) * self.momentum_decay
        )
        return self.beta_1 * (1 - 0.5 * faded)

    def get_config(self):
        config = super().get_config()
        config.pop("amsgrad")
        return {**config, "momentum_decay": self.momentum_decay}

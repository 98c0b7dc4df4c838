"""RAdam: Adam whose adaptive rate waits until its variance is known."""

from __future__ import annotations

import keras
import tensorflow as tf

from tf_helen.optimizers.adam import Adam


@keras.saving.register_keras_serializable(package="tf_helen")
class RAdam(Adam):
    """Row-sparse rectified Adam; the moments of absent rows wait.

    ```
    rho_inf = 2 / (1 - beta_2) - 1        rho_t = rho_inf - 2 t beta_2^t / (1 - beta_2^t)
    rho_t > 5:   r = sqrt((rho_t - 4)(rho_t - 2) rho_inf / ((rho_inf - 4)(rho_inf - 2) rho_t))
                 e <- e - lr * r * m_hat * sqrt(1 - beta_2^t) / (sqrt(v) + epsilon)
    otherwise:   e <- e - lr * m_hat
    ```

    t is the optimizer's step: a row that occurs late starts with the rate of that time. epsilon
    stands before the correction of v, as in PyTorch.

    Args:
        learning_rate: step size.
        beta_1, beta_2, epsilon: see `tf_helen.Adam`.
        **kwargs: see `tf_helen.Adam`; `amsgrad` and `epsilon_hat` are refused.

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
        self, learning_rate=1e-3, beta_1=0.9, beta_2=0.999, epsilon=1e-8, *, name="radam", **kwargs
    ):
        for argument in ("amsgrad", "epsilon_hat"):
            if argument in kwargs:
                raise ValueError(f"RAdam has one form. Received: {argument}={kwargs[argument]!r}")
        super().__init__(
            learning_rate, beta_1, beta_2, epsilon, epsilon_hat=True, name=name, **kwargs
        )

    def corrected(self, gradient, momentum, velocity, step):
        t = tf.cast(step.number, tf.float64)
        power = tf.pow(tf.constant(self.beta_2, tf.float64), t)
        longest = 2 / (1 - self.beta_2) - 1
        length = longest - 2 * t * power / (1 - power)
        adaptive = length > 5
        rectified = (length - 4) * (length - 2) * longest
        rectified /= (longest - 4) * (longest - 2) * length
        root, scale = self.root(velocity, step)
        scale *= tf.cast(tf.sqrt(tf.where(adaptive, rectified, 1.0)), root.dtype)
        numerator, root = momentum, tf.where(adaptive, root, tf.ones_like(root))
        scale = tf.where(adaptive, scale, tf.ones_like(scale))
        return numerator, root, scale / step.bias_correction(self.beta_1)

    def get_config(self):
        config = super().get_config()
        return {k: v for k, v in config.items() if k not in ("amsgrad", "epsilon_hat")}

"""Adam and AMSGrad for tables and dense weights."""

from __future__ import annotations

import keras
import tensorflow as tf

from tf_helen import checks
from tf_helen.optimizers.row_sparse import RowSparseOptimizer
from tf_helen.optimizers.rule import Direction


@keras.saving.register_keras_serializable(package="tf_helen")
class Adam(RowSparseOptimizer):
    """Row-sparse Adam: moments of the **summed** gradient, of the rows in the batch only.

    ```
    m <- beta_1 m + (1 - beta_1) g          v <- beta_2 v + (1 - beta_2) g^2
    e <- e - lr * (m / (1 - beta_1^t)) / (sqrt(v / (1 - beta_2^t)) + epsilon)
    ```

    t is the optimizer's step, so a row that returns after a long absence takes its step with the
    bias correction of a long training.

    Args:
        learning_rate: step size.
        beta_1: decay of the first moment, in [0, 1).
        beta_2: decay of the second moment, in [0, 1).
        epsilon: outside the root of the corrected v, as in the paper.
        amsgrad: use the running maximum of v.
        epsilon_hat: divide by `sqrt(v) + epsilon` before v is corrected, as TensorFlow 1 and
            tfplus do: epsilon then weighs `1 / sqrt(1 - beta_2^t)` times as much.
        name: the optimizer's name.
        **kwargs: see `tf_helen.RowSparseOptimizer`.

    Raises:
        ValueError: on a beta outside [0, 1) or a negative `epsilon`.

    Reference: Kingma, Ba, ICLR 2015, Algorithm 1; Reddi et al., ICLR 2018 (amsgrad).

    Example:
        >>> table = keras.Variable([[1.0], [1.0]])
        >>> slices = tf.IndexedSlices(tf.constant([[2.0], [1.0]]), tf.constant([0, 0]))
        >>> tf_helen.Adam(0.5).apply([slices], [table])
        >>> table.numpy().ravel().round(4).tolist()
        [0.5, 1.0]
    """

    def __init__(
        self,
        learning_rate=1e-3,
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-8,
        amsgrad=False,
        *,
        epsilon_hat=False,
        name="adam",
        **kwargs,
    ):
        super().__init__(learning_rate, name=name, **kwargs)
        self.beta_1 = checks.number_in_range("beta_1", beta_1, 0, 1, open_high=True)
        self.beta_2 = checks.number_in_range("beta_2", beta_2, 0, 1, open_high=True)
        self.epsilon = checks.number_in_range("epsilon", epsilon)
        self.amsgrad = bool(amsgrad)
        self.epsilon_hat = bool(epsilon_hat)

    def slots(self):
        names = ("momentum", "velocity", "max_velocity")
        return dict.fromkeys(names if self.amsgrad else names[:2], 0.0)

    def direction(self, gradient, slots, step):
        momentum = self.beta_1 * slots["momentum"] + (1 - self.beta_1) * gradient
        squares = self.squares(gradient, step)
        velocity = self.beta_2 * slots["velocity"] + (1 - self.beta_2) * squares
        new_slots = {"momentum": momentum, "velocity": velocity}
        if self.amsgrad:
            velocity = tf.maximum(slots["max_velocity"], velocity)
            new_slots["max_velocity"] = velocity
        numerator, denominator, scale = self.corrected(gradient, momentum, velocity, step)
        return Direction(numerator, denominator, new_slots, scale)

    def squares(self, gradient, step):
        """What the second moment is a mean of."""
        return tf.square(gradient)

    def corrected(self, gradient, momentum, velocity, step):
        """Numerator, denominator and scale, free of the bias of moments that start at zero."""
        root, scale = self.root(velocity, step)
        return momentum, root, scale / step.bias_correction(self.beta_1)

    def root(self, velocity, step):
        """The denominator, and a scale that goes with it."""
        correction = step.bias_correction(self.beta_2)
        if self.epsilon_hat:
            return tf.sqrt(velocity) + self.epsilon, tf.sqrt(correction)
        return tf.sqrt(velocity / correction) + self.epsilon, tf.ones_like(correction)

    def get_config(self):
        return {
            **super().get_config(),
            "beta_1": self.beta_1,
            "beta_2": self.beta_2,
            "epsilon": self.epsilon,
            "amsgrad": self.amsgrad,
            "epsilon_hat": self.epsilon_hat,
        }


@keras.saving.register_keras_serializable(package="tf_helen")
class AMSGrad(Adam):
    """Row-sparse Adam that divides by the running maximum of v.

    `tf_helen.Adam(amsgrad=True)` under its own name.

    Args:
        learning_rate: step size.
        beta_1, beta_2, epsilon: see `tf_helen.Adam`.
        **kwargs: see `tf_helen.Adam`.

    Raises:
        ValueError: as `tf_helen.Adam`.

    Reference: Reddi et al., ICLR 2018, Algorithm 2.

    Example:
        >>> w = keras.Variable([1.0])
        >>> tf_helen.AMSGrad(0.5).apply([tf.constant([2.0])], [w])
        >>> round(float(w.numpy()[0]), 4)
        0.5
    """

    def __init__(self, learning_rate=1e-3, *args, name="amsgrad", **kwargs):
        if not kwargs.pop("amsgrad", True):
            raise ValueError("`amsgrad=False` is `tf_helen.Adam`. Received it for AMSGrad.")
        super().__init__(learning_rate, *args, amsgrad=True, name=name, **kwargs)

"""Adam and AdamW for tables and dense weights."""

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
        velocity = self.beta_2 * slots["velocity"] + (1 - self.beta_2) * tf.square(gradient)
        new_slots = {"momentum": momentum, "velocity": velocity}
        if self.amsgrad:
            velocity = tf.maximum(slots["max_velocity"], velocity)
            new_slots["max_velocity"] = velocity
        return self.corrected(momentum, velocity, new_slots, step)

    def corrected(self, momentum, velocity, new_slots, step) -> Direction:
        """The moments' quotient, corrected for their start at zero."""
        scale, correction = 1 / step.bias_correction(self.beta_1), step.bias_correction(self.beta_2)
        if self.epsilon_hat:
            root, scale = tf.sqrt(velocity) + self.epsilon, scale * tf.sqrt(correction)
        else:
            root = tf.sqrt(velocity / correction) + self.epsilon
        return Direction(momentum, root, new_slots, scale)

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
class AdamW(Adam):
    """Row-sparse Adam with decoupled weight decay on the rows of the batch.

    `e <- (1 - lr * weight_decay) e`, then Adam's step. A row that is away does not decay (see
    `tf_helen.AdamAR` for one that does).

    Args:
        learning_rate: step size.
        weight_decay: strength, not negative.
        **kwargs: see `tf_helen.Adam`. `exclude_from_weight_decay` works as in Keras.

    Raises:
        ValueError: on a negative `weight_decay`.

    Reference: Loshchilov, Hutter, ICLR 2019, Algorithm 2.

    Example:
        >>> w = keras.Variable([1.0])
        >>> tf_helen.AdamW(0.5, weight_decay=0.1).apply([tf.constant([2.0])], [w])
        >>> round(float(w.numpy()[0]), 4)
        0.45
    """

    def __init__(self, learning_rate=1e-3, weight_decay=4e-3, *, name="adamw", **kwargs):
        weight_decay = checks.number_in_range("weight_decay", weight_decay)
        super().__init__(learning_rate, weight_decay=weight_decay, name=name, **kwargs)

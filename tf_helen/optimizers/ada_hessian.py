"""AdaHessian: Adam whose second moment is of the Hessian's diagonal."""

from __future__ import annotations

import threading

import keras
import tensorflow as tf

from tf_helen import checks, replicas
from tf_helen.optimizers.adam import Adam
from tf_helen.optimizers.hessian import gradients_and_diagonals, with_curvature
from tf_helen.rows import values_of, with_values


@keras.saving.register_keras_serializable(package="tf_helen")
class AdaHessian(Adam):
    """Adam with the Hessian's diagonal in place of the squared gradient, row-sparse.

    ```
    H <- z * (d^2 loss . z),  z random signs         # Hutchinson's estimate of the diagonal
    H <- mean of H over the row                      # average="row"
    m <- beta_1 m + (1 - beta_1) g          v <- beta_2 v + (1 - beta_2) H^2
    e <- e - lr * (m / (1 - beta_1^t)) / ((v / (1 - beta_2^t))^(power / 2) + epsilon)
    ```

    One Hessian-vector product per step, a little more than the cost of a second pass; for tables
    it is that of the gathered rows. It needs a trainer that computes it: `tf_helen.Model`, a model
    given to `tf_helen.enable`, or `optimizer.minimize`; under a plain `keras.Model` it raises. The
    signs are a function of row, step and `seed`. A step whose Hessian is not finite has a gradient
    that is not either. Memory: two slots like the table.

    Args:
        learning_rate: step size; the paper's 0.15 suits `epsilon=1e-4`.
        beta_1, beta_2: as `tf_helen.Adam`.
        epsilon: outside the root of the corrected v.
        power: the Hessian's power, in [0, 1]; 1 in the paper.
        average: "none", or "row": the paper's spatial averaging, over each row.
        seed: of the random signs.
        **kwargs: see `tf_helen.Adam`; `amsgrad` is refused.

    Raises:
        ValueError: on a value out of range.

    Reference: Yao et al., AAAI 2021 (arXiv 2006.00719), Algorithm 1, Eq. 10.

    Example:
        >>> w = keras.Variable([3.0, 3.0])
        >>> curvatures = tf.constant([1.0, 100.0])
        >>> loss = lambda: tf.reduce_sum(curvatures * w.value**2) / 2
        >>> _ = tf_helen.AdaHessian(1.0, epsilon=0).minimize(loss, [w])  # Newton's step
        >>> w.numpy().tolist()
        [0.0, 0.0]
    """

    needs = "a Hessian-vector product"

    def __init__(
        self,
        learning_rate=0.15,
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-4,
        power=1.0,
        average="none",
        seed=0,
        *,
        name="ada_hessian",
        **kwargs,
    ):
        if kwargs.pop("amsgrad", False):
            raise ValueError("AdaHessian has no AMSGrad form. Received: amsgrad=True")
        super().__init__(learning_rate, beta_1, beta_2, epsilon, name=name, **kwargs)
        self.power = checks.number_in_range("power", power, 0, 1)
        self.average = checks.one_of("average", average, ("none", "row"))
        self.seed = int(seed)
        self._diagonals: dict[tuple[int, int], object] = {}

    def compute_gradients(self, closure, variables, loss_scale=None, pass_state=()):
        salt = tf.cast(self.step_number() + self.seed * 0x3C6EF372, tf.uint32)
        loss, gradients, diagonals = gradients_and_diagonals(closure, variables, salt, loss_scale)
        safe = []
        for gradient, diagonal, variable in zip(gradients, diagonals, variables, strict=True):
            self._diagonals[_key(variable)] = _unscaled(diagonal, loss_scale)
            safe.append(_spoiled_by(gradient, diagonal))
        return loss, safe

    def apply(self, grads, trainable_variables=None):
        self.check_seam()
        super().apply(grads, trainable_variables)

    def blocks_of(self, gradients, variables):
        found = [self._diagonals[_key(variable)] for variable in variables]
        # Tensors of a trace must not outlive it.
        for key in [key for key in self._diagonals if key[0] == threading.get_ident()]:
            del self._diagonals[key]
        given = [diagonal for diagonal in found if diagonal is not None]
        summed = iter(replicas.all_reduce_sum(given))
        found = [None if diagonal is None else next(summed) for diagonal in found]
        return [
            with_curvature(gradient, diagonal, variable, self.loss_scale_factor)
            for gradient, diagonal, variable in zip(gradients, found, variables, strict=True)
        ]

    def squares(self, gradient, step):
        diagonal = step.curvature + self.coupled_l2
        if self.average == "row":
            within_row = list(range(1, diagonal.shape.rank or 0))
            diagonal = tf.reduce_mean(diagonal, axis=within_row, keepdims=True)
            diagonal = tf.broadcast_to(diagonal, tf.shape(gradient))
        return tf.square(diagonal)

    def root(self, velocity, step):
        if self.power == 1:
            return super().root(velocity, step)
        corrected = velocity / step.bias_correction(self.beta_2)
        root = tf.pow(corrected, self.power / 2) + self.epsilon
        return root, tf.ones([], velocity.dtype)

    def get_config(self):
        config = super().get_config()
        config.pop("amsgrad")
        return {**config, "power": self.power, "average": self.average, "seed": self.seed}


def _key(variable) -> tuple[int, int]:
    """By thread: replicas take turns, each in its own, whenever they sum something."""
    return threading.get_ident(), id(variable)


def _unscaled(diagonal, loss_scale):
    if diagonal is None or loss_scale is None:
        return diagonal
    values = values_of(diagonal)
    return with_values(diagonal, values / tf.cast(loss_scale, values.dtype))


def _spoiled_by(gradient, diagonal):
    """The gradient, not finite where the diagonal is not: then loss scaling skips the step."""
    if gradient is None or diagonal is None:
        return gradient
    zero = tf.cast(tf.reduce_sum(0 * values_of(diagonal)), gradient.dtype)
    return with_values(gradient, values_of(gradient) + zero)

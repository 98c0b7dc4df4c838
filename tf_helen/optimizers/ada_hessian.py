"""AdaHessian: Adam whose second moment is of the Hessian's diagonal."""

from __future__ import annotations

import threading
from typing import Unpack

import keras
import tensorflow as tf

from tf_helen.core import replicas
from tf_helen.core.rows import values_of, with_values
from tf_helen.optimizers.arguments import CommonArguments, LearningRate
from tf_helen.optimizers.hessian import gradients_and_diagonals, with_curvature
from tf_helen.optimizers.passes import Needs
from tf_helen.optimizers.row_sparse import RowSparseOptimizer
from tf_helen.rules import AdaHessianRule, Rule


class HessianOptimizer(RowSparseOptimizer):
    """The driver of rules that need an estimate of the Hessian's diagonal.

    Args:
        learning_rate: float, schedule or callable.
        rule: a rule that reads `step.curvature`.
        seed: int, of the random signs. Defaults to 0.
        **kwargs: see `tf_helen.RowSparseOptimizer`.
    """

    needs = Needs.HESSIAN_VECTOR_PRODUCT
    fixed_settings = ("seed",)

    def __init__(self, learning_rate: LearningRate, *, rule: Rule, seed: int = 0, **kwargs):
        super().__init__(learning_rate, rule=rule, **kwargs)
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
        self.check_trainer()
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

    def get_config(self):
        return {**super().get_config(), "seed": self.seed}


@keras.saving.register_keras_serializable(package="tf_helen")
class AdaHessian(HessianOptimizer):
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
    signs are a function of row, step and `seed`. If the estimate is not finite, neither is the
    gradient. Memory: two slots like the table.

    Args:
        learning_rate: float, schedule or callable; the paper's 0.15 suits `epsilon=1e-4`. Defaults
            to 0.15.
        beta_1, beta_2: see `tf_helen.Adam`.
        epsilon: float, not negative, outside the root of the corrected v. Defaults to 1e-4.
        power: float in [0, 1], the Hessian's power. Defaults to 1, the paper's.
        average: "none", or "row": the paper's spatial averaging, over each row. Defaults to "none".
        epsilon_hat: boolean, see `tf_helen.Adam`. Defaults to `False`.
        seed: int, of the random signs. Defaults to 0.
        name: string, the optimizer's name.
        **kwargs: see `tf_helen.RowSparseOptimizer`.

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

    def __init__(
        self,
        learning_rate: LearningRate = 0.15,
        *,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-4,
        power: float = 1.0,
        average: str = "none",
        epsilon_hat: bool = False,
        seed: int = 0,
        name: str = "ada_hessian",
        **kwargs: Unpack[CommonArguments],
    ):
        rule = AdaHessianRule(
            beta_1=beta_1,
            beta_2=beta_2,
            epsilon=epsilon,
            power=power,
            average=average,
            epsilon_hat=epsilon_hat,
        )
        super().__init__(learning_rate, rule=rule, seed=seed, name=name, **kwargs)


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

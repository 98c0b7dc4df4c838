"""AdaHessian: Adam with the second moment of the Hessian's diagonal."""

from __future__ import annotations

from typing import Any, Unpack

import keras
import tensorflow as tf

from tf_helen import keras_access
from tf_helen.core.rows import values_of, with_values
from tf_helen.optimizers.arguments import CommonArguments, LearningRate
from tf_helen.optimizers.hessian import (
    block_with_curvature,
    carrying,
    gradients_and_diagonals,
    parts_of,
)
from tf_helen.optimizers.passes import Needs
from tf_helen.optimizers.row_sparse import RowSparseOptimizer
from tf_helen.rules import AdaHessianRule, Rule


class HessianOptimizer(RowSparseOptimizer):
    """Base class of optimizers that need an estimate of the Hessian's diagonal.

    Args:
        learning_rate: float, schedule or callable.
        rule: `Rule` that reads `step.curvature`.
        seed: int, seed of the random signs. Defaults to 0.
        **kwargs: see `tf_helen.RowSparseOptimizer`.
    """

    needs = Needs.HESSIAN_VECTOR_PRODUCT
    fixed_settings: tuple[str, ...] = ("seed",)

    def __init__(self, learning_rate: LearningRate, *, rule: Rule, seed: int = 0, **kwargs: Any):
        super().__init__(learning_rate, rule=rule, **kwargs)
        self.seed = int(seed)

    def compute_gradients(self, closure, variables, loss_scale=None, pass_state=()):
        variables = list(variables)
        self.build(variables)
        salt = tf.cast(self.step_number() + self.seed * 0x3C6EF372, tf.uint32)
        loss, gradients, diagonals = gradients_and_diagonals(closure, variables, salt, loss_scale)
        found = []
        for gradient, diagonal, variable in zip(gradients, diagonals, variables, strict=True):
            # `PerVariable` also passes the variables of its other optimizers.
            if keras_access.is_known(self, variable):
                gradient = carrying(_spoiled_by(gradient, diagonal), diagonal)
            found.append(gradient)
        return loss, found

    def apply(self, grads, trainable_variables=None):
        self.check_trainer()
        super().apply(grads, trainable_variables)

    def blocks_of(self, gradients, variables):
        return [
            block_with_curvature(gradient, variable, self.loss_scale_factor)
            for gradient, variable in zip(gradients, variables, strict=True)
        ]

    def plain_gradient(self, gradient, variable):
        return parts_of(gradient)[0]

    def with_gradient(self, gradient, plain, variable):
        return carrying(plain, None if gradient is None else parts_of(gradient)[1])

    def get_config(self):
        return {**super().get_config(), "seed": self.seed}


@keras.saving.register_keras_serializable(package="tf_helen")
class AdaHessian(HessianOptimizer):
    """Row-sparse Adam with the Hessian's diagonal instead of the squared gradient.

    ```
    H <- z * (d^2 loss . z),  z random signs         # Hutchinson's estimate of the diagonal
    H <- mean of H over the row                      # average="row"
    m <- beta_1 m + (1 - beta_1) g          v <- beta_2 v + (1 - beta_2) H^2
    e <- e - lr * (m / (1 - beta_1^t)) / ((v / (1 - beta_2^t))^(power / 2) + epsilon)
    ```

    A step needs one Hessian-vector product, which costs a little more than a second pass; for
    tables, it is computed for the rows of the batch only. Use `tf_helen.Model`,
    `tf_helen.enable(model)` or `optimizer.minimize`; under a plain `keras.Model`, the optimizer
    raises an error. The signs depend on row, step and `seed`. If the estimate is not finite, the
    gradient is not finite either. Memory: two slots of the size of the table.

    Args:
        learning_rate: float, schedule or callable. Defaults to 0.15, the paper's value for
            `epsilon=1e-4`.
        beta_1, beta_2: see `tf_helen.Adam`.
        epsilon: float, not negative, added to the root of the corrected v. Defaults to 1e-4.
        power: float in [0, 1], power of the Hessian. Defaults to 1, the paper's value.
        average: "none", or "row" for the paper's spatial averaging over each row. Defaults to
            "none".
        epsilon_hat: boolean, see `tf_helen.Adam`. Defaults to `False`.
        seed: int, seed of the random signs. Defaults to 0.
        name: string, name of the optimizer.
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


def _spoiled_by(gradient, diagonal):
    """Makes the gradient not finite if the diagonal is not: loss scaling then skips the step."""
    if gradient is None or diagonal is None:
        return gradient
    zero = tf.cast(tf.reduce_sum(0 * values_of(diagonal)), gradient.dtype)
    return with_values(gradient, values_of(gradient) + zero)

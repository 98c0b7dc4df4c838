"""Adaptive sharpness-aware minimization, a wrapper of any base optimizer."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from tf_helen.core import checks
from tf_helen.optimizers.arguments import LearningRate
from tf_helen.optimizers.sam import SAM


@keras.saving.register_keras_serializable(package="tf_helen")
class ASAM(SAM):
    """Adaptive sharpness-aware minimization, with a radius proportional to each weight.

    `eps = rho * T^2 g / (||T g||_2 + 1e-12)` with `T = |w| + eta` for tables and kernels, and
    T = 1 for biases (`adapt_bias=False`, as in the released code).

    Args:
        learning_rate: float or schedule of the base optimizer. Defaults to `None`: the default of
            the base optimizer.
        rho: float, not negative, radius; the paper uses 0.5 where SAM uses 0.05. Defaults to 0.5.
        base_optimizer: name or optimizer. Defaults to "adam".
        eta: float, not negative, so that weights near zero are perturbed. Defaults to 0.01.
        adapt_bias: boolean, whether to use T = |w| + eta for biases (variables of rank 0 and 1).
            Defaults to `False`.
        perturbation: see `tf_helen.SAM`.
        name: string, name of the optimizer.
        **kwargs: passed to the base optimizer if it is given by name.

    Raises:
        ValueError: on a negative `rho` or `eta`; as `tf_helen.SAM`.

    Reference: Kwon et al., ICML 2021, Algorithm 1.

    Example:
        >>> w = keras.Variable([[3.0, 4.0]])
        >>> optimizer = tf_helen.ASAM(0.1, rho=0.5, base_optimizer="sgd")
        >>> float(optimizer.minimize(lambda: tf.reduce_sum(w.value**2) / 2, [w]))
        12.5
    """

    fixed_settings: tuple[str, ...] = (*SAM.fixed_settings, "eta", "adapt_bias")

    def __init__(
        self,
        learning_rate: LearningRate | None = None,
        *,
        rho: float = 0.5,
        base_optimizer: Any = "adam",
        eta: float = 0.01,
        adapt_bias: bool = False,
        perturbation: str = "global",
        name: str = "asam",
        **kwargs: Any,
    ):
        super().__init__(
            learning_rate,
            rho=rho,
            base_optimizer=base_optimizer,
            perturbation=perturbation,
            name=name,
            **kwargs,
        )
        self.eta = checks.number_in_range("eta", eta)
        self.adapt_bias = bool(adapt_bias)

    def perturbations(self, blocks, variables):
        weights = []
        for block, variable in zip(blocks, variables, strict=True):
            if len(variable.shape) > 1 or self.adapt_bias:
                weights.append(tf.abs(self.rows_now(variable, block)) + self.eta)
            else:
                weights.append(None)
        return self._perturbations_by_weight(blocks, weights)

    def get_config(self):
        config = super().get_config()
        config.pop("adaptive")
        return {**config, "eta": self.eta, "adapt_bias": self.adapt_bias}

"""A learning rate that depends on how often each row occurs."""

from __future__ import annotations

from typing import Any

import keras

from tf_helen.core.rule import Rule, settings
from tf_helen.optimizers.arguments import LearningRate
from tf_helen.optimizers.passes import Needs
from tf_helen.optimizers.row_sparse import RowSparseOptimizer
from tf_helen.optimizers.wrapping import WrappingOptimizer
from tf_helen.rules import FrequencyAwareRate


@keras.saving.register_keras_serializable(package="tf_helen")
class FrequencyAware(WrappingOptimizer):
    """Longer steps for rare rows, around any optimizer of this package.

    ```
    step of row k <- step of row k * min((t / n_k)^rho, cap)
    ```

    t is the table's step, from 1; n_k the number of steps so far that had row k in their batch,
    this one included. A row of every step, and dense weights, keep the base optimizer's step. With
    `rho=0.5` a row of every 100th step takes steps 10 times as long. The decay of rows and the
    thresholds of group lasso are not multiplied. A table whose gradient is dense, because Keras
    regularizes it, keeps the plain step too.

    A row that first occurs late takes one very long step: at step 10^6 with `rho=0.5` one of 1000
    times the rate. Adam's first step has the length of the rate, so give a small `cap` there; the
    accumulator of `Adagrad(initial_accumulator_value=0.1)` dampens it. Memory: 4 bytes per row
    besides the base optimizer's.

    Args:
        learning_rate: float or schedule, the base optimizer's. Defaults to `None`: its own default.
        base_optimizer: a name or an optimizer of this package whose rule defines `direction` (all
            but `GroupFTRL`): `FrequencyAware(base_optimizer=AdamAR())`. It must not have trained;
            it is changed. Defaults to "adam".
        rho: float, not negative, the exponent; with 0 it is the base optimizer. Defaults to 0.5.
        cap: float, at least 1, the largest factor. Defaults to 1e6, the library's.
        count: "steps", or "occurrences": n_k counts each occurrence in a batch, so that rows that
            occur more than once per step take shorter steps. Defaults to "steps", the library's.
        name: string, the optimizer's name.
        **kwargs: passed to the base optimizer when it is given by name.

    Raises:
        ValueError: on a value out of range, an unknown base optimizer, one that has trained or is
            wrapped already, or one that needs two passes itself: put FrequencyAware inside,
            `Helen(base_optimizer=FrequencyAware(...))`.

    Reference: F2A (frequency-aware Adagrad) of Google's library for SparseCore, jax-tpu-embedding
    (`F2AOptimizerSpec`): with base optimizer `Adagrad(initial_accumulator_value=0.1, epsilon=0)` it
    is that rule without its L1 and L2 terms. There is no publication; for other base optimizers it
    is ours.

    Example:
        >>> table = keras.Variable(np.zeros((2, 1)))
        >>> optimizer = tf_helen.FrequencyAware(1.0, base_optimizer="sgd")
        >>> for ids in ([0], [0], [0], [0, 1]):
        ...     slices = tf.IndexedSlices(-tf.ones([len(ids), 1]), tf.constant(ids))
        ...     optimizer.apply([slices], [table])
        >>> table.numpy().ravel().tolist()  # row 1: 1 of 4 steps, sqrt(4)
        [4.0, 2.0]
    """

    def __init__(
        self,
        learning_rate: LearningRate | None = None,
        *,
        base_optimizer: Any = "adam",
        rho: float = 0.5,
        cap: float = 1e6,
        count: str = "steps",
        name: str = "frequency_aware",
        **kwargs: Any,
    ):
        rule = FrequencyAwareRate(Rule(), rho=rho, cap=cap, count=count)
        super().__init__(learning_rate, base_optimizer, name=name, rule=rule, **kwargs)
        base = self.base_optimizer
        if not isinstance(base, RowSparseOptimizer) or base.needs is Needs.TWO_GRADIENTS:
            raise ValueError(
                "`base_optimizer` of FrequencyAware must be an optimizer of tf_helen with one "
                f"gradient per step. Received: {type(base).__name__}. Around SAM or Helen put it "
                "inside: `Helen(base_optimizer=FrequencyAware(...))`."
            )
        self.wrap_rule(FrequencyAwareRate, **settings(rule))

    def get_config(self):
        return {**super().get_config(), **settings(self.rule)}

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
    """Longer steps for rare rows, a wrapper of any optimizer of this package.

    ```
    step of row k <- step of row k * min((t / n_k)^rho, cap)
    ```

    t is the step of the table, from 1, and n_k is the number of steps so far with row k in their
    batch, including the current one. Rows that occur in every step, and dense weights, have the
    steps of the base optimizer. With `rho=0.5`, a row that occurs in every 100th step has steps 10
    times as long. The decay of rows and the thresholds of group lasso are not multiplied. Tables
    with a dense gradient, due to a Keras regularizer, have plain steps too.

    A row that first occurs late has one very long step: at step 10^6 with `rho=0.5`, 1000 times the
    learning rate. The first step of Adam has the length of the learning rate, so use a small `cap`
    with Adam; the accumulator of `Adagrad(initial_accumulator_value=0.1)` reduces the step. Memory:
    4 bytes per row in addition to the base optimizer's.

    Args:
        learning_rate: float or schedule of the base optimizer. Defaults to `None`: the default of
            the base optimizer.
        base_optimizer: name or optimizer of this package whose rule defines `direction` (all
            except `GroupFTRL`), as in `FrequencyAware(base_optimizer=AdamAR())`. An instance is
            modified and must not have trained. Defaults to "adam".
        rho: float, not negative, exponent; 0 is the base optimizer. Defaults to 0.5.
        cap: float, at least 1, maximum factor. Defaults to 1e6, as in the library.
        count: "steps", or "occurrences" if n_k counts each occurrence in a batch, so that rows that
            occur more than once per step have shorter steps. Defaults to "steps", as in the
            library.
        name: string, name of the optimizer.
        **kwargs: passed to the base optimizer if it is given by name.

    Raises:
        ValueError: on a value out of range, an unknown base optimizer, one that has trained or is
            wrapped already, or one that needs two passes; use
            `Helen(base_optimizer=FrequencyAware(...))` instead.

    Reference: F2A (frequency-aware Adagrad) of Google's library for SparseCore, jax-tpu-embedding
    (`F2AOptimizerSpec`): with base optimizer `Adagrad(initial_accumulator_value=0.1, epsilon=0)` it
    is that rule without its L1 and L2 terms. It is not published, and the library has no other base
    optimizers.

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
                f"gradient per step. Received: {type(base).__name__}. With SAM or Helen, use "
                "`Helen(base_optimizer=FrequencyAware(...))`."
            )
        self.wrap_rule(FrequencyAwareRate, **settings(rule))

    def get_config(self):
        return {**super().get_config(), **settings(self.rule)}

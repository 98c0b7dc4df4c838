"""AdamW and AdagradW: decoupled weight decay, optionally with row counters."""

from __future__ import annotations

from typing import Unpack

import keras

from tf_helen.core import checks
from tf_helen.optimizers.arguments import LearningRate, SharedArguments
from tf_helen.optimizers.row_sparse import RowSparseOptimizer
from tf_helen.rules import AdagradRule, AdamRule, CounterDecay, Rule


@keras.saving.register_keras_serializable(package="tf_helen")
class AdamW(RowSparseOptimizer):
    """Row-sparse Adam with decoupled weight decay on the rows of the batch.

    `e <- (1 - lr * weight_decay * f) e`, then Adam's step. Absent rows do not decay (but see
    `tf_helen.AdamAR`). f is 1 or, with `counter_halflife=h`, `h / c`, where c is the recent count
    of the row, `c <- 1 + 2^(-(t - s) / h) c`: rare rows decay more, as in FBGEMM's counter-based
    regularization. Memory: two slots of the size of the table; with counters, 8 bytes per row.

    Args:
        learning_rate: float, schedule or callable. Defaults to 1e-3.
        weight_decay: float, not negative, strength of the decay. Defaults to 4e-3.
        counter_halflife: float, at least 1, half-life h in steps. Defaults to `None`: no counters.
        beta_1, beta_2, epsilon, amsgrad, epsilon_hat: see `tf_helen.Adam`.
        name: string, name of the optimizer.
        **kwargs: see `tf_helen.RowSparseOptimizer`. `exclude_from_weight_decay` works as in Keras.

    Raises:
        ValueError: on a negative `weight_decay` or a `counter_halflife` below 1.

    Reference: Loshchilov, Hutter, ICLR 2019, Algorithm 2; FBGEMM's rowwise Adagrad with counter
    (decoupled mode) for `counter_halflife`.

    Example:
        >>> w = keras.Variable([1.0])
        >>> tf_helen.AdamW(0.5, weight_decay=0.1).apply([tf.constant([2.0])], [w])
        >>> round(float(w.numpy()[0]), 4)
        0.45
    """

    def __init__(
        self,
        learning_rate: LearningRate = 1e-3,
        *,
        weight_decay: float = 4e-3,
        counter_halflife: float | None = None,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        amsgrad: bool = False,
        epsilon_hat: bool = False,
        name: str = "adamw",
        **kwargs: Unpack[SharedArguments],
    ):
        weight_decay = checks.number_in_range("weight_decay", weight_decay)
        rule: Rule = AdamRule(
            beta_1=beta_1,
            beta_2=beta_2,
            epsilon=epsilon,
            amsgrad=amsgrad,
            epsilon_hat=epsilon_hat,
        )
        rule = CounterDecay(rule, counter_halflife=counter_halflife)
        super().__init__(learning_rate, rule=rule, weight_decay=weight_decay, name=name, **kwargs)


@keras.saving.register_keras_serializable(package="tf_helen")
class AdagradW(RowSparseOptimizer):
    """Row-sparse Adagrad with decoupled weight decay on the rows of the batch.

    `e <- (1 - lr * weight_decay * f) e`, then Adagrad's step; f as in `tf_helen.AdamW`. Memory: one
    slot of the size of the table; with counters, 8 bytes per row.

    Args:
        learning_rate: float, schedule or callable. Defaults to 1e-2.
        weight_decay: float, not negative, strength of the decay. Defaults to 4e-3.
        counter_halflife: see `tf_helen.AdamW`. Defaults to `None`.
        initial_accumulator_value, epsilon, epsilon_inside: see `tf_helen.Adagrad`.
        name: string, name of the optimizer.
        **kwargs: see `tf_helen.RowSparseOptimizer`.

    Raises:
        ValueError: as `tf_helen.AdamW` and `tf_helen.Adagrad`.

    Reference: FBGEMM's rowwise Adagrad with counter, decoupled mode; here per weight.

    Example:
        >>> w = keras.Variable([1.0])
        >>> tf_helen.AdagradW(0.5, weight_decay=0.1).apply([tf.constant([2.0])], [w])
        >>> round(float(w.numpy()[0]), 4)
        0.45
    """

    def __init__(
        self,
        learning_rate: LearningRate = 1e-2,
        *,
        weight_decay: float = 4e-3,
        counter_halflife: float | None = None,
        initial_accumulator_value: float = 0.0,
        epsilon: float = 1e-10,
        epsilon_inside: bool = False,
        name: str = "adagradw",
        **kwargs: Unpack[SharedArguments],
    ):
        weight_decay = checks.number_in_range("weight_decay", weight_decay)
        rule: Rule = AdagradRule(
            initial_accumulator_value=initial_accumulator_value,
            epsilon=epsilon,
            epsilon_inside=epsilon_inside,
        )
        rule = CounterDecay(rule, counter_halflife=counter_halflife)
        super().__init__(learning_rate, rule=rule, weight_decay=weight_decay, name=name, **kwargs)

"""Group Adam and its variants: Adam with rows that become exactly zero."""

from __future__ import annotations

from typing import Unpack

import keras

from tf_helen.optimizers.adam import check_amsgrad
from tf_helen.optimizers.arguments import CommonArguments, LearningRate
from tf_helen.optimizers.row_sparse import RowSparseOptimizer
from tf_helen.rules import AdamRule, GroupLasso, IntervalDecay, Rule
from tf_helen.rules.interval_decay import Alpha
from tf_helen.rules.strengths import Strength


@keras.saving.register_keras_serializable(package="tf_helen")
class GroupAdam(RowSparseOptimizer):
    """Adam with sparse group lasso inside the update, so that whole rows become exactly zero.

    ```
    u = m * sqrt(1 - beta_2^t) / (1 - beta_1^t)          D = sqrt(v) + epsilon
    z <- z + lr * u - (D - D_before) * e                 # D_before: 0 at a row's first update
    s  = clip(z, -lr * l1, lr * l1) - z
    e <- 0                                               if ||s|| <= lr * sqrt(d) * l21
         (1 - lr * sqrt(d) * l21 / ||s||) * s / (D + 2 * lr * l2)    otherwise
    ```

    d is the width of the row. With all strengths 0, it is `Adam(epsilon_hat=True)`, also with a
    learning-rate schedule. A row at zero keeps its slots and can become non-zero again. Only rows
    of the batch change. A group is a row of a table, or an input row of a dense kernel; biases are
    not regularized. Memory: three slots of the size of the table.

    The released kernel (tfplus) omits `epsilon * e` for rows that first occur after step 1, which
    sets rows with tiny gradients to zero; here, the first update of a row is not special. Strengths
    depend on the scale of the loss, because they are compared with `sqrt(v) * |e|`, where v is the
    squared gradient. Start with l21 = 1e-5 for a mean loss over batches of thousands of rows, and
    monitor the share of zero rows.

    Args:
        learning_rate: float, schedule or callable. Defaults to 1e-3.
        l1: float, strength of the sum of absolute values; or dict from a pattern in the path of a
            variable, such as "embedding", to float. The first match counts. Defaults to 0.
        l21: as `l1`, strength of the sum of row norms. Defaults to 0.
        l2: as `l1`, strength of the sum of squares. Defaults to 0.
        beta_1, beta_2, epsilon, amsgrad: see `tf_helen.Adam`.
        epsilon_hat: boolean; if `False`, `D = sqrt(v / (1 - beta_2^t)) + epsilon`, the default of
            `tf_helen.Adam`. Defaults to `True`.
        name: string, name of the optimizer.
        **kwargs: see `tf_helen.RowSparseOptimizer`.

    Raises:
        ValueError: on a negative strength; at the first step, on a pattern that matches no
            variable; as `tf_helen.Adam`.

    Reference: Yue et al., ECML PKDD 2021 (arXiv 2107.14432), Algorithm 1.

    Example:
        >>> table = keras.Variable([[0.01, 0.01], [1.0, 1.0]])
        >>> optimizer = tf_helen.GroupAdam(0.1, l21=0.01)
        >>> gradient = tf.IndexedSlices(tf.constant([[0.1, 0.1], [0.1, 0.1]]), tf.constant([0, 1]))
        >>> optimizer.apply([gradient], [table])
        >>> (table.numpy() == 0).all(axis=1).tolist()
        [True, False]
    """

    def __init__(
        self,
        learning_rate: LearningRate = 1e-3,
        *,
        l1: Strength = 0.0,
        l21: Strength = 0.0,
        l2: Strength = 0.0,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        amsgrad: bool = False,
        epsilon_hat: bool = True,
        name: str = "group_adam",
        **kwargs: Unpack[CommonArguments],
    ):
        rule: Rule = AdamRule(
            beta_1=beta_1,
            beta_2=beta_2,
            epsilon=epsilon,
            amsgrad=amsgrad,
            epsilon_hat=epsilon_hat,
        )
        rule = GroupLasso(rule, l1=l1, l21=l21, l2=l2)
        super().__init__(learning_rate, rule=rule, name=name, **kwargs)


@keras.saving.register_keras_serializable(package="tf_helen")
class GroupAMSGrad(RowSparseOptimizer):
    """AMSGrad with sparse group lasso inside the update.

    `tf_helen.GroupAdam` with the running maximum of v instead of v. With all strengths 0, it is
    `AMSGrad(epsilon_hat=True)`. Memory: four slots of the size of the table.

    Args:
        learning_rate: float, schedule or callable. Defaults to 1e-3.
        l1, l21, l2: strengths, see `tf_helen.GroupAdam`. Default to 0.
        beta_1, beta_2, epsilon: see `tf_helen.Adam`.
        amsgrad: `True`, the only allowed value; part of saved configurations.
        epsilon_hat: as `tf_helen.GroupAdam`. Defaults to `True`.
        name: string, name of the optimizer.
        **kwargs: see `tf_helen.RowSparseOptimizer`.

    Raises:
        ValueError: as `tf_helen.GroupAdam`.

    Reference: Yue et al., ECML PKDD 2021 (arXiv 2107.14432), Algorithm 1.

    Example:
        >>> w = keras.Variable([[1.0]])
        >>> tf_helen.GroupAMSGrad(0.5, l1=1e-3).apply([tf.constant([[2.0]])], [w])
        >>> round(float(w.numpy()[0, 0]), 2)
        0.49
    """

    def __init__(
        self,
        learning_rate: LearningRate = 1e-3,
        *,
        l1: Strength = 0.0,
        l21: Strength = 0.0,
        l2: Strength = 0.0,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        amsgrad: bool = True,
        epsilon_hat: bool = True,
        name: str = "group_amsgrad",
        **kwargs: Unpack[CommonArguments],
    ):
        check_amsgrad("GroupAMSGrad", amsgrad)
        rule: Rule = AdamRule(
            beta_1=beta_1,
            beta_2=beta_2,
            epsilon=epsilon,
            amsgrad=amsgrad,
            epsilon_hat=epsilon_hat,
        )
        rule = GroupLasso(rule, l1=l1, l21=l21, l2=l2)
        super().__init__(learning_rate, rule=rule, name=name, **kwargs)


@keras.saving.register_keras_serializable(package="tf_helen")
class GroupAdamAR(RowSparseOptimizer):
    """AdamAR with sparse group lasso: absent rows decay, and rows become exactly zero.

    The update of `tf_helen.GroupAdam` after the decay of `tf_helen.AdamAR`. With `alpha=0`, it is
    GroupAdam; with all strengths 0, it is `AdamAR(epsilon_hat=True)`. Memory: three slots of the
    size of the table and 8 bytes per row.

    Args:
        learning_rate: float, schedule or callable. Defaults to 1e-3.
        alpha, decay, decay_unseen, sweep_every, steps_per_epoch, clock, time_unit: see
            `tf_helen.AdamAR`.
        l1, l21, l2: strengths, see `tf_helen.GroupAdam`. Default to 0.
        beta_1, beta_2, epsilon, amsgrad: see `tf_helen.Adam`.
        epsilon_hat: as `tf_helen.GroupAdam`. Defaults to `True`.
        name: string, name of the optimizer.
        **kwargs: see `tf_helen.RowSparseOptimizer`.

    Raises:
        ValueError: as `tf_helen.AdamAR` and `tf_helen.GroupAdam`.

    Reference: Li, Lyu, ICLR 2026 (OpenReview QFH5mwP9oH), Algorithm 1; Yue et al., ECML PKDD 2021,
    Algorithm 1. The combination is not published.

    Example:
        >>> table = keras.Variable([[1.0], [1.0]])
        >>> optimizer = tf_helen.GroupAdamAR(learning_rate=0.0, alpha=0.5, l21=1e-3)
        >>> for _ in range(3):
        ...     optimizer.apply([tf.IndexedSlices(tf.ones([1, 1]), tf.constant([0]))], [table])
        >>> optimizer.finalize_variable_values([table])
        >>> table.numpy().ravel().tolist()
        [1.0, 0.0]
    """

    def __init__(
        self,
        learning_rate: LearningRate = 1e-3,
        *,
        alpha: Alpha = 1e-4,
        decay: str = "continuous",
        decay_unseen: bool = True,
        l1: Strength = 0.0,
        l21: Strength = 0.0,
        l2: Strength = 0.0,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        amsgrad: bool = False,
        epsilon_hat: bool = True,
        sweep_every: int = 100,
        steps_per_epoch: int | None = None,
        clock: str = "steps",
        time_unit: float = 1.0,
        name: str = "group_adam_ar",
        **kwargs: Unpack[CommonArguments],
    ):
        rule: Rule = AdamRule(
            beta_1=beta_1,
            beta_2=beta_2,
            epsilon=epsilon,
            amsgrad=amsgrad,
            epsilon_hat=epsilon_hat,
        )
        rule = IntervalDecay(rule, alpha=alpha, decay=decay, decay_unseen=decay_unseen)
        rule = GroupLasso(rule, l1=l1, l21=l21, l2=l2)
        super().__init__(
            learning_rate,
            rule=rule,
            sweep_every=sweep_every,
            steps_per_epoch=steps_per_epoch,
            clock=clock,
            time_unit=time_unit,
            name=name,
            **kwargs,
        )

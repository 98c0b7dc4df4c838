"""Group Adam and its relatives: Adam whose rows become exactly zero."""

from __future__ import annotations

from typing import Unpack

import keras

from tf_helen.optimizers.adam import check_amsgrad
from tf_helen.optimizers.arguments import CommonArguments, LearningRate
from tf_helen.optimizers.row_sparse import RowSparseOptimizer
from tf_helen.rules import AdamRule, GroupLasso, IntervalDecay
from tf_helen.rules.strengths import Strength


@keras.saving.register_keras_serializable(package="tf_helen")
class GroupAdam(RowSparseOptimizer):
    """Adam with sparse group lasso inside the update: rows that do not matter become exactly zero.

    ```
    u = m * sqrt(1 - beta_2^t) / (1 - beta_1^t)          D = sqrt(v) + epsilon
    z <- z + lr * u - (D - D_before) * e                 # D_before: 0 at a row's first update
    s  = clip(z, -lr * l1, lr * l1) - z
    e <- 0                                               if ||s|| <= lr * sqrt(d) * l21
         (1 - lr * sqrt(d) * l21 / ||s||) * s / (D + 2 * lr * l2)    otherwise
    ```

    d is the row's width. With all strengths 0 it is `Adam(epsilon_hat=True)`, under a learning-rate
    schedule too. A row at zero keeps its slots and can come back. Only rows of the batch change.
    A group is a row of a table; of a dense kernel, an input row; biases are not regularized.
    Memory: three slots like the table.

    The released kernel (tfplus) forgets `epsilon * e` of a row first seen after step 1, which
    erases it where the gradient is tiny; here a row's first update is like any other. Strengths
    are not comparable between loss scales: they act against `sqrt(v) * |e|`, v the squared
    gradient. Start with l21 = 1e-5 for a mean loss over a batch of thousands and watch the share of
    zero rows.

    Args:
        learning_rate: float, schedule or callable. Defaults to 1e-3.
        l1: strength of the sum of absolute values: a number, or a mapping from a pattern that a
            variable's path must hold, such as "embedding", to a number; the first match counts.
            Defaults to 0.
        l21: strength of the sum of row norms; as `l1`. Defaults to 0.
        l2: strength of the sum of squares; as `l1`. Defaults to 0.
        beta_1, beta_2, epsilon, amsgrad: see `tf_helen.Adam`.
        epsilon_hat: boolean; `False`: `D = sqrt(v / (1 - beta_2^t)) + epsilon`, as `tf_helen.Adam`
            by default. Defaults to `True`.
        name: string, the optimizer's name.
        **kwargs: see `tf_helen.RowSparseOptimizer`.

    Raises:
        ValueError: on a negative strength; at the first step on a pattern that is in no variable's
            path; as `tf_helen.Adam`.

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
        rule = AdamRule(
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

    As `tf_helen.GroupAdam` with the running maximum of v in place of v. With all strengths 0 it is
    `AMSGrad(epsilon_hat=True)`. Memory: four slots like the table.

    Args:
        learning_rate: float, schedule or callable. Defaults to 1e-3.
        l1, l21, l2: strengths, see `tf_helen.GroupAdam`. Default to 0.
        beta_1, beta_2, epsilon: see `tf_helen.Adam`.
        amsgrad: `True`; nothing else is allowed. It stands in configurations.
        epsilon_hat: as `tf_helen.GroupAdam`. Defaults to `True`.
        name: string, the optimizer's name.
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
        rule = AdamRule(
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

    Rows decay by their occurrence interval as in `tf_helen.AdamAR`; what is left of a row enters
    the update of `tf_helen.GroupAdam`. With `alpha=0` it is GroupAdam; with all strengths 0 it is
    `AdamAR(epsilon_hat=True)`. Memory: three slots like the table and 8 bytes per row.

    Args:
        learning_rate: float, schedule or callable. Defaults to 1e-3.
        alpha, decay, decay_unseen, sweep_every, steps_per_epoch: see `tf_helen.AdamAR`.
        l1, l21, l2: strengths, see `tf_helen.GroupAdam`. Default to 0.
        beta_1, beta_2, epsilon, amsgrad: see `tf_helen.Adam`.
        epsilon_hat: as `tf_helen.GroupAdam`. Defaults to `True`.
        name: string, the optimizer's name.
        **kwargs: see `tf_helen.RowSparseOptimizer`.

    Raises:
        ValueError: as `tf_helen.AdamAR` and `tf_helen.GroupAdam`.

    Reference: Li, Lyu, ICLR 2026 (OpenReview QFH5mwP9oH), Algorithm 1; Yue et al., ECML PKDD 2021,
    Algorithm 1. Their combination is ours.

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
        alpha: float | str = 1e-4,
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
        name: str = "group_adam_ar",
        **kwargs: Unpack[CommonArguments],
    ):
        rule = AdamRule(
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
            name=name,
            **kwargs,
        )

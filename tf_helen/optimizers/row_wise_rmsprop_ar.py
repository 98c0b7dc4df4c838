"""Row-wise RMSprop with rows that decay when they occur."""

from __future__ import annotations

from typing import Unpack

import keras

from tf_helen.optimizers.arguments import CommonArguments, LearningRate
from tf_helen.optimizers.row_sparse import RowSparseOptimizer
from tf_helen.rules import OnTouchDecay, RowWiseRMSpropRule, Rule


@keras.saving.register_keras_serializable(package="tf_helen")
class RowWiseRMSpropAR(RowSparseOptimizer):
    """RMSprop with one second moment per row, and decay of rows when they occur.

    For the rows of the batch, with last_k the last step with row k in its batch:
    ```
    I      = t - last_k                              # 1 at the first occurrence
    lambda = min(1, lr * alpha * I)
    v_k <- beta v_k + (1 - beta) mean(g_k^2)
    e_k <- max(min_shrinkage, 1 - lambda) e_k - lr * g_k / (sqrt(v_k) + epsilon)
    ```

    FBGEMM's version of AdamAR, for tables that are too large for moments per weight. It differs
    from `tf_helen.AdamAR` in three ways: a row decays when it occurs, after the forward pass has
    read it; the decay is multiplied by the learning rate and bounded by `min_shrinkage`; and rows
    that occur in every step decay too, with I = 1. v has no bias correction, so the first step of a
    row is `sqrt(1 / (1 - beta))` times as long as later ones. There are no published results; decay
    on occurrence with Adam (`AdamAR(decay="on_occurrence")`) was worse than Adam.

    Dense weights do not decay. A row of a dense kernel is an input row; each number of a bias is a
    row. Memory: 8 bytes per row, for any width.

    Args:
        learning_rate: float, schedule or callable. Defaults to 1e-2.
        alpha: float, not negative, decay per step of absence and unit of the learning rate.
            Defaults to 1e-2, which is 1e-4 per step with the default learning rate; FBGEMM's
            default is 0.
        min_shrinkage: float in [0, 1], minimum factor of a decay. Defaults to 0.1.
        beta: float in [0, 1), decay of v. Defaults to 0.99.
        epsilon: float, not negative. Defaults to 1e-8.
        name: string, name of the optimizer.
        **kwargs: see `tf_helen.RowSparseOptimizer`.

    Raises:
        ValueError: on a value out of range.

    Reference: FBGEMM 1.9, ROWWISE_RMSPROP_AR, which cites the appendix of Li, Lyu, ICLR 2026
    (OpenReview QFH5mwP9oH).

    Example:
        >>> table = keras.Variable([[1.0], [1.0]])
        >>> optimizer = tf_helen.RowWiseRMSpropAR(0.5, alpha=0.2)
        >>> gradient = tf.IndexedSlices(tf.zeros([1, 1]), tf.constant([0]))
        >>> for _ in range(2):
        ...     optimizer.apply([gradient], [table])
        >>> [round(float(x), 4) for x in table.numpy().ravel()]  # row 0: (1 - .5 * .2)^2
        [0.81, 1.0]
    """

    def __init__(
        self,
        learning_rate: LearningRate = 1e-2,
        *,
        alpha: float = 1e-2,
        min_shrinkage: float = 0.1,
        beta: float = 0.99,
        epsilon: float = 1e-8,
        name: str = "row_wise_rmsprop_ar",
        **kwargs: Unpack[CommonArguments],
    ):
        rule: Rule = RowWiseRMSpropRule(beta=beta, epsilon=epsilon)
        rule = OnTouchDecay(rule, alpha=alpha, min_shrinkage=min_shrinkage)
        super().__init__(learning_rate, rule=rule, name=name, **kwargs)

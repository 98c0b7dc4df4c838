"""Row-wise Adagrad: one accumulator per row."""

from __future__ import annotations

from typing import Unpack

import keras

from tf_helen.optimizers.arguments import CommonArguments, LearningRate
from tf_helen.optimizers.row_sparse import RowSparseOptimizer
from tf_helen.rules import RowWiseAdagradRule


@keras.saving.register_keras_serializable(package="tf_helen")
class RowWiseAdagrad(RowSparseOptimizer):
    """Adagrad with one accumulator per row, of the mean square of its gradient.

    ```
    G_k <- G_k + mean(g_k^2)
    e_k <- e_k - lr * g_k / (sqrt(G_k) + epsilon)
    ```

    DLRM and TorchRec train tables with it. The state takes 4 bytes per row, for any width. All
    weights of a row have the same learning rate. A row of a dense kernel is an input row; each
    number of a bias is a row.

    Args:
        learning_rate: float, schedule or callable. Defaults to 1e-2.
        initial_accumulator_value: float, not negative, initial value of G. Defaults to 0.
        epsilon: float, not negative, keeps the quotient finite. Defaults to 1e-10.
        name: string, name of the optimizer.
        **kwargs: see `tf_helen.RowSparseOptimizer`.

    Raises:
        ValueError: on a negative `initial_accumulator_value` or `epsilon`.

    Reference: Mudigere et al., ISCA 2022 (arXiv 2104.05158); FBGEMM's EXACT_ROWWISE_ADAGRAD.

    Example:
        >>> table = keras.Variable(np.zeros((2, 2)))
        >>> slices = tf.IndexedSlices(tf.constant([[7.0, 1.0]]), tf.constant([1]))
        >>> tf_helen.RowWiseAdagrad(1.0).apply([slices], [table])  # sqrt(mean(49, 1)) = 5
        >>> [[round(float(x), 4) for x in row] for row in table.numpy()]
        [[0.0, 0.0], [-1.4, -0.2]]
    """

    def __init__(
        self,
        learning_rate: LearningRate = 1e-2,
        *,
        initial_accumulator_value: float = 0.0,
        epsilon: float = 1e-10,
        name: str = "row_wise_adagrad",
        **kwargs: Unpack[CommonArguments],
    ):
        rule = RowWiseAdagradRule(
            initial_accumulator_value=initial_accumulator_value, epsilon=epsilon
        )
        super().__init__(learning_rate, rule=rule, name=name, **kwargs)

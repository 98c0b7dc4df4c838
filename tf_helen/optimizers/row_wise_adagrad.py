"""Row-wise Adagrad: one accumulator per row."""

from __future__ import annotations

import keras
import tensorflow as tf

from tf_helen import checks
from tf_helen.optimizers.row_sparse import RowSparseOptimizer
from tf_helen.optimizers.rule import Direction


@keras.saving.register_keras_serializable(package="tf_helen")
class RowWiseAdagrad(RowSparseOptimizer):
    """Adagrad with one accumulator per row, the mean square of the row's gradient.

    ```
    G_k <- G_k + mean(g_k^2)
    e_k <- e_k - lr * g_k / (sqrt(G_k) + epsilon)
    ```

    What DLRM and TorchRec train tables with: 4 bytes of state per row, whatever its width. All of
    a row moves by one rate; of a dense kernel a row is an input row, of a bias each number.

    Args:
        learning_rate: step size.
        initial_accumulator_value: where G starts.
        epsilon: keeps the quotient finite.
        name: the optimizer's name.
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
        learning_rate=1e-2,
        initial_accumulator_value=0.0,
        epsilon=1e-10,
        *,
        name="row_wise_adagrad",
        **kwargs,
    ):
        super().__init__(learning_rate, name=name, **kwargs)
        self.initial_accumulator_value = checks.number_in_range(
            "initial_accumulator_value", initial_accumulator_value
        )
        self.epsilon = checks.number_in_range("epsilon", epsilon)

    def row_slots(self):
        return {"row_accumulator": self.initial_accumulator_value}

    def direction(self, gradient, slots, step):
        within_row = list(range(1, gradient.shape.rank or 0))
        squares = tf.reduce_mean(tf.square(gradient), axis=within_row, keepdims=True)
        accumulator = slots["row_accumulator"] + squares
        root = tf.sqrt(accumulator) + self.epsilon
        return Direction(gradient, root, {"row_accumulator": accumulator})

    def get_config(self):
        return {
            **super().get_config(),
            "initial_accumulator_value": self.initial_accumulator_value,
            "epsilon": self.epsilon,
        }

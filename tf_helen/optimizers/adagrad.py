"""Adagrad for tables and dense weights."""

from __future__ import annotations

from typing import Unpack

import keras

from tf_helen.optimizers.arguments import CommonArguments, LearningRate
from tf_helen.optimizers.row_sparse import RowSparseOptimizer
from tf_helen.rules import AdagradRule


@keras.saving.register_keras_serializable(package="tf_helen")
class Adagrad(RowSparseOptimizer):
    """Row-sparse Adagrad, which accumulates the square of the **summed** gradient.

    ```
    G <- G + g^2
    e <- e - lr * g / (sqrt(G) + epsilon)          # epsilon_inside: g / sqrt(G + epsilon)
    ```

    Args:
        learning_rate: float, schedule or callable. Defaults to 1e-2.
        initial_accumulator_value: float, not negative, initial value of G. Defaults to 0.
        epsilon: float, not negative, keeps the quotient finite. Defaults to 1e-10.
        epsilon_inside: boolean, whether to add epsilon under the root, as in Keras (which has
            epsilon 1e-7 and initial value 0.1). Defaults to `False`.
        name: string, name of the optimizer.
        **kwargs: see `tf_helen.RowSparseOptimizer`.

    Raises:
        ValueError: on a negative `initial_accumulator_value` or `epsilon`.

    Reference: Duchi, Hazan, Singer, JMLR 2011, section 1.1 (diagonal form).

    Example:
        >>> table = keras.Variable([[1.0], [1.0]])
        >>> slices = tf.IndexedSlices(tf.constant([[2.0], [1.0]]), tf.constant([0, 0]))
        >>> tf_helen.Adagrad(0.5).apply([slices], [table])
        >>> table.numpy().ravel().tolist()
        [0.5, 1.0]
    """

    def __init__(
        self,
        learning_rate: LearningRate = 1e-2,
        *,
        initial_accumulator_value: float = 0.0,
        epsilon: float = 1e-10,
        epsilon_inside: bool = False,
        name: str = "adagrad",
        **kwargs: Unpack[CommonArguments],
    ):
        rule = AdagradRule(
            initial_accumulator_value=initial_accumulator_value,
            epsilon=epsilon,
            epsilon_inside=epsilon_inside,
        )
        super().__init__(learning_rate, rule=rule, name=name, **kwargs)

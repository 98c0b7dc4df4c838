"""Adagrad for tables and dense weights."""

from __future__ import annotations

import keras
import tensorflow as tf

from tf_helen import checks
from tf_helen.optimizers.row_sparse import RowSparseOptimizer
from tf_helen.optimizers.rule import Direction


@keras.saving.register_keras_serializable(package="tf_helen")
class Adagrad(RowSparseOptimizer):
    """Row-sparse Adagrad: the square of the **summed** gradient is accumulated.

    ```
    G <- G + g^2
    e <- e - lr * g / (sqrt(G) + epsilon)          # epsilon_inside: g / sqrt(G + epsilon)
    ```

    Args:
        learning_rate: step size.
        initial_accumulator_value: where G starts.
        epsilon: keeps the quotient finite.
        epsilon_inside: put epsilon under the root, as Keras does (there 1e-7, with G from 0.1).
        name: the optimizer's name.
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
        learning_rate=1e-2,
        initial_accumulator_value=0.0,
        epsilon=1e-10,
        epsilon_inside=False,
        *,
        name="adagrad",
        **kwargs,
    ):
        super().__init__(learning_rate, name=name, **kwargs)
        self.initial_accumulator_value = checks.number_in_range(
            "initial_accumulator_value", initial_accumulator_value
        )
        self.epsilon = checks.number_in_range("epsilon", epsilon)
        self.epsilon_inside = bool(epsilon_inside)

    def slots(self):
        return {"accumulator": self.initial_accumulator_value}

    def direction(self, gradient, slots, step):
        accumulator = slots["accumulator"] + tf.square(gradient)
        if self.epsilon_inside:
            root = tf.sqrt(accumulator + self.epsilon)
        else:
            root = tf.sqrt(accumulator) + self.epsilon
        return Direction(gradient, root, {"accumulator": accumulator})

    def get_config(self):
        return {
            **super().get_config(),
            "initial_accumulator_value": self.initial_accumulator_value,
            "epsilon": self.epsilon,
            "epsilon_inside": self.epsilon_inside,
        }

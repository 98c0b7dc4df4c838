"""Adam and AMSGrad for tables and dense weights."""

from __future__ import annotations

from typing import Unpack

import keras

from tf_helen.optimizers.arguments import CommonArguments, LearningRate
from tf_helen.optimizers.row_sparse import RowSparseOptimizer
from tf_helen.rules import AdamRule


@keras.saving.register_keras_serializable(package="tf_helen")
class Adam(RowSparseOptimizer):
    """Row-sparse Adam with moments of the **summed** gradient, for the rows of the batch only.

    ```
    m <- beta_1 m + (1 - beta_1) g          v <- beta_2 v + (1 - beta_2) g^2
    e <- e - lr * (m / (1 - beta_1^t)) / (sqrt(v / (1 - beta_2^t)) + epsilon)
    ```

    t is the step of the optimizer, not of the row. The bias correction of a row that first occurs
    late is therefore close to 1.

    Args:
        learning_rate: float, schedule or callable. Defaults to 1e-3.
        beta_1: float in [0, 1), decay of the first moment. Defaults to 0.9.
        beta_2: float in [0, 1), decay of the second moment. Defaults to 0.999.
        epsilon: float, not negative, added to the root of the corrected v, as in the paper.
            Defaults to 1e-8.
        amsgrad: boolean, whether to use the running maximum of v. Defaults to `False`.
        epsilon_hat: boolean, whether to divide by `sqrt(v) + epsilon` before the bias correction,
            as TensorFlow 1 and tfplus do. Epsilon is then multiplied by `1 / sqrt(1 - beta_2^t)`.
            Defaults to `False`.
        name: string, name of the optimizer.
        **kwargs: see `tf_helen.RowSparseOptimizer`.

    Raises:
        ValueError: on a beta outside [0, 1) or a negative `epsilon`.

    Reference: Kingma, Ba, ICLR 2015, Algorithm 1; Reddi et al., ICLR 2018 (amsgrad).

    Example:
        >>> table = keras.Variable([[1.0], [1.0]])
        >>> slices = tf.IndexedSlices(tf.constant([[2.0], [1.0]]), tf.constant([0, 0]))
        >>> tf_helen.Adam(0.5).apply([slices], [table])
        >>> table.numpy().ravel().round(4).tolist()
        [0.5, 1.0]
    """

    def __init__(
        self,
        learning_rate: LearningRate = 1e-3,
        *,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        amsgrad: bool = False,
        epsilon_hat: bool = False,
        name: str = "adam",
        **kwargs: Unpack[CommonArguments],
    ):
        rule = AdamRule(
            beta_1=beta_1,
            beta_2=beta_2,
            epsilon=epsilon,
            amsgrad=amsgrad,
            epsilon_hat=epsilon_hat,
        )
        super().__init__(learning_rate, rule=rule, name=name, **kwargs)


@keras.saving.register_keras_serializable(package="tf_helen")
class AMSGrad(RowSparseOptimizer):
    """Row-sparse Adam that divides by the running maximum of v.

    The same as `tf_helen.Adam(amsgrad=True)`.

    Args:
        learning_rate: float, schedule or callable. Defaults to 1e-3.
        beta_1: float in [0, 1), decay of the first moment. Defaults to 0.9.
        beta_2: float in [0, 1), decay of the second moment. Defaults to 0.999.
        epsilon: float, not negative. Defaults to 1e-8.
        amsgrad: `True`, the only allowed value; part of saved configurations.
        epsilon_hat: see `tf_helen.Adam`. Defaults to `False`.
        name: string, name of the optimizer.
        **kwargs: see `tf_helen.RowSparseOptimizer`.

    Raises:
        ValueError: as `tf_helen.Adam`, and if `amsgrad` is `False`.

    Reference: Reddi et al., ICLR 2018, Algorithm 2.

    Example:
        >>> w = keras.Variable([1.0])
        >>> tf_helen.AMSGrad(0.5).apply([tf.constant([2.0])], [w])
        >>> round(float(w.numpy()[0]), 4)
        0.5
    """

    def __init__(
        self,
        learning_rate: LearningRate = 1e-3,
        *,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        amsgrad: bool = True,
        epsilon_hat: bool = False,
        name: str = "amsgrad",
        **kwargs: Unpack[CommonArguments],
    ):
        check_amsgrad("AMSGrad", amsgrad)
        rule = AdamRule(
            beta_1=beta_1,
            beta_2=beta_2,
            epsilon=epsilon,
            amsgrad=amsgrad,
            epsilon_hat=epsilon_hat,
        )
        super().__init__(learning_rate, rule=rule, name=name, **kwargs)


def check_amsgrad(class_name: str, amsgrad: bool) -> None:
    """Raises `ValueError` if `amsgrad` is `False`."""
    if not amsgrad:
        raise ValueError(
            f"`amsgrad` of {class_name} must be True. Received: amsgrad={amsgrad!r}. Use "
            f"`tf_helen.{class_name.replace('AMSGrad', 'Adam')}`."
        )

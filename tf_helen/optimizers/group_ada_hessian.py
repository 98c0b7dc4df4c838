"""Group AdaHessian: AdaHessian whose rows become exactly zero."""

from __future__ import annotations

import keras

from tf_helen.optimizers.ada_hessian import AdaHessian
from tf_helen.optimizers.sparse_group_lasso import SparseGroupLasso


@keras.saving.register_keras_serializable(package="tf_helen")
class GroupAdaHessian(SparseGroupLasso, AdaHessian):
    """AdaHessian with sparse group lasso inside the update.

    As `tf_helen.GroupAdam` with v from the squared Hessian diagonal. With all strengths 0 it is
    `AdaHessian(epsilon_hat=True)`. Memory: three slots like the table.

    Args:
        learning_rate: step size.
        l1, l21, l2: strengths, see `tf_helen.GroupAdam`.
        epsilon_hat: as `tf_helen.GroupAdam`.
        **kwargs: see `tf_helen.AdaHessian`.

    Raises:
        ValueError: as `tf_helen.AdaHessian` and `tf_helen.GroupAdam`.

    Reference: Yue et al., ECML PKDD 2021 (arXiv 2107.14432), section 3; Yao et al., AAAI 2021.

    Example:
        >>> w = keras.Variable([[0.01, 0.01], [3.0, 3.0]])
        >>> loss = lambda: tf.reduce_sum(w.value**2) / 2
        >>> _ = tf_helen.GroupAdaHessian(0.1, l21=0.1).minimize(loss, [w])
        >>> (w.numpy() == 0).all(axis=1).tolist()
        [True, False]
    """

    def __init__(
        self, learning_rate=0.15, *args, epsilon_hat=True, name="group_ada_hessian", **kwargs
    ):
        super().__init__(learning_rate, *args, epsilon_hat=epsilon_hat, name=name, **kwargs)

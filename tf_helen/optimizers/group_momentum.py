"""Group Momentum: SGD with momentum whose rows become exactly zero."""

from __future__ import annotations

import keras

from tf_helen.optimizers.sgd import Momentum
from tf_helen.optimizers.sparse_group_lasso import SparseGroupLasso


@keras.saving.register_keras_serializable(package="tf_helen")
class GroupMomentum(SparseGroupLasso, Momentum):
    """SGD with momentum and sparse group lasso inside the update.

    As `tf_helen.GroupAdam` with u the moment and `D = 1`. With all strengths 0 it is
    `tf_helen.Momentum`. Memory: two slots like the table.

    Args:
        learning_rate: step size.
        momentum, nesterov: as `tf_helen.Momentum`.
        l1, l21, l2: strengths, see `tf_helen.GroupAdam`.
        **kwargs: see `tf_helen.Momentum`.

    Raises:
        ValueError: on a negative strength; as `tf_helen.Momentum`.

    Reference: Yue et al., ECML PKDD 2021 (arXiv 2107.14432), section 3.

    Example:
        >>> table = keras.Variable([[0.01, 0.01], [1.0, 1.0]])
        >>> gradient = tf.IndexedSlices(tf.ones([2, 2]), tf.constant([0, 1]))
        >>> tf_helen.GroupMomentum(0.01, l21=1.0).apply([gradient], [table])
        >>> (table.numpy() == 0).all(axis=1).tolist()
        [True, False]
    """

    def __init__(self, learning_rate=1e-2, *args, name="group_momentum", **kwargs):
        super().__init__(learning_rate, *args, name=name, **kwargs)

"""Group Adagrad: Adagrad whose rows become exactly zero."""

from __future__ import annotations

import keras

from tf_helen.optimizers.adagrad import Adagrad
from tf_helen.optimizers.sparse_group_lasso import SparseGroupLasso


@keras.saving.register_keras_serializable(package="tf_helen")
class GroupAdagrad(SparseGroupLasso, Adagrad):
    """Adagrad with sparse group lasso inside the update.

    As `tf_helen.GroupAdam` with `u = g` and `D = sqrt(G) + epsilon`, G the sum of squared
    gradients. With all strengths 0 it is `tf_helen.Adagrad`. Unlike `tf_helen.GroupFTRL` it starts
    from the initial rows. Memory: two slots like the table.

    Args:
        learning_rate: step size.
        initial_accumulator_value, epsilon, epsilon_inside: as `tf_helen.Adagrad`.
        l1, l21, l2: strengths, see `tf_helen.GroupAdam`.
        **kwargs: see `tf_helen.Adagrad`.

    Raises:
        ValueError: on a negative strength; as `tf_helen.Adagrad`.

    Reference: Yue et al., ECML PKDD 2021 (arXiv 2107.14432), section 3.

    Example:
        >>> table = keras.Variable([[0.01, 0.01], [1.0, 1.0]])
        >>> gradient = tf.IndexedSlices(tf.constant([[0.1, 0.1], [0.1, 0.1]]), tf.constant([0, 1]))
        >>> tf_helen.GroupAdagrad(0.05, l21=0.5).apply([gradient], [table])
        >>> (table.numpy() == 0).all(axis=1).tolist()
        [True, False]
    """

    def __init__(self, learning_rate=1e-2, *args, name="group_adagrad", **kwargs):
        super().__init__(learning_rate, *args, name=name, **kwargs)

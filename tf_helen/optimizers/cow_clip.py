"""CowClip: gradient clipping by row, for large batches."""

from __future__ import annotations

from typing import Any

import keras

from tf_helen import keras_access
from tf_helen.core import replicas
from tf_helen.core.rule import Rule, settings
from tf_helen.optimizers.arguments import LearningRate
from tf_helen.optimizers.passes import Needs
from tf_helen.optimizers.row_sparse import RowSparseOptimizer
from tf_helen.optimizers.wrapping import WrappingOptimizer
from tf_helen.rules import CowClip as CowClipRule


@keras.saving.register_keras_serializable(package="tf_helen")
class CowClip(WrappingOptimizer):
    """Adaptive column-wise clipping of embedding gradients, for any optimizer of this package.

    ```
    t_k = n_k * max(ratio * ||e_k||, zeta)                    # threshold="paper"
    t_k = n_k * max(ratio * ||e_k||, ratio^2 sqrt(d) zeta)    # threshold="released"
    g_k <- g_k * t_k / max(||g_k||, t_k)
    ```

    n_k is the number of occurrences of the row in the batch, d its width. The base optimizer
    applies the clipped gradient. With CowClip, batches of 10^5 rows train like small ones. The
    paper also multiplies the learning rate of dense weights by the square root of the growth of the
    batch size, and keeps that of the embeddings (`embedding_learning_rate` of the base optimizer).
    As in the released code, tables of width 1 (the linear part) and dense weights are not clipped.
    The wrapper has no state.

    Args:
        learning_rate: float or schedule of the base optimizer. Defaults to `None`: the default of
            the base optimizer.
        base_optimizer: name or optimizer of this package, as in `CowClip(base_optimizer=AdamAR())`.
            Defaults to "adam".
        ratio: float, not negative. Defaults to 1, the paper's value.
        zeta: float, not negative, lower bound. Defaults to 1e-5, the paper's value.
        threshold: "paper", or "released" for that of the authors' training script. Defaults to
            "paper".
        coupled_weight_decay: float, not negative: `g <- g + coupled_weight_decay * e` on clipped
            tables before the clipping, as in the released code (whose Keras `l2(s)` is `2 * s`
            here); that of the base optimizer applies after the clipping. Defaults to 0.
        clip_linear: boolean, whether to clip tables of width 1. Defaults to `False`.
        name: string, name of the optimizer.
        **kwargs: passed to the base optimizer if it is given by name.

    Raises:
        ValueError: on a value out of range, an unknown base optimizer, or one that needs two
            passes; use `Helen(base_optimizer=CowClip(...))` instead.

    Reference: Zheng et al., AAAI 2023 (arXiv 2204.06240), Algorithm 1.

    Example:
        >>> table = keras.Variable([[3.0, 4.0], [3.0, 4.0]])
        >>> optimizer = tf_helen.CowClip(1.0, base_optimizer="sgd", ratio=0.1)
        >>> gradient = tf.IndexedSlices(tf.constant([[30.0, 40.0]]), tf.constant([1]))
        >>> optimizer.apply([gradient], [table])  # 50 is clipped to 0.1 * 5
        >>> [[round(float(x), 4) for x in row] for row in table.numpy()]
        [[3.0, 4.0], [2.7, 3.6]]
    """

    def __init__(
        self,
        learning_rate: LearningRate | None = None,
        *,
        base_optimizer: Any = "adam",
        ratio: float = 1.0,
        zeta: float = 1e-5,
        threshold: str = "paper",
        coupled_weight_decay: float = 0.0,
        clip_linear: bool = False,
        name: str = "cow_clip",
        **kwargs: Any,
    ):
        rule = CowClipRule(
            Rule(),  # the base optimizer has the update
            ratio=ratio,
            zeta=zeta,
            threshold=threshold,
            coupled_weight_decay=coupled_weight_decay,
            clip_linear=clip_linear,
        )
        super().__init__(learning_rate, base_optimizer, name=name, rule=rule, **kwargs)
        base = self.base_optimizer
        if not isinstance(base, RowSparseOptimizer) or base.needs is Needs.TWO_GRADIENTS:
            raise ValueError(
                "`base_optimizer` of CowClip must be an optimizer of tf_helen with one gradient "
                f"per step. Received: {type(base).__name__}. With SAM or Helen, use "
                "`Helen(base_optimizer=CowClip(...))`."
            )

    def apply(self, grads, trainable_variables=None):
        if len(grads) == 0:
            return
        self.check_trainer()
        variables = self._known_variables(grads, trainable_variables)
        grads, variables = keras_access.without_empty_gradients(self, grads, variables)
        grads = replicas.all_reduce_sum(grads)
        self.apply_blocks(self.blocks_of(grads, variables), variables)

    def get_config(self):
        return {**super().get_config(), **settings(self.rule)}

"""CowClip: gradient clipping by row, for large batches."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from tf_helen import checks, replicas
from tf_helen.optimizers.row_sparse import RowSparseOptimizer
from tf_helen.optimizers.wrapping import WrappingOptimizer
from tf_helen.rows import RowBlock, per_row, row_norms


@keras.saving.register_keras_serializable(package="tf_helen")
class CowClip(WrappingOptimizer):
    """Adaptive column-wise clipping of embedding gradients, around any optimizer of this package.

    ```
    t_k = n_k * max(ratio * ||e_k||, zeta)                    # threshold="paper"
    t_k = n_k * max(ratio * ||e_k||, ratio^2 sqrt(d) zeta)    # threshold="released"
    g_k <- g_k * t_k / max(||g_k||, t_k)
    ```

    n_k is how often the row occurs in the batch, d its width. The base optimizer takes its step
    with the clipped gradient. It lets batches of 10^5 rows train like small ones; the paper also
    scales the learning rate of dense weights by the root of the batch's growth, and leaves that of
    the embeddings (`embedding_learning_rate` of the base optimizer). Tables of width 1 (the linear
    part) and dense weights are not clipped, as in the released code. No memory of its own.

    Args:
        learning_rate: the base optimizer's; `None`: its own default.
        base_optimizer: a name or an optimizer of this package: `CowClip(base_optimizer=AdamAR())`.
        ratio: r, not negative; 1 in the paper.
        zeta: lower bound, not negative; 1e-5 in the paper.
        threshold: "paper", or "released": that of the authors' training script.
        l2: coupled L2 strength, `g <- g + l2 * e`, on the tables that are clipped and before they
            are, as the released code does (its Keras `l2(s)` is `l2=2*s` here); the base
            optimizer's own `l2` acts after the clipping.
        clip_linear: clip tables of width 1 too.
        name: the optimizer's name.
        **kwargs: passed to the base optimizer when it is given by name.

    Raises:
        ValueError: on a value out of range, an unknown base optimizer, or one that needs two
            passes itself: put CowClip inside, `Helen(base_optimizer=CowClip(...))`.

    Reference: Zheng et al., AAAI 2023 (arXiv 2204.06240), Algorithm 1.

    Example:
        >>> table = keras.Variable([[3.0, 4.0], [3.0, 4.0]])
        >>> optimizer = tf_helen.CowClip(1.0, "sgd", ratio=0.1)
        >>> gradient = tf.IndexedSlices(tf.constant([[30.0, 40.0]]), tf.constant([1]))
        >>> optimizer.apply([gradient], [table])  # 50 is clipped to 0.1 * 5
        >>> [[round(float(x), 4) for x in row] for row in table.numpy()]
        [[3.0, 4.0], [2.7, 3.6]]
    """

    def __init__(
        self,
        learning_rate: Any = None,
        base_optimizer: Any = "adam",
        ratio: float = 1.0,
        zeta: float = 1e-5,
        *,
        threshold: str = "paper",
        l2: float = 0.0,
        clip_linear: bool = False,
        name: str = "cow_clip",
        **kwargs: Any,
    ):
        super().__init__(learning_rate, base_optimizer, name=name, **kwargs)
        base = self.base_optimizer
        if not isinstance(base, RowSparseOptimizer) or base.needs == "two gradients":
            raise ValueError(
                "`base_optimizer` of CowClip must be an optimizer of tf_helen with one gradient "
                f"per step. Received: {type(base).__name__}. Around SAM or Helen put it inside: "
                "`Helen(base_optimizer=CowClip(...))`."
            )
        self.ratio = checks.number_in_range("ratio", ratio)
        self.zeta = checks.number_in_range("zeta", zeta)
        self.threshold = checks.one_of("threshold", threshold, ("paper", "released"))
        self.l2 = checks.number_in_range("l2", l2)
        self.clip_linear = bool(clip_linear)

    def clipped(self, block: RowBlock, variable: keras.Variable) -> RowBlock:
        """The block of a table's gradient, each row clipped to its threshold."""
        width = math.prod(variable.shape[1:])
        if not block.is_sparse or (width == 1 and not self.clip_linear):
            return block
        rows, values = self.rows_as_read(variable, block.ids), block.values
        if self.l2:
            values = values + self.l2 * rows
        least = self.zeta
        if self.threshold == "released":
            least = self.ratio**2 * math.sqrt(width) * self.zeta
        # the released code counts 1 for rows that only have a gradient of L2
        times = tf.cast(tf.maximum(block.counts, 1), values.dtype)
        limit = times * tf.maximum(self.ratio * row_norms(rows), least)
        norms = row_norms(values)
        share = tf.math.divide_no_nan(limit, tf.maximum(norms, limit))
        return block.with_values(values * per_row(share, values))

    def apply(self, grads, trainable_variables=None):
        if len(grads) == 0:
            return
        self.check_seam()
        variables = self._known_variables(grads, trainable_variables)
        grads, variables = self._filter_empty_gradients(grads, variables)
        grads = replicas.all_reduce_sum(grads)
        self.apply_blocks(self.blocks_of(grads, variables), variables)

    def apply_blocks(self, blocks: Sequence[RowBlock], variables):
        pairs = zip(blocks, variables, strict=True)
        super().apply_blocks([self.clipped(block, v) for block, v in pairs], variables)

    def get_config(self):
        return {
            **super().get_config(),
            "ratio": self.ratio,
            "zeta": self.zeta,
            "threshold": self.threshold,
            "l2": self.l2,
            "clip_linear": self.clip_linear,
        }

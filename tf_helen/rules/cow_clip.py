"""CowClip: gradient clipping by row, for large batches."""

from __future__ import annotations

import dataclasses
import math

import tensorflow as tf

from tf_helen.core import checks
from tf_helen.core.rows import per_row, row_norms
from tf_helen.core.rule import Combinator


@dataclasses.dataclass(frozen=True)
class CowClip(Combinator):
    """Clips the gradient of each row of a table before the wrapped rule.

    ```
    t_k = n_k * max(ratio * ||e_k||, zeta)                    # threshold="paper"
    t_k = n_k * max(ratio * ||e_k||, ratio^2 sqrt(d) zeta)    # threshold="released"
    g_k <- g_k * t_k / max(||g_k||, t_k)
    ```

    Args:
        rule: the wrapped `Rule`.
        ratio: float, not negative. Defaults to 1.
        zeta: float, not negative, lower bound. Defaults to 1e-5.
        threshold: "paper" or "released". Defaults to "paper".
        coupled_weight_decay: float c, not negative: `g <- g + c * e` before the clipping. Defaults
            to 0.
        clip_linear: boolean, whether to clip tables of width 1. Defaults to `False`.

    Source: Zheng et al., AAAI 2023 (arXiv 2204.06240), Algorithm 1.
    """

    ratio: float = 1.0
    zeta: float = 1e-5
    threshold: str = "paper"
    coupled_weight_decay: float = 0.0
    clip_linear: bool = False

    def __post_init__(self):
        decay = checks.number_in_range("coupled_weight_decay", self.coupled_weight_decay)
        self._replace(
            ratio=checks.number_in_range("ratio", self.ratio),
            zeta=checks.number_in_range("zeta", self.zeta),
            threshold=checks.one_of("threshold", self.threshold, ("paper", "released")),
            coupled_weight_decay=decay,
            clip_linear=bool(self.clip_linear),
        )

    @property
    def prepares(self):
        return True

    def prepare(self, rows, gradient, counts):
        width = math.prod(rows.shape[1:])
        if width == 1 and not self.clip_linear:
            return self.rule.prepare(rows, gradient, counts)
        if self.coupled_weight_decay:
            gradient = gradient + self.coupled_weight_decay * rows
        least = self.zeta
        if self.threshold == "released":
            least = self.ratio**2 * math.sqrt(width) * self.zeta
        # as in the released code, rows with a gradient of weight decay only count once
        times = tf.cast(tf.maximum(counts, 1), gradient.dtype)
        limit = times * tf.maximum(self.ratio * row_norms(rows), least)
        norms = row_norms(gradient)
        share = tf.math.divide_no_nan(limit, tf.maximum(norms, limit))
        return self.rule.prepare(rows, gradient * per_row(share, gradient), counts)

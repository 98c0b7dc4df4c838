"""Decay by occurrence interval: a row decays by how long it has been absent.

Every row remembers `last_step`, the step s of its last non-zero gradient. At step t the interval is
`I = t - s - 1` and the row is multiplied by `1 - min(1, alpha I)`, so after an absence of n steps
it has been multiplied by `P(n) = prod_{i=1..n} (1 - min(1, alpha i))`. Both are functions of (t, s)
alone, so nothing is done while the row is absent: whoever reads it multiplies by what is missing.
A second integer beside it, `decayed_to`, says up to which step the stored row has been decayed.
Both are columns of the row's `RowHistory`. The steps are those that train the table: while it is
frozen, or the step has other variables, no row of it decays.
"""

from __future__ import annotations

import dataclasses
import math

import tensorflow as tf

from tf_helen.core import checks
from tf_helen.core.history import RowHistory
from tf_helen.core.rows import per_row
from tf_helen.core.rule import Combinator
from tf_helen.rules.decay_table import missing_factor

_LEAST_ALPHA = 1e-9  # P(n) is tabulated; the paper's smallest alpha is 3e-7
_FORGOTTEN = 2.0**-24  # the rounding of float32: what is left no longer changes a row


@dataclasses.dataclass(frozen=True)
class IntervalDecay(Combinator):
    """Adds the decay by occurrence interval to a rule.

    Args:
        rule: the rule inside.
        alpha: float in [0, 1], decay per step of absence; "auto": the driver gives it
            (`found_alpha`), and `P(n) = exp(-alpha n (n + 1) / 2)`, which is that of
            `lambda = 1 - exp(-alpha I)` and nearly `alpha I` where that is small. Defaults to 1e-4.
        decay: "continuous", or "on_occurrence": one decay by I when the row occurs. Defaults to
            "continuous".
        decay_unseen: boolean; decay rows that have had no gradient yet. `False`: a row keeps its
            initial value until it first occurs, and is not decayed then. Defaults to `True`.

    Raises:
        ValueError: on a value out of range.

    Source: Li, Lyu, ICLR 2026 (OpenReview QFH5mwP9oH), Algorithm 1.
    """

    alpha: float | str = 1e-4
    decay: str = "continuous"
    decay_unseen: bool = True

    def __post_init__(self):
        alpha = checked_alpha(self.alpha)
        decay = checks.one_of("decay", self.decay, ("continuous", "on_occurrence"))
        if alpha == "auto" and decay == "on_occurrence":
            raise ValueError("`alpha='auto'` is for continuous decay. Received: 'on_occurrence'")
        self._replace(alpha=alpha, decay=decay, decay_unseen=bool(self.decay_unseen))

    def history(self):
        return self.rule.history() | {"last_step", "decayed_to"}

    @property
    def decays_absent_rows(self):
        return True

    def settle(self, rows, history, until, found_alpha=None):
        if self.decay == "continuous":
            factor = self.missing(history, until, rows.dtype, found_alpha)
        else:
            last_step = tf.bitcast(history["last_step"], tf.int32)
            interval = tf.cast(until, tf.int32) - 1 - last_step
            factor = 1 - tf.clip_by_value(self.alpha * tf.cast(interval, rows.dtype), 0, 1)
            factor = self._without_unseen(factor, history)
        return self.rule.settle(rows * per_row(factor, rows), history, until, found_alpha)

    def missing(
        self,
        history: RowHistory,
        until: tf.Tensor,
        dtype: tf.DType,
        found_alpha: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """`[rows]`: what stored rows must be multiplied by to be up to date at step `until`."""
        if self.alpha == "auto":
            factor = self._closed_form(history, until, dtype, found_alpha)
        else:
            factor = missing_factor(history, until, self.alpha, dtype)
        return self._without_unseen(factor, history)

    def _without_unseen(self, factor: tf.Tensor, history: RowHistory) -> tf.Tensor:
        """The factors, 1 for rows that have had no gradient yet if those do not decay."""
        if self.decay_unseen:
            return factor
        unseen = tf.equal(tf.bitcast(history["last_step"], tf.int32), 0)
        return tf.where(unseen, tf.ones_like(factor), factor)

    def _closed_form(self, history, until, dtype, alpha) -> tf.Tensor:
        """`exp(-alpha (n (n + 1) - h (h + 1)) / 2)`, n steps of absence, h of them applied."""
        last_step = tf.bitcast(history["last_step"], tf.int32)
        decayed_to = tf.bitcast(history["decayed_to"], tf.int32)
        away = tf.maximum(tf.cast(until, tf.int32) - 1 - last_step, 0)
        settled = tf.maximum(decayed_to - 1 - last_step, 0)
        # n (n + 1) - h (h + 1), without the cancellation
        more, both = tf.cast(away - settled, dtype), tf.cast(away, dtype) + tf.cast(settled, dtype)
        return tf.exp(-tf.cast(alpha, dtype) / 2 * (more * (both + 1)))


def checked_alpha(alpha: float | str) -> float | str:
    """Returns alpha as a float in [0, 1], or "auto"; else raises `ValueError`."""
    if alpha == "auto":
        return alpha
    if isinstance(alpha, str):
        raise ValueError(f"`alpha` must be a number in [0, 1] or 'auto'. Received: {alpha!r}")
    alpha = checks.number_in_range("alpha", alpha, 0, 1)
    if 0 < alpha < _LEAST_ALPHA:
        raise ValueError(f"`alpha` must be 0 or at least {_LEAST_ALPHA:g}. Received: {alpha!r}")
    return alpha


def alpha_for(steps_per_epoch: int) -> float:
    """The least alpha that makes a row which occurs once per epoch forget from one to the next.

    Such a row is absent for `n = steps_per_epoch - 1` steps, and `exp(-alpha n (n + 1) / 2)` of it
    is left. Here that is 2^-24, the rounding of float32.

    Args:
        steps_per_epoch: int, at least 1.

    Returns:
        `2 log(2^24) / (n (n + 1))`.

    Example:
        >>> round(alpha_for(563), 6)
        0.000105
    """
    return -2 * math.log(_FORGOTTEN) / max(steps_per_epoch * (steps_per_epoch - 1), 1)

"""Decay by occurrence interval: rows decay with the time that they are absent.

The record of a row has `last_step`, the step s of its last non-zero gradient. At step t the
interval is `I = t - s - 1`, and the row is multiplied by `1 - min(1, alpha I)`, so after n absent
steps its factor is `P(n) = prod_{i=1..n} (1 - min(1, alpha i))`. Both depend on (t, s) only, so the
decay can be applied when the row is read. The record also has `decayed_to`, the step up to which
the stored row is decayed. Only steps that train the table count: while the table is frozen or not
among the variables of a step, its rows do not decay.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from tf_helen.core import checks
from tf_helen.core.history import RowHistory
from tf_helen.core.rows import per_row
from tf_helen.core.rule import Combinator
from tf_helen.rules.decay_table import missing_factor

Alpha = float | str | Mapping[str, float | np.ndarray]

OTHERS = "*"  # all tables without another entry
PER_ROW = "per_row"  # in a configuration: the state of the optimizer contains the alphas
_LEAST_ALPHA = 1e-9  # P(n) is tabulated; the paper's smallest alpha is 3e-7
_FORGOTTEN = 2.0**-24  # the rounding of float32


@dataclasses.dataclass(frozen=True)
class IntervalDecay(Combinator):
    """Adds the decay by occurrence interval to a rule.

    Args:
        rule: the wrapped `Rule`.
        alpha: float in [0, 1], decay per step of absence; or "auto": the optimizer passes
            `found_alpha`, and `P(n) = exp(-alpha n (n + 1) / 2)`, the product of
            `lambda = 1 - exp(-alpha I)`, which is about `alpha I` if that is small; or a dict from
            the path of a table, the end of the path, or the names of all its fields to a float or
            an array `[rows]`; the key "*", with a float, sets all other tables. Every row then has
            its own alpha, stored in its record, and the same formula P(n). The configuration
            contains "per_row" instead of arrays. Defaults to 1e-4.
        decay: "continuous", or "on_occurrence" for a single decay by I when the row occurs.
            Defaults to "continuous".
        decay_unseen: boolean, whether to decay rows that have had no gradient yet. If `False`, a
            row keeps its initial value until it first occurs. Defaults to `True`.

    Raises:
        ValueError: on a value out of range.

    Source: Li, Lyu, ICLR 2026 (OpenReview QFH5mwP9oH), Algorithm 1.
    """

    alpha: Alpha = 1e-4
    decay: str = "continuous"
    decay_unseen: bool = True
    # Checked values, which the optimizer writes into its records; not part of a configuration.
    row_alphas: Mapping[str, np.ndarray] | None = dataclasses.field(
        default=None, init=False, compare=False, repr=False
    )

    def __post_init__(self):
        alpha = self.alpha
        if isinstance(alpha, Mapping):
            found = _checked_alphas(alpha)
            self._replace(row_alphas=found)
            numbers = all(values.ndim == 0 for values in found.values())
            alpha = {key: float(v) for key, v in alpha.items()} if numbers else PER_ROW
        else:
            alpha = checked_alpha(alpha)
        decay = checks.one_of("decay", self.decay, ("continuous", "on_occurrence"))
        if alpha == "auto" and decay == "on_occurrence":
            raise ValueError("`alpha='auto'` needs decay='continuous'. Received: 'on_occurrence'")
        self._replace(alpha=alpha, decay=decay, decay_unseen=bool(self.decay_unseen))

    @property
    def by_row(self) -> bool:
        """Whether every row has its own alpha, stored in its record."""
        return self.alpha == PER_ROW or isinstance(self.alpha, Mapping)

    def history(self):
        needed = {"last_step", "decayed_to"} | ({"alpha"} if self.by_row else set())
        return self.rule.history() | needed

    @property
    def decays_absent_rows(self):
        return True

    def settle(self, rows, history, until, found_alpha=None):
        if self.decay == "continuous":
            factor = self.missing(history, until, rows.dtype, found_alpha)
        else:
            last_step = tf.bitcast(history["last_step"], tf.int32)
            interval = tf.cast(until, tf.int32) - 1 - last_step
            alpha = self._alpha_of(history, rows.dtype, found_alpha)
            factor = 1 - tf.clip_by_value(alpha * tf.cast(interval, rows.dtype), 0, 1)
            factor = self._without_unseen(factor, history)
        return self.rule.settle(rows * per_row(factor, rows), history, until, found_alpha)

    def missing(
        self,
        history: RowHistory,
        until: tf.Tensor,
        dtype: tf.DType,
        found_alpha: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """Returns the factor that brings stored rows up to date at step `until`, `[rows]`."""
        if isinstance(self.alpha, float):
            factor = missing_factor(history, until, self.alpha, dtype)
        else:  # "auto", or one per row
            alpha = self._alpha_of(history, dtype, found_alpha)
            factor = self._closed_form(history, until, dtype, alpha)
        return self._without_unseen(factor, history)

    def _alpha_of(
        self, history: RowHistory, dtype: tf.DType, found_alpha: tf.Tensor | None
    ) -> tf.Tensor:
        """Returns alpha: a scalar, or `[rows]`."""
        if self.by_row:
            return tf.cast(tf.bitcast(history["alpha"], tf.float32), dtype)
        return self.alpha if found_alpha is None else tf.cast(found_alpha, dtype)

    def _without_unseen(self, factor: tf.Tensor, history: RowHistory) -> tf.Tensor:
        """Returns the factors, 1 for rows without a gradient so far if these do not decay."""
        if self.decay_unseen:
            return factor
        unseen = tf.equal(tf.bitcast(history["last_step"], tf.int32), 0)
        return tf.where(unseen, tf.ones_like(factor), factor)

    def _closed_form(
        self, history: RowHistory, until: tf.Tensor, dtype: tf.DType, alpha: tf.Tensor
    ) -> tf.Tensor:
        """Returns `exp(-alpha (n (n + 1) - h (h + 1)) / 2)`, for n absent steps, h applied."""
        last_step = tf.bitcast(history["last_step"], tf.int32)
        decayed_to = tf.bitcast(history["decayed_to"], tf.int32)
        away = tf.maximum(tf.cast(until, tf.int32) - 1 - last_step, 0)
        settled = tf.maximum(decayed_to - 1 - last_step, 0)
        # n (n + 1) - h (h + 1), without cancellation
        more, both = tf.cast(away - settled, dtype), tf.cast(away, dtype) + tf.cast(settled, dtype)
        return tf.exp(-alpha / 2 * (more * (both + 1)))


def _checked_alphas(alphas: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Returns the alphas by table or field as float32 arrays, after a check of their values."""
    if not alphas:
        raise ValueError("`alpha` must map tables to numbers. Received an empty mapping.")
    found = {}
    for key, given in alphas.items():
        values = np.array(given, np.float64)
        allowed = (values == 0) | ((values >= _LEAST_ALPHA) & (values <= 1))
        if values.ndim > (0 if key == OTHERS else 1) or not allowed.all():
            wrong = values[~allowed].ravel()[:3].tolist()
            kind = "a number" if key == OTHERS else "a number, or an array with one per row, each"
            raise ValueError(
                f"`alpha[{str(key)!r}]` must be {kind} 0 or in [{_LEAST_ALPHA:g}, 1]. Received the "
                f"shape {list(values.shape)}, with values such as "
                f"{wrong or values.ravel()[:3].tolist()}"
            )
        found[str(key)] = values.astype(np.float32)
    return found


def checked_alpha(alpha: float | str) -> float | str:
    """Returns alpha as a float in [0, 1], "auto" or "per_row"; else raises `ValueError`."""
    if isinstance(alpha, str) and alpha in ("auto", PER_ROW):
        return alpha
    if isinstance(alpha, str):
        raise ValueError(f"`alpha` must be a number in [0, 1] or 'auto'. Received: {alpha!r}")
    alpha = checks.number_in_range("alpha", alpha, 0, 1)
    if 0 < alpha < _LEAST_ALPHA:
        raise ValueError(f"`alpha` must be 0 or at least {_LEAST_ALPHA:g}. Received: {alpha!r}")
    return alpha


def alpha_for(steps_per_epoch: int) -> float:
    """Returns the smallest alpha for which a row that occurs once per epoch decays to nothing.

    Such a row is absent for `n = steps_per_epoch - 1` steps, and its factor is
    `exp(-alpha n (n + 1) / 2)`. For the returned alpha it is 2^-24, the rounding of float32.

    Args:
        steps_per_epoch: int, at least 1.

    Returns:
        Float, `2 log(2^24) / (n (n + 1))`.

    Example:
        >>> round(alpha_for(563), 6)
        0.000105
    """
    return -2 * math.log(_FORGOTTEN) / max(steps_per_epoch * (steps_per_epoch - 1), 1)

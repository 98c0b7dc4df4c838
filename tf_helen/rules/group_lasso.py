"""Sparse group lasso inside the update: whole rows become exactly zero during training.

The update of the wrapped rule is a quotient, `e <- e - lr * u / D`. The regularized leader has the
sum `z = sum(lr * u) - sum(dD * e)` and solves for e at each step; without regularizers,
`z = -D e`. The slot `held_back` stores the difference `h = z + D e`, which is 0 for a row that was
never updated. Therefore D of the last step need not be stored, the first update of a row is not a
special case, and rows that are changed by weight decay or interval decay remain consistent.
"""

from __future__ import annotations

import dataclasses
import math

import tensorflow as tf

from tf_helen.core.rows import per_row, row_norms
from tf_helen.core.rule import Combinator, check_quotient_form
from tf_helen.rules.strengths import Strength, Strengths


def group_threshold(
    linear: tf.Tensor, width: int, l1: tf.Tensor | float, l21: tf.Tensor | float
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Applies the soft thresholds of sparse group lasso to the linear sums of some rows.

    Args:
        linear: z, `[rows, ...]`.
        width: int, numbers per row.
        l1: float or scalar, threshold of each number.
        l21: float or scalar; the threshold of a row's norm is `sqrt(width) * l21`.

    Returns:
        `s = clip(z, -l1, l1) - z`; the clipped z; and the factor of s, `[rows, 1...]`: 0 where
        `||s|| <= sqrt(width) * l21`, else `1 - sqrt(width) * l21 / ||s||`.
    """
    clipped = tf.clip_by_value(linear, -l1, l1)
    remaining = clipped - linear
    share = tf.math.divide_no_nan(math.sqrt(width) * l21, row_norms(remaining))
    kept = tf.maximum(1 - share, 0)
    # a scalar weight has no rows
    return remaining, clipped, per_row(kept, linear) if linear.shape.rank else kept


@dataclasses.dataclass(frozen=True)
class GroupLasso(Combinator):
    """Adds sparse group lasso to a rule in quotient form.

    A group is a row of a table, or an input row of a dense kernel. Biases and other dense weights
    of rank 0 or 1 are not regularized.

    Args:
        rule: the wrapped `Rule`; it must define `direction`.
        l1: float, or dict from pattern of paths to float: strength of the sum of absolute values.
            Defaults to 0.
        l21: as `l1`, strength of the sum of row norms, each times the square root of the width.
            Defaults to 0.
        l2: as `l1`, strength of the sum of squares. Defaults to 0.

    Raises:
        ValueError: on a negative strength, or a rule inside that is not in quotient form.

    Source: Yue et al., ECML PKDD 2021 (arXiv 2107.14432), Algorithm 1.
    """

    l1: Strength = 0.0
    l21: Strength = 0.0
    l2: Strength = 0.0

    def __post_init__(self):
        strengths = self.strengths
        self._replace(l1=strengths.l1, l21=strengths.l21, l2=strengths.l2)
        check_quotient_form("GroupLasso", self.rule)

    @property
    def strengths(self) -> Strengths:
        """The three strengths."""
        return Strengths(self.l1, self.l21, self.l2)

    def check_paths(self, paths):
        self.strengths.check_paths(paths)
        super().check_paths(paths)

    def slots(self):
        return {**super().slots(), "held_back": 0.0}

    def update(self, rows, gradient, slots, step):
        slots = dict(slots)
        held_back = slots.pop("held_back")
        l1, l21, l2 = self.strengths.of(step.path)
        if not (l1 or l21 or l2) or (rows.shape.rank < 2 and not step.is_table):
            rows, slots = self.rule.update(rows, gradient, slots, step)
            return rows, {**slots, "held_back": held_back}
        found, rate = self.direction(gradient, slots, step), step.learning_rate
        denominator = tf.ones_like(rows) if found.denominator is None else found.denominator
        shift = (rate * found.scale) * found.numerator + held_back
        linear = shift - denominator * rows
        remaining, clipped, group = group_threshold(
            linear, math.prod(rows.shape[1:]), rate * l1, rate * l21
        )
        shrink = group
        if l2:
            shrink *= tf.math.divide_no_nan(denominator, denominator + 2 * rate * l2)
        if l1:
            free = tf.math.divide_no_nan(remaining, denominator)
        else:  # equal, but without rounding of rows for which `held_back` is 0
            free = rows - tf.math.divide_no_nan(shift, denominator)
        new = {**found.slots, "held_back": clipped + (1 - shrink) * -remaining}
        # With learning rate 0, all thresholds would be 0, so nothing is changed.
        moving = rate > 0
        new["held_back"] = tf.where(moving, new["held_back"], held_back)
        return tf.where(moving, shrink * free, rows), new

"""Longer steps for rows that occur in fewer of the steps."""

from __future__ import annotations

import dataclasses

import tensorflow as tf

from tf_helen.core import checks
from tf_helen.core.rows import per_row
from tf_helen.core.rule import Combinator, Rule, Step, check_quotient_form


@dataclasses.dataclass(frozen=True)
class FrequencyAwareRate(Combinator):
    """Multiplies the step of a row by a power of the inverse frequency of the row.

    ```
    e_k <- e_k - lr * min((t / n_k)^rho, cap) * u / D      # of the wrapped rule
    ```

    t is the step of the table, from 1, and n_k is the number of steps so far with row k in their
    batch, including the current one. Rows that occur in every step have the plain learning rate. So
    do dense weights, and tables with a dense gradient, which has no counts. Weight decay and the
    decay of absent rows are not multiplied.

    Args:
        rule: the wrapped `Rule`; it must define `direction`.
        rho: float, not negative, exponent; 0 is the wrapped rule. Defaults to 0.5.
        cap: float, at least 1, maximum factor. Defaults to 1e6.
        count: "steps", or "occurrences", of which a batch may have several per row; the factor of a
            row that occurs more than once per step is then below 1. Defaults to "steps".

    Raises:
        ValueError: on a value out of range, or a wrapped rule that is not in quotient form.

    Source: F2A (frequency-aware Adagrad) of Google's library for SparseCore, jax-tpu-embedding,
    where the wrapped rule is Adagrad's and `cap` is `max_lr_multiplier`.
    """

    rho: float = 0.5
    cap: float = 1e6
    count: str = "steps"

    def __post_init__(self):
        self._replace(
            rho=checks.number_in_range("rho", self.rho),
            cap=checks.number_in_range("cap", self.cap, 1),
            count=checks.one_of("count", self.count, ("steps", "occurrences")),
        )
        check_quotient_form("FrequencyAwareRate", self.rule)

    @property
    def _column(self) -> str:
        return "step_count" if self.count == "steps" else "count"

    def history(self):
        return self.rule.history() | {self._column}

    in_quotient_form = True
    update = Rule.update  # uses the direction of this combinator, not of the wrapped rule

    def direction(self, gradient, slots, step):
        found = self.rule.direction(gradient, slots, step)
        if not step.is_table or step.counts is None:
            return found
        factor = per_row(self._factor(step), gradient)
        return found._replace(numerator=found.numerator * factor)

    def _factor(self, step: Step) -> tf.Tensor:
        """Returns the factor of the step of each row, `[rows]`."""
        assert step.counts is not None and step.history is not None
        dtype = step.learning_rate.dtype
        now = step.counts if self.count == "occurrences" else tf.cast(step.counts > 0, tf.int32)
        before = tf.cast(step.history[self._column], tf.int64)
        seen = tf.cast(tf.maximum(before + tf.cast(now, tf.int64), 1), dtype)
        return tf.minimum(tf.pow(tf.cast(step.table_step, dtype) / seen, self.rho), self.cap)

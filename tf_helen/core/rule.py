"""The update rule of an optimizer: a frozen dataclass with pure functions of row blocks."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import keras
import tensorflow as tf

from tf_helen.core.history import RowHistory

Slots = dict[str, tf.Tensor]
R = TypeVar("R", bound="Rule")


def compute_dtype(variable: keras.Variable) -> tf.DType:
    """Returns the dtype of rules and slots: that of the variable, but at least float32."""
    dtype = tf.as_dtype(variable.dtype)
    return tf.float32 if dtype.size < 4 else dtype


@dataclasses.dataclass(frozen=True)
class Step:
    """The values of a step that a rule can use.

    Attributes:
        number: int64 scalar, the optimizer's step, from 1.
        table_step: int64 scalar, number of the step among those that train this variable; the
            steps of the row records.
        learning_rate: scalar in the dtype of the block.
        raw_gradient: summed gradient of the block, before coupled weight decay.
        is_table: boolean, whether the variable is a table. In a table, rows with a zero gradient
            count as absent.
        path: string, path of the variable.
        history: `RowHistory` of the rows before this step, or `None` if no records are kept.
        curvature: estimate of the Hessian's diagonal, with the shape of the gradient, or `None`.
        counts: int32 `[rows]`, occurrences of each row in the batch, or `None` if unknown.
    """

    number: tf.Tensor
    table_step: tf.Tensor
    learning_rate: tf.Tensor
    raw_gradient: tf.Tensor
    is_table: bool
    path: str = ""
    history: RowHistory | None = None
    curvature: tf.Tensor | None = None
    counts: tf.Tensor | None = None

    def bias_correction(self, beta: float) -> tf.Tensor:
        """Returns `1 - beta ** number`, computed in float64 because of cancellation."""
        power = tf.pow(tf.constant(beta, tf.float64), tf.cast(self.number, tf.float64))
        return tf.cast(1 - power, self.learning_rate.dtype)

    def occurred(self) -> tf.Tensor:
        """Returns which rows have a non-zero gradient, bool `[rows]`."""
        # In a graph, this square and that of Adam are computed once.
        axes = list(range(1, self.raw_gradient.shape.rank))
        return tf.reduce_sum(tf.square(self.raw_gradient), axis=axes) > 0

    def touched(self) -> tf.Tensor:
        """Returns which rows are in the batch, with any gradient, bool `[rows]`."""
        return self.occurred() if self.counts is None else self.counts > 0


class Direction(NamedTuple):
    """An update in quotient form: `e <- e - learning_rate * scale * numerator / denominator`.

    Attributes:
        numerator: tensor of the shape of the rows.
        denominator: tensor of the shape of the rows, or one that broadcasts to it; `None`: 1.
        slots: dict, the new slots.
        scale: scalar. Defaults to 1.
    """

    numerator: tf.Tensor
    denominator: tf.Tensor | None
    slots: Slots
    scale: tf.Tensor | float = 1.0

    def quotient(self) -> tf.Tensor:
        """Returns numerator / denominator, and 0 where the denominator is 0."""
        if self.denominator is None:
            return self.numerator
        return tf.math.divide_no_nan(self.numerator, self.denominator)


@dataclasses.dataclass(frozen=True)
class Rule:
    """Base class of update rules: frozen dataclasses whose fields are their settings.

    A rule defines `direction`, or `update` if its update is not a quotient. It does not access
    variables: `tf_helen.RowSparseOptimizer` reads rows and slots, calls the rule and writes the
    result. A dense gradient is one block with all rows.

    Example:
        >>> import dataclasses
        >>> @dataclasses.dataclass(frozen=True)
        ... class SignRule(tf_helen.rules.Rule):
        ...     def direction(self, gradient, slots, step):
        ...         return tf_helen.rules.Direction(tf.sign(gradient), None, slots)
        >>> SignRule().slots()
        {}
    """

    # State.

    def slots(self) -> dict[str, float]:
        """Returns names and initial values of the slots with the shape of the variable."""
        return {}

    def row_slots(self) -> dict[str, float]:
        """Returns names and initial values of the slots with one number per row, `[rows, 1]`."""
        return {}

    def history(self) -> frozenset[str]:
        """Returns the columns of `RowHistory` that the rule needs."""
        return frozenset()

    # Step.

    @property
    def prepares(self) -> bool:
        """Whether the rule, or one that it wraps, defines `prepare`."""
        return False

    def prepare(self, rows: tf.Tensor, gradient: tf.Tensor, counts: tf.Tensor | None) -> tf.Tensor:
        """Changes the gradient of a table before gradients are clipped.

        Args:
            rows: `[rows, ...]`, as read by the forward pass.
            gradient: `[rows, ...]`, with duplicates summed.
            counts: int32 `[rows]`, occurrences in the batch.

        Returns:
            The new gradient, `[rows, ...]`.
        """
        return gradient

    @property
    def in_quotient_form(self) -> bool:
        """Whether the update is that of `direction`, which combinators may then change."""
        return type(self).update is Rule.update

    def direction(self, gradient: tf.Tensor, slots: Slots, step: Step) -> Direction:
        """Returns the update in quotient form.

        Args:
            gradient: `[rows, ...]`, with duplicates summed, and clipped.
            slots: dict from name to `[rows, ...]` (`slots`) or `[rows, 1]` (`row_slots`).
            step: `Step`.

        Returns:
            A `Direction`.

        Raises:
            NotImplementedError: if the rule defines neither `direction` nor `update`.
        """
        raise NotImplementedError(f"{type(self).__name__} must define `direction` or `update`.")

    def update(
        self, rows: tf.Tensor, gradient: tf.Tensor, slots: Slots, step: Step
    ) -> tuple[tf.Tensor, Slots]:
        """Returns the new rows and slots.

        Args:
            rows: `[rows, ...]`, as read by the forward pass.
            gradient: `[rows, ...]`, with duplicates summed, and clipped.
            slots: dict from name to `[rows, ...]` (`slots`) or `[rows, 1]` (`row_slots`).
            step: `Step`.

        Returns:
            The new rows, and a dict of the new slots.
        """
        found = self.direction(gradient, slots, step)
        return rows - (step.learning_rate * found.scale) * found.quotient(), found.slots

    def decay_strength(self, weight_decay: float, step: Step) -> tf.Tensor | float:
        """Returns the strength of the decoupled weight decay, a scalar or `[rows]`."""
        return weight_decay

    def records_after(self, step: Step, counts: tf.Tensor | None) -> RowHistory:
        """Returns the row records after the step."""
        assert step.history is not None
        return step.history.after(step.table_step, step.occurred(), counts)

    # Decay of absent rows.

    @property
    def decays_absent_rows(self) -> bool:
        """Whether rows change in steps in which they do not occur."""
        return False

    def settle(
        self,
        rows: tf.Tensor,
        history: RowHistory | None,
        until: tf.Tensor,
        found_alpha: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """Returns stored rows with the pending decay of absent steps up to and including `until`.

        Args:
            rows: `[rows, ...]`, as stored.
            history: `RowHistory` of the rows.
            until: integer scalar, a step.
            found_alpha: scalar alpha of a rule with `alpha="auto"`. Defaults to `None`.

        Returns:
            The rows, `[rows, ...]`.
        """
        return rows

    # Settings.

    def check_paths(self, paths: Sequence[str]) -> None:
        """Raises `ValueError` if a pattern in a setting matches none of `paths`."""

    def get_config(self) -> dict[str, Any]:
        """Returns the serialized fields."""
        config = _own_settings(self)
        if isinstance(self, Combinator):
            config["rule"] = keras.saving.serialize_keras_object(self.rule)
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Rule:
        """Returns the rule of a configuration."""
        config = dict(config)
        if isinstance(config.get("rule"), dict):
            config["rule"] = keras.saving.deserialize_keras_object(config["rule"])
        return cls(**config)

    def _replace(self, **fields: Any) -> None:
        """Sets fields to checked values; to be called in `__post_init__` only."""
        for name, value in fields.items():
            object.__setattr__(self, name, value)


@dataclasses.dataclass(frozen=True)
class Combinator(Rule):
    """Base class of rules that wrap a rule; methods default to those of the wrapped rule.

    Args:
        rule: the wrapped `Rule`.
    """

    rule: Rule

    def slots(self):
        return self.rule.slots()

    def row_slots(self):
        return self.rule.row_slots()

    def history(self):
        return self.rule.history()

    @property
    def prepares(self):
        return self.rule.prepares

    def prepare(self, rows, gradient, counts):
        return self.rule.prepare(rows, gradient, counts)

    @property
    def in_quotient_form(self):
        return type(self).update is Combinator.update and self.rule.in_quotient_form

    def direction(self, gradient, slots, step):
        return self.rule.direction(gradient, slots, step)

    def update(self, rows, gradient, slots, step):
        return self.rule.update(rows, gradient, slots, step)

    def decay_strength(self, weight_decay, step):
        return self.rule.decay_strength(weight_decay, step)

    def records_after(self, step, counts):
        return self.rule.records_after(step, counts)

    @property
    def decays_absent_rows(self):
        return self.rule.decays_absent_rows

    def settle(self, rows, history, until, found_alpha=None):
        return self.rule.settle(rows, history, until, found_alpha)

    def check_paths(self, paths):
        self.rule.check_paths(paths)


def settings(rule: Rule) -> dict[str, Any]:
    """Returns the settings of a rule and of the rules that it wraps.

    Args:
        rule: `Rule`.

    Returns:
        Dict from name to value; the names are distinct.

    Example:
        >>> from tf_helen.core.rule import settings
        >>> momentum = tf_helen.rules.MomentumRule(momentum=0.5)
        >>> settings(tf_helen.rules.CounterDecay(momentum, counter_halflife=10))
        {'momentum': 0.5, 'nesterov': False, 'counter_halflife': 10.0}
    """
    inner = settings(rule.rule) if isinstance(rule, Combinator) else {}
    own = _own_settings(rule)
    own.pop("rule", None)
    return {**inner, **own}


def _own_settings(rule: Rule) -> dict[str, Any]:
    """The fields that the constructor takes, by name."""
    fields = dataclasses.fields(rule)
    return {field.name: getattr(rule, field.name) for field in fields if field.init}


def check_quotient_form(name: str, rule: Rule) -> None:
    """Raises `ValueError` if a combinator that changes directions wraps a rule with an `update`.

    Args:
        name: string, name of the combinator.
        rule: the wrapped `Rule`.
    """
    if not rule.in_quotient_form:
        inner = rule
        while isinstance(inner, Combinator) and type(inner).update is Combinator.update:
            inner = inner.rule
        remedy = "Use a rule that defines `direction`."
        if isinstance(inner, Combinator):
            remedy = f"Use `{type(inner).__name__}({name}(...))`."
        raise ValueError(
            f"{name} changes the `direction` of the rule that it wraps, and "
            f"{type(inner).__name__} defines an `update`, which would be ignored. {remedy}"
        )


def around_innermost(rule: Rule, around: Callable[[Rule], Rule]) -> Rule:
    """Wraps the innermost rule, which is not a combinator.

    Args:
        rule: `Rule`.
        around: function from a rule to a rule that wraps it.

    Returns:
        A new `Rule`.

    Example:
        >>> from tf_helen.core.rule import around_innermost
        >>> rules = tf_helen.rules
        >>> found = around_innermost(rules.CounterDecay(rules.SGDRule()), rules.CowClip)
        >>> type(found).__name__, type(found.rule).__name__, type(found.rule.rule).__name__
        ('CounterDecay', 'CowClip', 'SGDRule')
    """
    if isinstance(rule, Combinator):
        return dataclasses.replace(rule, rule=around_innermost(rule.rule, around))
    return around(rule)


def find(rule: Rule, kind: type[R]) -> R | None:
    """Returns the first rule of a class among a rule and those that it wraps, or `None`."""
    while not isinstance(rule, kind):
        if not isinstance(rule, Combinator):
            return None
        rule = rule.rule
    return rule

"""The settings of an optimizer's rule, as attributes of the optimizer."""

from __future__ import annotations

import functools
from typing import Any

from tf_helen.core.rule import Combinator, Rule, around_innermost, find, settings


class RuleSettings:
    """Mixin for optimizer classes, with the settings of `rule` as attributes.

    They cannot be assigned after `rule` is set, because compiled steps depend on them.
    """

    # Attributes, in addition to the settings of the rule, that compiled steps depend on.
    fixed_settings: tuple[str, ...] = ()
    # What a step applies: `rule`, with the combinators of wrappers in it.
    step_rule: Rule

    def __getattr__(self, name):
        rule = self.__dict__.get("rule")
        if rule is not None and not name.startswith("_"):
            found = settings(rule)
            if name in found:
                return found[name]
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __setattr__(self, name, value):
        rule = self.__dict__.get("rule")
        fixed = ("rule", "coupled_weight_decay", "moments", "track_rows")
        if rule is not None and (
            name in fixed
            or name in settings(rule)
            or (name in self.fixed_settings and name in self.__dict__)
        ):
            raise AttributeError(
                f"`{name}` of {type(self).__name__} is fixed at construction, because compiled "
                f"steps depend on it. Received: {name}={value!r}. Create a new optimizer and "
                "compile the model with it."
            )
        super().__setattr__(name, value)

    def wrap_rule(self, kind: type[Combinator], **arguments: Any) -> None:
        """Wraps the innermost rule of `step_rule` in a combinator; `rule` does not change."""
        if self.built or find(self.step_rule, kind):
            state = "has trained" if self.built else f"has a {kind.__name__}"
            raise ValueError(f"{type(self).__name__} {state} already. Wrap a new optimizer.")
        around = functools.partial(kind, **arguments)
        self.step_rule = around_innermost(self.step_rule, around)

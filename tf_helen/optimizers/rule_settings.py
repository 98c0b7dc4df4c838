"""The settings of an optimizer's rule, as attributes of the optimizer."""

from __future__ import annotations

from tf_helen.core.rule import settings


class RuleSettings:
    """Mixin for optimizer classes, with the settings of `rule` as attributes.

    They cannot be assigned after `rule` is set, because compiled steps depend on them.
    """

    # Attributes, in addition to the settings of the rule, that compiled steps depend on.
    fixed_settings: tuple[str, ...] = ()

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

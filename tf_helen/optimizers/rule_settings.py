"""The settings of an optimizer's rule, as attributes of the optimizer."""

from __future__ import annotations

from tf_helen.core.rule import settings


class RuleSettings:
    """Mixin before an optimizer class: the settings of its `rule` are read as its own.

    None of them can be assigned once `rule` is set, because compiled steps hold them.
    """

    # Attributes besides the rule's settings that compiled steps hold.
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
                f"steps hold it. Received: {name}={value!r}. Make a new optimizer and compile the "
                "model with it."
            )
        super().__setattr__(name, value)

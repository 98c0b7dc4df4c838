"""Base class of optimizers that wrap one base optimizer."""

from __future__ import annotations

from typing import Any

import keras

from tf_helen.core.rule import Rule
from tf_helen.optimizers import registry
from tf_helen.optimizers.arguments import of_today
from tf_helen.optimizers.delegating import DelegatingOptimizer


class WrappingOptimizer(DelegatingOptimizer):
    """An optimizer that wraps one base optimizer.

    Args:
        learning_rate: float or schedule of the base optimizer, if it is given by name; `None`: its
            default.
        base_optimizer: name or optimizer, of tf_helen or Keras.
        name: string, name of the optimizer.
        rule: see `DelegatingOptimizer`.
        **kwargs: passed to the base optimizer if it is given by name.

    Raises:
        ValueError: as `tf_helen.optimizers.get`.
    """

    def __init__(
        self,
        learning_rate: Any,
        base_optimizer: Any,
        *,
        name: str,
        rule: Rule | None = None,
        **kwargs: Any,
    ):
        base = registry.get(base_optimizer, learning_rate, **kwargs)
        super().__init__([base], name=name, rule=rule)
        self.base_optimizer = base

    def get_config(self):
        return {
            "name": self.name,
            "base_optimizer": keras.saving.serialize_keras_object(self.base_optimizer),
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        config = of_today(config, cls)
        if isinstance(config.get("base_optimizer"), dict):
            config["base_optimizer"] = keras.saving.deserialize_keras_object(
                config["base_optimizer"], custom_objects=custom_objects
            )
        return cls(**config)

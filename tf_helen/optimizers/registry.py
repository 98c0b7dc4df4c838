"""Optimizers by name."""

from __future__ import annotations

import inspect
from typing import Any

import keras

from tf_helen.core import checks


def optimizer_classes() -> dict[str, type[keras.optimizers.Optimizer]]:
    """Returns a dict from name to class of every optimizer of this package."""
    # Imported here, because wrappers import this module.
    from tf_helen.optimizers import CLASSES

    return {cls.__name__.lower(): cls for cls in CLASSES}


def class_of(name: str) -> tuple[type[keras.optimizers.Optimizer], str | None]:
    """Returns the class of a name, and the name of the base optimizer in parentheses.

    Args:
        name: string, such as "adam", "group_adam" or "Helen(AdamAR)"; case, `_` and `-` are
            ignored.

    Returns:
        The class, and the name of the base optimizer or `None`.

    Raises:
        ValueError: on an unknown name (suggests the nearest one), or on parentheses after an
            optimizer that is not a wrapper.

    Example:
        >>> cls, base = class_of("helen(cow_clip(adamar))")
        >>> cls.__name__, base
        ('Helen', 'cow_clip(adamar)')
    """
    outer, bracket, rest = name.strip().partition("(")
    if bracket and not rest.endswith(")"):
        raise ValueError(f"A closing parenthesis is missing. Received: {name!r}")
    cls = checks.named("optimizer", outer, optimizer_classes())
    if not bracket:
        return cls, None
    if "base_optimizer" not in inspect.signature(cls).parameters:
        raise ValueError(f"{cls.__name__} takes no base optimizer. Received: {name!r}")
    return cls, rest[:-1].strip()


def get_class(name: str) -> type[keras.optimizers.Optimizer]:
    """Returns an optimizer class by its name.

    Args:
        name: string, such as "adam", "GroupAdam" or "group_adam".

    Returns:
        The class.

    Raises:
        ValueError: on an unknown name (the nearest is suggested), or on a base optimizer in
            parentheses, which `tf_helen.optimizers.get` takes.

    Example:
        >>> tf_helen.optimizers.get_class("adam_ar").__name__
        'AdamAR'
    """
    cls, base = class_of(name)
    if base is not None:
        raise ValueError(
            f"{name!r} names an optimizer around another one, not a class. Use "
            f"tf_helen.optimizers.get({name!r}), or get_class({cls.__name__.lower()!r})."
        )
    return cls


def get(
    identifier: str | dict | keras.optimizers.Optimizer | None,
    learning_rate: Any = None,
    **kwargs: Any,
) -> keras.optimizers.Optimizer:
    """Returns an optimizer from its name, its serialized form, or itself.

    Args:
        identifier: string, such as "adam", "AdamAR", "group_adam" or "helen(adamar)"; a serialized
            config; or an instance.
        learning_rate: float or schedule, if `identifier` is a name. Defaults to `None`: the default
            of the class.
        **kwargs: other arguments of the class, if `identifier` is a name.

    Returns:
        A Keras optimizer.

    Raises:
        ValueError: on an unknown name (suggests the nearest one), or on arguments in addition to
            an instance or a config.

    Example:
        >>> type(get("adagrad_ar", alpha=1e-5)).__name__
        'AdagradAR'
    """
    if isinstance(identifier, str):
        cls, inner = class_of(identifier)
        if inner is not None:
            if "base_optimizer" in kwargs:
                raise ValueError(
                    f"Two base optimizers: {identifier!r} and base_optimizer="
                    f"{kwargs['base_optimizer']!r}. Pass only one."
                )
            kwargs["base_optimizer"] = inner
        if learning_rate is not None:
            kwargs["learning_rate"] = learning_rate
        return cls(**kwargs)
    if isinstance(identifier, dict):
        identifier = keras.saving.deserialize_keras_object(identifier)
    if not isinstance(identifier, keras.optimizers.Optimizer):
        raise ValueError(
            "An optimizer must be a name, a Keras optimizer or its serialized form. "
            f"Received: {identifier!r}"
        )
    given = {**kwargs, **({} if learning_rate is None else {"learning_rate": learning_rate})}
    if given:
        raise ValueError(
            f"{sorted(given)} cannot be passed with an instance of {type(identifier).__name__}; "
            "pass them to its constructor."
        )
    return identifier

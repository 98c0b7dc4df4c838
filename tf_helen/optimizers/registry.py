"""Optimizers by name."""

from __future__ import annotations

import inspect
from typing import Any

import keras

from tf_helen.core import checks


def optimizer_classes() -> dict[str, type[keras.optimizers.Optimizer]]:
    """Name -> class of every optimizer of this package."""
    # Imported here: the optimizers that wrap others import this module.
    from tf_helen.optimizers import CLASSES

    return {cls.__name__.lower(): cls for cls in CLASSES}


def class_of(name: str) -> tuple[type[keras.optimizers.Optimizer], str | None]:
    """The class that a name stands for, and what is named in brackets after it.

    Args:
        name: "adam", "group_adam", "Helen(AdamAR)", ...; small and capital letters, `_` and `-` are
            alike.

    Returns:
        The class, and the base optimizer's name or `None`.

    Raises:
        ValueError: on an unknown name (the nearest is suggested), or brackets after an optimizer
            that wraps no other.

    Example:
        >>> cls, base = class_of("helen(cow_clip(adamar))")
        >>> cls.__name__, base
        ('Helen', 'cow_clip(adamar)')
    """
    outer, bracket, rest = name.strip().partition("(")
    if bracket and not rest.endswith(")"):
        raise ValueError(f"A closing bracket is missing. Received: {name!r}")
    cls = checks.named("optimizer", outer, optimizer_classes())
    if not bracket:
        return cls, None
    if "base_optimizer" not in inspect.signature(cls).parameters:
        raise ValueError(f"{cls.__name__} wraps no other optimizer. Received: {name!r}")
    return cls, rest[:-1].strip()


def get_class(name: str) -> type[keras.optimizers.Optimizer]:
    """Returns an optimizer class by its name.

    Args:
        name: string, such as "adam", "GroupAdam" or "group_adam".

    Returns:
        The class.

    Raises:
        ValueError: on an unknown name (the nearest is suggested), or on a base optimizer in
            brackets, which `tf_helen.optimizers.get` takes.

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
        identifier: "adam", "AdamAR", "group_adam", "helen(adamar)", ...; a serialized config; or an
            instance.
        learning_rate: for a name; `None`: the class's default.
        **kwargs: for a name: the class's other arguments.

    Returns:
        A Keras optimizer.

    Raises:
        ValueError: on an unknown name (the nearest is suggested), or on arguments given beside an
            instance, which has its own.

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
                    f"{kwargs['base_optimizer']!r}. Give one."
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
            f"{sorted(given)} given beside an instance of {type(identifier).__name__}: "
            "set them on that optimizer instead."
        )
    return identifier

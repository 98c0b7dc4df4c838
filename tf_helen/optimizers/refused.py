"""Arguments of Keras whose cost depends on the size of the table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras

from tf_helen.core import checks
from tf_helen.optimizers.arguments import arguments_of

_REFUSED = {
    "gradient_accumulation_steps": (
        "the accumulators would have the size of the tables and be read at every step; use a "
        "larger `batch_size` instead, whose cost per step depends on its rows only"
    ),
}

_RENAMED = {"l2": "coupled_weight_decay"}


def refuse(cls: type, arguments: Mapping[str, Any]) -> None:
    """Raises if an argument is unknown or makes every step access whole tables.

    Args:
        cls: class of the optimizer.
        arguments: dict, keyword arguments that are not in its signature.

    Raises:
        ValueError: names the argument, its value, and an alternative.
        TypeError: on an unknown argument; suggests the nearest one.
    """
    class_name = cls.__name__
    for argument, reason in _REFUSED.items():
        if arguments.get(argument):
            raise ValueError(
                f"`{argument}={arguments[argument]}` is not supported by {class_name}: {reason}."
            )
    unknown = [name for name in arguments if name not in _REFUSED]
    if unknown:
        known = arguments_of(cls)
        name = unknown[0]
        renamed = _RENAMED.get(name)
        hint = f" It is now named `{renamed}`." if renamed in known else checks.nearest(name, known)
        raise TypeError(
            f"{class_name} has no argument {name!r}. Received: {name}={arguments[name]!r}.{hint} "
            f"Arguments: {', '.join(known)}."
        )


def refuse_float8(cls: type, variables: Sequence[keras.Variable]) -> None:
    """Raises `ValueError` if the gradient of a variable is its new value, as in float8."""
    for variable in variables:
        if getattr(variable, "overwrite_with_gradient", False):
            raise ValueError(
                f"{cls.__name__} cannot train layers in float8: the gradient of {variable.path} "
                "is its new value. Use an optimizer of Keras for this model."
            )

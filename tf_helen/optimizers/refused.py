"""Keras arguments that cannot be had at row cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras

from tf_helen.core import checks
from tf_helen.optimizers.arguments import arguments_of

_REFUSED = {
    "gradient_accumulation_steps": (
        "the accumulators would be as large as the tables and be read whole at every step; "
        "use a larger `batch_size` instead, whose cost per step is that of its rows only"
    ),
    "use_ema": (
        "a moving average would read and write every table at every step; average the checkpoints "
        "of the last epochs instead, or train the dense weights with their own Keras optimizer"
    ),
}


# What else `keras.optimizers.Optimizer.get_config` holds.
_IGNORED = ("ema_momentum", "ema_overwrite_frequency")
_RENAMED = {"l2": "coupled_weight_decay"}


def refuse(cls: type, arguments: Mapping[str, Any]) -> None:
    """Raises if an argument would make every step as large as the tables, or is unknown.

    Args:
        cls: the optimizer's class.
        arguments: the keyword arguments that its signature does not name.

    Raises:
        ValueError: names the argument, its value, and what to use instead.
        TypeError: on an argument that no optimizer has; the nearest is suggested.
    """
    class_name = cls.__name__
    for argument, reason in _REFUSED.items():
        if arguments.get(argument):
            raise ValueError(
                f"`{argument}={arguments[argument]}` is not supported by {class_name}: {reason}."
            )
    unknown = [name for name in arguments if name not in (*_REFUSED, *_IGNORED)]
    if unknown:
        known = arguments_of(cls)
        name = unknown[0]
        renamed = _RENAMED.get(name)
        hint = f" It is `{renamed}` now." if renamed in known else checks.nearest(name, known)
        raise TypeError(
            f"{class_name} has no argument {name!r}. Received: {name}={arguments[name]!r}.{hint} "
            f"Arguments: {', '.join(known)}."
        )


def refuse_float8(cls: type, variables: Sequence[keras.Variable]) -> None:
    """Raises `ValueError` if a variable's gradient is its new value, as in layers in float8."""
    for variable in variables:
        if getattr(variable, "overwrite_with_gradient", False):
            raise ValueError(
                f"{cls.__name__} cannot train layers in float8: the gradient of {variable.path} "
                "is its new value. Use an optimizer of Keras for this model."
            )

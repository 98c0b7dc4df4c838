"""Keras arguments that cannot be had at row cost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

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


def refuse(class_name: str, arguments: Mapping[str, Any]) -> None:
    """Raises `ValueError` if one of the arguments would make every step as large as the tables.

    Args:
        class_name: named in the message.
        arguments: keyword arguments as the user gave them.

    Raises:
        ValueError: names the argument, its value, and what to use instead.
    """
    for argument, reason in _REFUSED.items():
        if arguments.get(argument):
            raise ValueError(
                f"`{argument}={arguments[argument]}` is not supported by {class_name}: {reason}."
            )

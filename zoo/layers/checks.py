"""Checks of settings that layers share."""

from __future__ import annotations

import numbers
from typing import Any


def is_number(value: Any) -> bool:
    """Whether something is a real number, and no boolean.

    Example:
        >>> is_number(0.5), is_number("0.5"), is_number(True)
        (True, False, False)
    """
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def is_rate(value: Any) -> bool:
    """Whether something is a dropout rate, a number in [0, 1).

    Example:
        >>> is_rate(0.5), is_rate(1), is_rate(None)
        (True, False, False)
    """
    return is_number(value) and 0 <= value < 1


def check_above_zero(name: str, value: Any, example: str) -> None:
    """Raises unless a setting is a number above 0.

    Args:
        name: of the setting.
        value: what was given.
        example: what it could be.

    Raises:
        ValueError: naming all three.

    Example:
        >>> check_above_zero("temperature", 0.5, "1")
    """
    if not is_number(value) or not value > 0:
        raise ValueError(f"`{name}` must be above 0, such as {example}. Received: {value!r}")

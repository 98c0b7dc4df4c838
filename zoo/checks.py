"""Checks of settings that models and layers share, beside those of `tf_helen.core.checks`."""

from __future__ import annotations

from typing import Any

from tf_helen.core.checks import is_number


def check_positive(name: str, value: Any, least: int = 1) -> None:
    """Raises unless a setting is an integer of at least `least`.

    Args:
        name: of the setting.
        value: what was given.
        least: the smallest that is allowed.

    Raises:
        ValueError: naming all three.

    Example:
        >>> check_positive("cross_layers", 3)
    """
    is_int = isinstance(value, int) and not isinstance(value, bool)
    if not is_int or value < least:
        raise ValueError(f"`{name}` must be an integer >= {least}. Received: {value!r}")


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

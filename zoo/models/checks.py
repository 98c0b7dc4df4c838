"""Checks of settings that models share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


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


def check_choice(name: str, value: Any, choices: Sequence[str]) -> None:
    """Raises unless a setting is one of a few.

    Args:
        name: of the setting.
        value: what was given.
        choices: what is allowed.

    Raises:
        ValueError: naming all three.

    Example:
        >>> check_choice("structure", "stacked", ("parallel", "stacked"))
    """
    if value not in choices:
        known = ", ".join(repr(choice) for choice in choices)
        raise ValueError(f"`{name}` must be one of {known}. Received: {value!r}")

"""Checks of arguments; errors name the value and what is allowed."""

from __future__ import annotations

import difflib
import math
import numbers
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

T = TypeVar("T")


def is_number(value: object) -> bool:
    """Returns whether a value is a real number and not a boolean."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def number_in_range(
    name: str, value: float, low: float = 0.0, high: float = math.inf, *, open_high: bool = False
) -> float:
    """Returns `value` as a float if it lies in [low, high], else raises `ValueError`."""
    good = is_number(value) and low <= value <= high and not (open_high and value == high)
    if not good or math.isinf(value):
        bracket = ")" if open_high or math.isinf(high) else "]"
        raise ValueError(
            f"`{name}` must be a number in [{low:g}, {high:g}{bracket}. Received: {name}={value!r}"
        )
    return float(value)


def number_above_zero(name: str, value: float) -> float:
    """Returns `value` as a float if it is finite and above 0, else raises `ValueError`."""
    if not is_number(value) or not 0 < value < math.inf:
        raise ValueError(f"`{name}` must be a number above 0. Received: {name}={value!r}")
    return float(value)


def whole_number(name: str, value: int, low: int = 1) -> int:
    """Returns `value` as an int if it is an integer, `low` or more, else raises `ValueError`."""
    is_whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not is_whole or value < low:
        raise ValueError(f"`{name}` must be an integer >= {low}. Received: {name}={value!r}")
    return int(value)


def nearest(value: object, allowed: Iterable[object]) -> str:
    """Returns " Did you mean 'x'?" for the nearest of `allowed`, or "" if none is similar."""
    near = difflib.get_close_matches(str(value).lower(), map(str, allowed), n=1)
    return f" Did you mean {near[0]!r}?" if near else ""


def one_of(name: str, value: Any, allowed: Iterable[Any]) -> Any:
    """Returns `value` if it is one of `allowed`, else raises `ValueError` with the nearest."""
    allowed = list(allowed)
    if value not in allowed:
        raise ValueError(
            f"`{name}` must be one of {', '.join(map(repr, allowed))}. "
            f"Received: {name}={value!r}.{nearest(value, allowed)}"
        )
    return value


def named(kind: str, name: str, known: Mapping[str, T]) -> T:
    """Returns the value of a name; upper and lower case, `_` and `-` make no difference.

    Args:
        kind: string, the kind of the values, such as "optimizer".
        name: string, the name.
        known: dict from name, in lower case without `_` and `-`, to value.

    Returns:
        The value.

    Raises:
        ValueError: on an unknown name; suggests the nearest one.

    Example:
        >>> named("model", "Deep_FM", {"deepfm": 1})
        1
    """
    plain = name.strip().lower().replace("_", "").replace("-", "")
    if plain not in known:
        raise ValueError(
            f"Unknown {kind} {name!r}.{nearest(plain, known)} Known: {', '.join(sorted(known))}."
        )
    return known[plain]

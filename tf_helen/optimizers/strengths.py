"""Regularization strengths, one for all variables or by a pattern of their paths."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping

from tf_helen import checks

Strength = float | Mapping[str, float]


def checked(name: str, strength: Strength) -> Strength:
    """Returns a strength, or a mapping of strengths, after a check of every number.

    Args:
        name: the argument's.
        strength: a number, or {pattern: number}.

    Returns:
        A float, or a dict of floats.

    Raises:
        ValueError: on a negative number, naming it and its pattern.
    """
    if isinstance(strength, Mapping):
        return {
            str(pattern): checks.number_in_range(f"{name}[{pattern!r}]", number)
            for pattern, number in strength.items()
        }
    return checks.number_in_range(name, strength)


def matches(pattern: str, path: str) -> bool:
    """Whether a variable's path holds the pattern, in which `*` and `?` stand for anything.

    Example:
        >>> matches("embedding", "deep_fm/embedding/embeddings"), matches("*/kernel", "d/kernel")
        (True, True)
    """
    return fnmatch.fnmatchcase(path, f"*{pattern}*")


def strength_for(strength: Strength, path: str) -> float:
    """The strength of one variable: that of the first pattern which its path holds, else 0."""
    if not isinstance(strength, Mapping):
        return strength
    return next((number for p, number in strength.items() if matches(p, path)), 0.0)

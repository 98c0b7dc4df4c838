"""Regularization strengths, for all variables or by pattern of their paths."""

from __future__ import annotations

import dataclasses
import fnmatch
from collections.abc import Mapping, Sequence

from tf_helen.core import checks

Strength = float | Mapping[str, float]


@dataclasses.dataclass(frozen=True)
class Strengths:
    """The strengths of sparse group lasso.

    Args:
        l1: float, or dict from pattern to float.
        l21: as `l1`.
        l2: as `l1`.

    Raises:
        ValueError: names the negative number and its pattern.

    Example:
        >>> Strengths({"embedding": 0.1}, 0.0, 0.5).of("dnn/embedding/embeddings")
        (0.1, 0.0, 0.5)
    """

    l1: Strength
    l21: Strength
    l2: Strength

    def __post_init__(self):
        for field in dataclasses.fields(self):
            value = checked(field.name, getattr(self, field.name))
            object.__setattr__(self, field.name, value)

    def of(self, path: str) -> tuple[float, float, float]:
        """Returns `l1`, `l21` and `l2` of a variable."""
        return (
            strength_for(self.l1, path),
            strength_for(self.l21, path),
            strength_for(self.l2, path),
        )

    def check_paths(self, paths: Sequence[str]) -> None:
        """Raises `ValueError` if a pattern, except "*", matches none of the paths."""
        for field in dataclasses.fields(self):
            strength = getattr(self, field.name)
            for pattern in strength if isinstance(strength, Mapping) else ():
                if pattern != "*" and not any(matches(pattern, path) for path in paths):
                    # A misspelled pattern would have no effect.
                    raise ValueError(
                        f"Pattern {pattern!r} in `{field.name}` matches no variable. "
                        f"Variables: {', '.join(paths)}."
                    )


def checked(name: str, strength: Strength) -> Strength:
    """Checks a strength, or every strength of a dict.

    Args:
        name: string, name of the argument.
        strength: float, or dict from pattern to float.

    Returns:
        A float, or a dict of floats.

    Raises:
        ValueError: names the negative number and its pattern.
    """
    if isinstance(strength, Mapping):
        return {
            str(pattern): checks.number_in_range(f"{name}[{pattern!r}]", number)
            for pattern, number in strength.items()
        }
    return checks.number_in_range(name, strength)


def matches(pattern: str, path: str) -> bool:
    """Returns whether the path of a variable contains a pattern with wildcards `*` and `?`.

    Example:
        >>> matches("embedding", "deep_fm/embedding/embeddings"), matches("*/kernel", "d/kernel")
        (True, True)
    """
    return fnmatch.fnmatchcase(path, f"*{pattern}*")


def strength_for(strength: Strength, path: str) -> float:
    """Returns the strength of a variable: that of the first matching pattern, or 0."""
    if not isinstance(strength, Mapping):
        return strength
    return next((number for p, number in strength.items() if matches(p, path)), 0.0)

"""The arguments of a class's constructor."""

from __future__ import annotations

import inspect
from typing import Any


def constructor_arguments(cls: type, last: type | None = None) -> dict[str, Any]:
    """Returns the arguments of a constructor, including those it passes to its base classes.

    Args:
        cls: the class.
        last: the last base class whose arguments are included. Defaults to `None`: all of them.

    Returns:
        Dict from name to default, the arguments of `cls` first; `inspect.Parameter.empty` for an
        argument without a default.

    Example:
        >>> import tf_helen
        >>> constructor_arguments(tf_helen.AdamAR)["amsgrad"]
        False
    """
    found: dict[str, Any] = {}
    for base in cls.__mro__:
        if "__init__" not in base.__dict__:
            continue
        parameters = inspect.signature(base.__init__).parameters.values()
        for p in parameters:
            if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY):
                found.setdefault(p.name, p.default)
        if base is last or not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break
    found.pop("self", None)
    return found

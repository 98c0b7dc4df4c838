"""The arguments that a class takes."""

from __future__ import annotations

import inspect
from typing import Any


def constructor_arguments(cls: type, last: type | None = None) -> dict[str, Any]:
    """Finds the arguments that a class takes, those that reach its bases included.

    Args:
        cls: the class.
        last: the base at which to stop, its own arguments included.

    Returns:
        The default by name, those of the class first; `inspect.Parameter.empty` for none.

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

"""Checks the arguments of `Embedding` for its fields."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from tf_helen.core import checks


def named_sizes(fields: int | Iterable[int] | Mapping[str, int]) -> dict[str, int]:
    if isinstance(fields, (int, np.integer)):
        fields = {"ids": fields}
    elif not isinstance(fields, Mapping):
        fields = {f"field_{i}": size for i, size in enumerate(fields)}
    if not fields:
        raise ValueError("`fields` must name at least one field. Received: none")
    return {name: checks.whole_number(f"fields[{name!r}]", size) for name, size in fields.items()}


def checked_capacity(capacity: int | Iterable[int] | Mapping[str, int]) -> dict[str, int]:
    """Returns the capacity of each field, or raises an error that names `capacity`."""
    try:
        return named_sizes(capacity)
    except ValueError as error:
        raise ValueError(str(error).replace("fields", "capacity")) from None


def checked_sharing(shared: Mapping[str, str], fields: Mapping[str, int]) -> dict[str, str]:
    for name, owner in shared.items():
        if name not in fields or owner not in fields or owner in shared:
            raise ValueError(
                f"`shared` maps {name!r} to {owner!r}; use names of fields, the second of a field "
                f"with its own rows. Fields: {', '.join(list(fields)[:20])}."
            )
        if fields[name] != fields[owner]:
            raise ValueError(
                f"`shared`: {name!r} has {fields[name]} ids, {owner!r} {fields[owner]}; fields "
                "that share rows must have the same size."
            )
    return dict(shared)


def per_field(name: str, given: Any, fields: Mapping[str, int], default: Any) -> dict[str, Any]:
    if not isinstance(given, Mapping):
        return dict.fromkeys(fields, given)
    unknown = sorted(set(given) - set(fields))
    if unknown:
        raise ValueError(
            f"`{name}` names unknown fields: {unknown}. Known: {', '.join(list(fields)[:20])}."
        )
    return {field: given.get(field, default) for field in fields}

"""The settings of dynamic embedding tables of a model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tf_helen.core.checks import one_of, whole_number

OPTIONS = ("capacity", "admission", "eviction", "seed")


def dynamic_settings(dynamic: Any) -> dict[str, Any] | None:
    """Returns the argument `dynamic` of a model as a dict, or `None`.

    Args:
        dynamic: int, the capacity; dict with `capacity` and arguments of
            `tf_helen.layers.DynamicEmbedding`: `admission`, `eviction`, `seed`; or `None`.

    Returns:
        Dict with `capacity`, or `None`.

    Raises:
        ValueError: on another value or key, or without a capacity.

    Example:
        >>> dynamic_settings(1000)
        {'capacity': 1000}
    """
    if dynamic is None:
        return None
    if not isinstance(dynamic, Mapping):
        return {"capacity": whole_number("dynamic", dynamic)}
    for key in dynamic:
        one_of("a key of dynamic", key, OPTIONS)
    if "capacity" not in dynamic:
        raise ValueError(
            f"`dynamic` needs a capacity, such as {{'capacity': 100000}}. Received: {dict(dynamic)}"
        )
    if not isinstance(dynamic["capacity"], Mapping):
        whole_number("capacity", dynamic["capacity"])
    return dict(dynamic)


def divided(capacity: int | Mapping[str, int], sizes: Mapping[str, int]) -> dict[str, int]:
    """Divides a capacity among fields: the smallest get a row for each id, the others equal parts.

    Args:
        capacity: int, of all fields together; or dict from field to its capacity, for some fields,
            where the others get a row for each id.
        sizes: dict from field to its number of ids.

    Returns:
        Dict from field to its capacity, at least 1 and at most its size.

    Raises:
        ValueError: on an unknown field, or a capacity below the number of fields.

    Example:
        >>> divided(100, {"item": 1000, "day": 7, "user": 500})
        {'item': 47, 'day': 7, 'user': 46}
    """
    if isinstance(capacity, Mapping):
        for name, each in capacity.items():
            one_of("a field of capacity", name, sizes)
            whole_number(f"capacity[{name!r}]", each)
        return {name: min(size, capacity.get(name, size)) for name, size in sizes.items()}
    if capacity < len(sizes):
        raise ValueError(
            f"`capacity` must be at least the number of fields, {len(sizes)}. Received: {capacity}"
        )
    found, left = {}, capacity
    for place, (name, size) in enumerate(sorted(sizes.items(), key=lambda pair: pair[1])):
        found[name] = min(size, left // (len(sizes) - place))
        left -= found[name]
    return {name: found[name] for name in sizes}

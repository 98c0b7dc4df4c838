"""The fields of a data set's schema, with the minimum count that was asked for."""

from collections.abc import Iterable
from typing import Any

from launch.datasets.raw import Options
from zoo.data.columns import Categorical


def fields_of(
    names: Iterable[str],
    options: Options,
    min_count: int = 1,
    shares: Iterable[str | None] = (),
    **arguments: Any,
) -> list[Categorical]:
    """Makes categorical fields that differ by name only.

    Args:
        names: Names of the fields.
        options: Its `min_count`, if any, replaces that of the data set.
        min_count: The data set's own: values with fewer training occurrences become id 0.
        shares: By name's place, the field whose vocabulary it shares; none by default.
        **arguments: Further arguments of `Categorical`.

    Returns:
        The fields, in the order of the names.

    Raises:
        SchemaError: If an argument is out of range.

    Example:
        >>> [field.min_count for field in fields_of(["C1", "C2"], Options(), min_count=10)]
        [10, 10]
    """
    least = min_count if options.min_count is None else options.min_count
    names = list(names)
    owners = list(shares) or [None] * len(names)
    return [
        Categorical(name, min_count=least, shares=owner, **arguments)
        for name, owner in zip(names, owners, strict=True)
    ]

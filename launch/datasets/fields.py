"""The fields of a data set's schema, with the minimum count of the options."""

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
    """Creates categorical fields with the same arguments.

    Args:
        names: names of the fields.
        options: `Options`; its `min_count`, if not `None`, replaces that of the data set.
        min_count: int, minimum count of the data set: values with fewer training occurrences
            become id 0. Defaults to 1.
        shares: for each name, the field whose vocabulary it shares, or `None`. Defaults to none.
        **arguments: other arguments of `Categorical`.

    Returns:
        List of `Categorical`, in the order of the names.

    Raises:
        SchemaError: if an argument is out of range.

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

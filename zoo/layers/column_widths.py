"""Vector widths per column."""

from __future__ import annotations

from collections.abc import Mapping

from tf_helen.core.checks import whole_number
from zoo.data.schema import Schema


def column_widths(
    schema: Schema, width: int, dims: Mapping[str, int] | None = None, direct: bool = False
) -> dict[str, int]:
    """Returns the width of each column's vector.

    Args:
        schema: `zoo.Schema`, the columns.
        width: int, width of the columns that `dims` does not name.
        dims: dict `{name: width}`, or `None`.
        direct: boolean; numbers have no vector and take one place each.

    Returns:
        Dict `{name: width}` of all columns, the fields before the numbers.

    Raises:
        ValueError: on an unknown name, a width < 1, a width for a number without a vector, or
            different widths of fields that share.

    Example:
        >>> import zoo
        >>> column_widths(Schema("s", [zoo.Categorical("a", 9)], [zoo.Numeric("x")]), 4, {"x": 1})
        {'a': 4, 'x': 1}
    """
    if not isinstance(dims or {}, Mapping):
        raise ValueError(
            f"`embedding_dims` must be a dict such as {{'user': 32}}. Received: {dims!r}"
        )
    dims = dims or {}
    names = [column.name for column in schema.columns]
    for name, other in dims.items():
        if name not in names:
            raise ValueError(
                f"embedding_dims names {name!r}; the columns are {', '.join(names[:50])}"
            )
        whole_number(f"embedding_dims[{name!r}]", other)
        if direct and name in [column.name for column in schema.numeric]:
            raise ValueError(
                f"embedding_dims[{name!r}]={other!r}, but numeric='direct' embeds no number"
            )
    widths = {name: dims.get(name, width) for name in names}
    if direct:
        widths |= {column.name: 1 for column in schema.numeric}
    for field in schema.categorical:
        if field.shares is not None and widths[field.name] != widths[field.shares]:
            raise ValueError(
                f"fields {field.name!r} and {field.shares!r} share their embeddings; give both "
                "the same width"
            )
    return widths

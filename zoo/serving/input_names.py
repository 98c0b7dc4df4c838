"""What the columns of a schema are called among the inputs of a SavedModel's signature."""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterable


def input_name(column: str) -> str:
    """The name that a column has among the inputs of a SavedModel's signature.

    Args:
        column: name of a column.

    Returns:
        The name with "_" for what TensorFlow does not allow there.

    Example:
        >>> input_name("site.id-x")
        'site_id_x'
    """
    name = re.sub(r"[^A-Za-z0-9_]", "_", column)
    return name if re.match("[A-Za-z]", name) else f"column_{name}"


def input_names(columns: Iterable[str]) -> dict[str, str]:
    """The name of each column among the inputs of a SavedModel's signature.

    Args:
        columns: names of all columns, in the order of the schema.

    Returns:
        The names by column, all different. A column keeps its own name where TensorFlow and Python
        allow it. The others get `input_name`; `column_` goes before a word of Python, such as
        `class`; a number goes behind a name that another column has, be it in capitals.

    Example:
        >>> input_names(["user", "site.id", "site_id", "class"])
        {'user': 'user', 'site.id': 'site_id_2', 'site_id': 'site_id', 'class': 'column_class'}
    """
    wanted = {column: _no_word(input_name(column)) for column in columns}
    taken: dict[str, str] = {}  # TensorFlow tells no capitals from small letters here
    for column, name in wanted.items():
        if column == name:
            taken.setdefault(name.lower(), column)
    for column, name in wanted.items():
        number = 2
        while taken.setdefault(wanted[column].lower(), column) != column:
            wanted[column], number = f"{name}_{number}", number + 1
    return wanted


def _no_word(name: str) -> str:
    """A name that can be that of an argument; `self` is what TensorFlow names its own."""
    return f"column_{name}" if keyword.iskeyword(name) or name == "self" else name

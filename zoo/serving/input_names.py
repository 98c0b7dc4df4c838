"""The input names of a schema's columns in a SavedModel's signature."""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterable


def input_name(column: str) -> str:
    """Returns the input name of a column in a SavedModel's signature.

    Args:
        column: string, name of a column.

    Returns:
        String, with "_" in place of characters that TensorFlow does not allow.

    Example:
        >>> input_name("site.id-x")
        'site_id_x'
    """
    name = re.sub(r"[^A-Za-z0-9_]", "_", column)
    return name if re.match("[A-Za-z]", name) else f"column_{name}"


def input_names(columns: Iterable[str]) -> dict[str, str]:
    """Returns the input name of each column in a SavedModel's signature.

    Args:
        columns: sequence of strings, names of all columns in the order of the schema.

    Returns:
        Dict from column to input name; all input names differ. A column keeps its own name if
        TensorFlow and Python allow it. Other columns get `input_name`, with the prefix `column_` if
        it is a Python keyword, such as `class`, and a number as suffix if another column has the
        same name, ignoring case.

    Example:
        >>> input_names(["user", "site.id", "site_id", "class"])
        {'user': 'user', 'site.id': 'site_id_2', 'site_id': 'site_id', 'class': 'column_class'}
    """
    wanted = {column: _no_word(input_name(column)) for column in columns}
    taken: dict[str, str] = {}  # TensorFlow ignores case here
    for column, name in wanted.items():
        if column == name:
            taken.setdefault(name.lower(), column)
    for column, name in wanted.items():
        number = 2
        while taken.setdefault(wanted[column].lower(), column) != column:
            wanted[column], number = f"{name}_{number}", number + 1
    return wanted


def _no_word(name: str) -> str:
    """Returns a valid argument name other than `self`, which TensorFlow uses itself."""
    return f"column_{name}" if keyword.iskeyword(name) or name == "self" else name

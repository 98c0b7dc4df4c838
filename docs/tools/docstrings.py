"""Reads this project's docstrings as Griffe does Google's style."""

from __future__ import annotations

import re
from typing import Any

import griffe

_EXAMPLE = re.compile(r"^( *)Example:[ ]*$", re.MULTILINE)


class Docstrings(griffe.Extension):
    """Renames the section `Example:`, which Griffe calls `Examples:`."""

    def on_instance(self, *, obj: griffe.Object | griffe.Alias, **kwargs: Any) -> None:
        """Changes the docstring of an object; see Griffe."""
        if not obj.is_alias and obj.docstring is not None:
            obj.docstring.value = _EXAMPLE.sub(r"\1Examples:", obj.docstring.value)

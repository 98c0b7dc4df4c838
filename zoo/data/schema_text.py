"""Schemas as JSON text for people to edit: one line per column, without defaults."""

from __future__ import annotations

import dataclasses
import json
from typing import Any, TypeVar

from zoo.data.columns import Categorical, Numeric, SchemaError, shown

_Schema = TypeVar("_Schema")  # zoo.Schema, which imports this file
_ROLES = ("label", "weight", "group", "time")
_FLAGS = ("time_ordered", "keep_time")
_KINDS = {"categorical": Categorical, "numeric": Numeric}


def schema_to_text(schema: Any) -> str:
    """Writes a schema as JSON.

    Args:
        schema: `zoo.Schema` to write.

    Returns:
        String that `schema_from_text` reads.

    Example:
        >>> import zoo
        >>> print(schema_to_text(zoo.Schema("tiny", [zoo.Categorical("user", 10)])))
        {
          "version": 2,
          "name": "tiny",
          "label": "label",
          "categorical": [
            {"name": "user", "size": 10}
          ],
          "numeric": []
        }
        <BLANKLINE>
    """
    entries = {"version": schema.version, "name": schema.name}
    entries |= {role: getattr(schema, role) for role in _ROLES if getattr(schema, role) is not None}
    entries |= {name: True for name in _FLAGS if getattr(schema, name)}
    lines = [f"  {_json(key)}: {_json(value)}" for key, value in entries.items()]
    for kind in _KINDS:
        columns = ",\n".join(f"    {_json(_without_defaults(c))}" for c in getattr(schema, kind))
        lines.append(f"  {_json(kind)}: [\n{columns}\n  ]" if columns else f"  {_json(kind)}: []")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def schema_from_text(text: str, path: str, cls: type[_Schema], version: int) -> _Schema:
    """Reads a schema from JSON.

    Args:
        text: string, the JSON text.
        path: string, where it comes from, for error messages.
        cls: the class to create.
        version: int, the newest supported version of the format.

    Returns:
        The schema, in the newest version; older versions get defaults for new entries.

    Raises:
        SchemaError: names the problem.

    Example:
        >>> import zoo
        >>> text = schema_to_text(zoo.Schema("tiny", [zoo.Categorical("user", 10)]))
        >>> schema_from_text(text, "my.json", zoo.Schema, 2).field_sizes
        {'user': 10}
    """
    try:
        content = json.loads(text)
    except RecursionError:
        raise SchemaError(f"{path} is not valid JSON (nested too deeply); prepare again") from None
    except ValueError as error:
        raise SchemaError(f"{path} is not valid JSON ({error}); fix it or prepare again") from None
    if not isinstance(content, dict):
        raise SchemaError(f"{path} is not a schema but a JSON {type(content).__name__}")
    found = content.pop("version", None)
    if isinstance(found, bool) or not isinstance(found, int) or not 1 <= found <= version:
        raise SchemaError(
            f"{path} has version {shown(found)}, this code reads versions 1 to {version}; "
            "update tf-helen or prepare the data again"
        )
    try:
        for kind, column in _KINDS.items():
            content[kind] = [_column(column, entry, kind) for entry in content.get(kind, ())]
        return cls(**content)
    except SchemaError as error:
        raise SchemaError(f"{path}: {error}") from None
    except TypeError as error:
        raise SchemaError(
            f"{path} is not a schema (missing or unknown entry: {error}); its entries are name, "
            f"{', '.join(_ROLES)}, {', '.join(_FLAGS)}, {', '.join(_KINDS)}"
        ) from None


def _column(cls: type, entry: Any, kind: str) -> Any:
    known = [field.name for field in dataclasses.fields(cls)]
    if not isinstance(entry, dict):
        raise SchemaError(f'{kind} column {shown(entry)}: use an object such as {{"name": "user"}}')
    for key in entry:
        if key not in known:
            raise SchemaError(
                f"{kind} column {shown(entry.get('name'))} has no entry {shown(key)}; use "
                f"{', '.join(known)}"
            )
    if "name" not in entry:
        raise SchemaError(f"{kind} column {shown(entry)} has no 'name'; add one")
    return cls(**entry)


def _without_defaults(column: Any) -> dict[str, Any]:
    return {
        field.name: getattr(column, field.name)
        for field in dataclasses.fields(column)
        if getattr(column, field.name) != field.default
    }


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)

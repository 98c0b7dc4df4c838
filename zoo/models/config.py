"""What the config of a model holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

from zoo.data.schema import Categorical, Numeric, Schema


def plain(value: Any) -> Any:
    """What a `.keras` file can hold: numbers, texts, lists, dicts, serialized Keras objects.

    Args:
        value: an argument of a model.

    Returns:
        The same in those terms.

    Example:
        >>> plain((1, {"a": (2,)}))
        [1, {'a': [2]}]
    """
    if isinstance(value, (tuple, list)):
        return [plain(item) for item in value]
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return keras.saving.serialize_keras_object(value)


def as_schema(schema: Any) -> Schema:
    """A schema as it is, or from the dict that a model's `get_config` wrote.

    Args:
        schema: one or the other.

    Returns:
        The schema.

    Raises:
        ValueError: on anything else.

    Example:
        >>> import dataclasses, zoo
        >>> schema = Schema("s", [zoo.Categorical("user", 9)])
        >>> as_schema(dataclasses.asdict(schema)) == schema
        True
    """
    if isinstance(schema, Schema):
        return schema
    if not isinstance(schema, dict):
        raise ValueError(
            f"`schema` must be a zoo.Schema, such as zoo.Schema.load(directory). "
            f"Received: {type(schema).__name__}"
        )
    fields = [Categorical(**field) for field in schema["categorical"]]
    numbers = [Numeric(**column) for column in schema["numeric"]]
    return Schema(**{**schema, "categorical": fields, "numeric": numbers})

"""Conversion of a model's arguments to and from its config."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

from zoo.data.schema import Categorical, Numeric, Schema


def plain(value: Any) -> Any:
    """Converts a value to types that a `.keras` file can hold.

    Args:
        value: an argument of a model.

    Returns:
        A number, string, list, dict or serialized Keras object.

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
    """Returns a schema, from a schema or from the dict in a model's config.

    Args:
        schema: `zoo.Schema`, or the dict that `get_config` returned.

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

"""Selection of some columns of a schema from the features."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf

from tf_helen.core.checks import nearest
from zoo.data.schema import Schema


class ColumnSubset:
    """Selects the features of some columns.

    Args:
        schema: `zoo.Schema` of all columns.
        names: sequence of strings, the columns to select.
        setting: string, name of the argument that holds the names, for error messages. Defaults to
            "names".

    Attributes:
        schema: `zoo.Schema` of the selected columns, in the order of the original schema.

    Raises:
        ValueError: if a name is unknown or occurs twice, or no name is given.

    Example:
        >>> import zoo
        >>> schema = Schema("s", [zoo.Categorical("user", 9), zoo.Categorical("item", 5)])
        >>> subset = ColumnSubset(schema, ["item"])
        >>> subset({"ids": tf.constant([[7, 3]])})["ids"].numpy().tolist()
        [[3]]
    """

    def __init__(self, schema: Schema, names: Sequence[str], setting: str = "names"):
        known = [column.name for column in schema.columns]
        if isinstance(names, str) or not names or len(set(names)) != len(names):
            raise ValueError(f"`{setting}` must be distinct names of columns. Received: {names!r}")
        for name in names:
            if name not in known:
                raise ValueError(
                    f"`{setting}`: schema {schema.name!r} has no column {name!r}."
                    f"{nearest(name, known)}"
                )
        ends = np.cumsum([field.length for field in schema.categorical])
        self._ids: list[int] = []
        fields = []
        for field, end in zip(schema.categorical, ends, strict=True):
            if field.name in names:
                self._ids += range(end - field.length, end)
                # A field that shares with a column that is not selected gets its own vectors.
                shares = field.shares if field.shares in names else None
                fields.append(dataclasses.replace(field, shares=shares))
        places = [i for i, column in enumerate(schema.numeric) if column.name in names]
        self._numeric = places
        numeric = tuple(schema.numeric[i] for i in places)
        self.schema = dataclasses.replace(schema, categorical=tuple(fields), numeric=numeric)

    def __call__(self, features: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Returns the features of the selected columns."""
        places = {"ids": self._ids, "numeric": self._numeric}
        return {key: tf.gather(features[key], at, axis=1) for key, at in places.items() if at}

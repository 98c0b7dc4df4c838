"""Checks of the features that models take, and standardization of numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from tf_helen.layers.ids import check_dtype
from zoo.data.schema import Schema
from zoo.data.subnormals import flush


def check_features(schema: Schema, features: Any) -> None:
    """Raises unless `features` is the dictionary that the schema describes.

    Args:
        schema: the columns a model was built for.
        features: inputs of the model, `{"ids": [B, W], "numeric": [B, N]}`; a key is needed only
            if the schema has such columns.

    Raises:
        ValueError: names the missing key, or the width that differs.
        TypeError: if ids are not integers; names their dtype.

    Example:
        >>> import numpy as np, zoo
        >>> check_features(Schema("s", [zoo.Categorical("user", 9)]), {"ids": np.array([[3]])})
    """
    widths = {"ids": schema.ids_width, "numeric": len(schema.numeric)}
    needed = {key: width for key, width in widths.items() if width}
    if not isinstance(features, Mapping) or not set(needed) <= set(features):
        given = sorted(features) if isinstance(features, Mapping) else type(features).__name__
        raise ValueError(
            f"Models of schema {schema.name!r} take a dict with the keys {sorted(needed)}. "
            f"Received: {given}. `zoo.read_tfrecords` yields such dicts."
        )
    for key, width in needed.items():
        found = features[key].shape[-1] if len(features[key].shape) == 2 else None
        if found != width:
            raise ValueError(
                f"Feature {key!r} must have the shape [batch, {width}] for schema "
                f"{schema.name!r}. Received: {tuple(features[key].shape)}"
            )
    if "ids" in needed:
        check_dtype(features["ids"].dtype, f"Feature 'ids' of schema {schema.name!r}")


def standardized(schema: Schema, numeric: tf.Tensor, dtype: Any) -> tf.Tensor:
    """Returns numeric columns after their transform, with zero mean and unit deviation.

    Args:
        schema: `zoo.Schema` whose numeric columns have a transform, mean and deviation.
        numeric: float `[B, N]`, raw values.
        dtype: dtype of the result.

    Returns:
        `[B, N]`, `(f(value) - mean) / std` computed in float32; `f(x) = sign(x) log(1 + |x|)` for
        columns with `transform="log"`, else x.

    Example:
        >>> import zoo
        >>> schema = Schema("s", [], [zoo.Numeric("price", mean=2.0, std=0.5)])
        >>> standardized(schema, tf.constant([[3.0]]), "float32").numpy().tolist()
        [[2.0]]
    """
    mean = tf.constant([column.mean for column in schema.numeric], tf.float32)
    std = tf.constant([column.std for column in schema.numeric], tf.float32)
    # Before a cast to half precision, where subtracting a large mean loses the value.
    numbers = flush(tf.cast(numeric, tf.float32))
    is_log = [column.transform == "log" for column in schema.numeric]
    if any(is_log):
        logs = tf.sign(numbers) * tf.math.log1p(tf.abs(numbers))
        numbers = logs if all(is_log) else tf.where(is_log, logs, numbers)
    return tf.cast((numbers - mean) / std, dtype)

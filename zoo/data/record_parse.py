"""Parses batches of records with TensorFlow operations and checks them against a schema."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError

from zoo.data.batch_check import explain_bad_id, id_limits
from zoo.data.record_layout import Feature, record_layout
from zoo.data.schema import Schema

Parsed = tuple  # (features, label) or (features, label, weight)


def parser(
    schema: Schema, layout: str = "packed", group: bool = False, time: bool = False
) -> Callable[[tf.Tensor], Parsed]:
    """Creates the function that parses a batch of serialized records.

    Args:
        schema: columns of the records.
        layout: "packed" or "columns".
        group: whether to return the group ids too. Defaults to False.
        time: whether to return the times too. Defaults to False.

    Returns:
        A function from [B] strings to `({"ids": int32 [B, W], "numeric": float32 [B, N], "group":
        int64 [B, 1]}, label float32 [B, 1])`, with the keys that the schema needs. If the schema
        has a weight, it is the third element, float32 [B, 1].

    Example:
        >>> example = tf.train.Example()
        >>> example.features.feature["ids"].int64_list.value.append(3)
        >>> example.features.feature["label"].float_list.value.append(1.0)
        >>> parse = parser(Schema("s", [Categorical("user", 5)]))
        >>> features, label = parse(tf.constant([example.SerializeToString()]))
        >>> features["ids"].numpy().tolist(), label.numpy().tolist()
        ([[3]], [[1.0]])
    """
    left_out = {part for part, wanted in (("group", group), ("time", time)) if not wanted}
    wanted = [f for f in record_layout(schema, layout) if f.part not in left_out]

    def parse(serialized: tf.Tensor) -> Parsed:
        parts, _ = _parse(serialized, wanted)
        rest = [parts.pop("label")]
        if "weight" in parts:
            rest.append(parts.pop("weight"))
        if "ids" in parts:
            # For unchecked files: an id that overflows could become the id of another row.
            parts["ids"] = tf.saturate_cast(parts["ids"], tf.int32)
        return (parts, *rest)

    return parse


@cache
def good_records(schema: Schema, layout: str) -> Callable[[tf.Tensor], tf.Tensor]:
    """Creates the function that checks the values of a batch of records.

    Args:
        schema: columns of the records.
        layout: "packed" or "columns".

    Returns:
        A function from [B] strings to [B] booleans. It raises `tf.errors.InvalidArgumentError` if a
        record is not an Example, lacks values, or has values of the wrong type.

    Example:
        >>> good_records(Schema("s", [Categorical("user", 5)]), "packed")(tf.constant([b"?"]))
        Traceback (most recent call last):
        tensorflow.python.framework.errors_impl.InvalidArgumentError: ...
    """
    low, high = id_limits(schema)
    wanted = record_layout(schema, layout)

    @tf.function(autograph=False, input_signature=[tf.TensorSpec([None], tf.string)])
    def check(serialized: tf.Tensor) -> tf.Tensor:
        parts, good = _parse(serialized, wanted)
        label = parts["label"][:, 0]
        good &= (label >= 0) & (label <= 1)  # false for NaN
        if "ids" in parts:
            good &= tf.reduce_all((parts["ids"] >= low) & (parts["ids"] <= high), axis=1)
        if "numeric" in parts:
            good &= tf.reduce_all(tf.math.is_finite(parts["numeric"]), axis=1)
        if "weight" in parts:
            weight = parts["weight"][:, 0]
            good &= tf.math.is_finite(weight) & (weight >= 0)
        return good

    return check


def _parse(
    serialized: tf.Tensor, wanted: list[Feature] | tuple[Feature, ...]
) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
    """Returns each part of the rows, and which rows have no list that is too long."""
    spec = {}
    for feature in wanted:
        dtype = tf.int64 if feature.kind == "int64_list" else tf.float32
        spec[feature.key] = (
            tf.io.FixedLenSequenceFeature([], dtype, allow_missing=True, default_value=-1)
            if feature.ragged
            else tf.io.FixedLenFeature([feature.width], dtype)
        )
    found = tf.io.parse_example(serialized, spec)
    columns: dict[str, list[tf.Tensor]] = {}
    good = tf.ones_like(serialized, tf.bool)
    for feature in wanted:
        values = found[feature.key]
        if feature.ragged:
            # Padded to the longest list of the batch; a value beyond the width is one too many.
            good &= tf.reduce_all(values[:, feature.width :] == -1, axis=1)
            values = tf.pad(
                values[:, : feature.width],
                [[0, 0], [0, tf.maximum(0, feature.width - tf.shape(values)[1])]],
                constant_values=-1,
            )
            values = tf.ensure_shape(values, [None, feature.width])
        columns.setdefault(feature.part, []).append(values)
    parts = {
        part: values[0] if len(values) == 1 else tf.concat(values, axis=1)
        for part, values in columns.items()
    }
    return parts, good


def explain_record(record: bytes, schema: Schema, layout: str) -> str | None:
    """Describes why a record does not match the schema.

    Args:
        record: a serialized record, without its frame.
        schema: columns expected.
        layout: "packed" or "columns".

    Returns:
        A string with the first problem, or None.

    Example:
        >>> explain_record(b"?", Schema("s", [Categorical("user", 5)]), "packed")
        'could not be parsed as a tf.train.Example (1 byte)'
    """
    try:
        features = tf.train.Example.FromString(record).features.feature
    except DecodeError:
        size = f"{len(record):,} byte{'s' * (len(record) != 1)}"
        return f"could not be parsed as a tf.train.Example ({size})"
    ids = []
    for feature in record_layout(schema, layout):
        found = features[feature.key] if feature.key in features else tf.train.Feature()
        other = found.WhichOneof("kind")
        values = list(getattr(found, feature.kind).value)
        fits = len(values) <= feature.width if feature.ragged else len(values) == feature.width
        if not fits or (other not in (None, feature.kind)):
            most = "up to " if feature.ragged else ""
            instead = "" if other in (None, feature.kind) else f", but a {other}"
            return (
                f"expected {most}{feature.width} values of type {feature.kind} in "
                f"{feature.key!r}, found {len(values)}{instead}"
            )
        if feature.part == "ids":
            ids += values + [-1] * (feature.width - len(values))
        trouble = _bad_number(values, feature, schema)
        if trouble:
            return trouble
    return explain_bad_id(np.array(ids, np.int64), schema) if ids else None


def _bad_number(values: list, feature: Feature, schema: Schema) -> str | None:
    for place, value in enumerate(values):
        if feature.part == "numeric" and not math.isfinite(value):
            column = schema.numeric[feature.start + place].name
            return f"column {column!r} is {value}, allowed are finite numbers"
        if feature.part == "label" and not 0 <= value <= 1:
            return f"the label is {value}, allowed are 0 to 1"
        if feature.part == "weight" and not 0 <= value < math.inf:
            return f"the weight is {value}, allowed are finite numbers of 0 or more"
    return None

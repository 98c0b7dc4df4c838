"""The second pass: encodes rows of raw values as ids and numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np
import polars as pl
import tensorflow as tf

from launch.datasets.times import read_times
from launch.preparation.fields import FieldEncoder
from launch.preparation.lookup import SortedLookup
from launch.preparation.rows import in_parallel
from launch.preparation.texts import numbers
from zoo.data.schema import Schema

_LARGEST = 2**63 - 1  # maximum of int64, the dtype of the group in records


class RowEncoder:
    """Encodes slices of rows.

    Args:
        schema: `Schema`, the columns with sizes and statistics.
        vocabularies: dict from field to its values by id, `<oov>` first, or its `SortedLookup`, for
            fields that have a vocabulary.
        most_cached: int, number of texts per field whose ids are cached. Defaults to `None`, see
            `FieldEncoder`.

    Attributes:
        changed: `Counter`, number of changed values by reason.

    Example:
        >>> from zoo import Categorical
        >>> schema = Schema("tiny", [Categorical("user", 2)])
        >>> encoder = RowEncoder(schema, {"user": pl.Series(["<oov>", "ann"])})
        >>> encoder.encode(pl.DataFrame({"label": [1.0], "user": ["ann"]}))["ids"].tolist()
        [[1]]
    """

    def __init__(
        self,
        schema: Schema,
        vocabularies: Mapping[str, pl.Series | SortedLookup],
        most_cached: int | None = None,
    ):
        self._schema = schema
        self._fields = [
            FieldEncoder(field, vocabularies.get(field.name), most_cached)
            for field in schema.categorical
        ]
        self.changed: Counter[str] = Counter()

    def encode(self, rows: pl.DataFrame) -> dict[str, np.ndarray]:
        """Encodes a slice.

        Args:
            rows: polars `DataFrame`, n rows of raw values; label and weight are numbers.

        Returns:
            Dict of arrays: "label" float32 `[n]`, and, if the schema has such columns, "ids" int32
            `[n, W]`, "numeric" float32 `[n, N]`, "weight" float32 `[n]`, "group" and "time"
            int64 `[n]`.
        """
        schema = self._schema
        batch = {"label": rows[schema.label].cast(pl.Float32).to_numpy()}
        if schema.categorical:
            ids = in_parallel(lambda f: f.ids(rows[f.field.name], self.changed), self._fields)
            batch["ids"] = np.concatenate(ids, axis=1)
        if schema.numeric:
            columns = [numbers(rows[c.name], c, self.changed) for c in schema.numeric]
            batch["numeric"] = np.stack(columns, axis=1)
        if schema.weight is not None:
            batch["weight"] = rows[schema.weight].cast(pl.Float32).to_numpy()
        if schema.group is not None:
            batch["group"] = fingerprints(rows[schema.group])
        if schema.keep_time:
            batch["time"] = read_times(rows, schema.time).floor().cast(pl.Int64).to_numpy()
        return batch


def fingerprints(column: pl.Series) -> np.ndarray:
    """Hashes the values of a column to numbers that are the same on every machine.

    Args:
        column: polars `Series` `[n]`, raw values; a missing value counts as "".

    Returns:
        int64 `[n]`, FarmHash64 of the text.

    Example:
        >>> first, second = fingerprints(pl.Series(["ann", "ann"]))
        >>> bool(first == second)
        True
    """
    distinct = column.cast(pl.String).fill_null("").alias("value").to_frame()
    distinct = distinct.with_columns(pl.col("value").rank("dense").alias("place") - 1)
    values = distinct.unique("value").sort("place")["value"]
    hashed = tf.strings.to_hash_bucket_fast(tf.constant(values.to_list(), tf.string), _LARGEST)
    return hashed.numpy()[distinct["place"].to_numpy()]

"""The embedding layer that all models share."""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_helen.core.checks import one_of
from tf_helen.layers import DynamicEmbedding, Embedding
from zoo.data.schema import Schema
from zoo.features import check_features, standardized
from zoo.layers.column_widths import column_widths
from zoo.layers.dynamic_tables import divided, dynamic_settings

EMBEDDING_STDDEV = 0.01  # small, so that untrained rows hardly change the logits


class FieldEmbedding(keras.layers.Layer):
    """Embeds every column as one vector: ids by lookup, a number as its value times a vector.

    `e_j = table[ids_j]` (multi-valued: their mean or sum), `e_n = (f(x_n) - mean_n) / std_n v_n`.
    All fields of the same width are in one table; fields that share a vocabulary share its rows.

    Args:
        schema: `zoo.Schema`, the columns. output_dim: int, width d of the vectors.
        dims: dict `{name: width}` of columns with another width; needs `flat=True`. Defaults to
            `None`.
        flat: boolean; concatenates the vectors. Defaults to `False`.
        numeric: "embedded", or "direct": numbers have no vector; a flat output ends with their
            values, other outputs do not contain them. Defaults to "embedded".
        l2: float, strength of the L2 penalty on the distinct rows of the batch. Defaults to 0.
        initializer: Keras initializer of the table and the vectors. Defaults to `None`: normal with
            standard deviation 0.01.
        shards: int, variables per table, at most its rows; or "auto", see
            `tf_helen.layers.Embedding`. Defaults to 1.
        dynamic: int or dict, see `zoo.ClickModel`: the tables are
            `tf_helen.layers.DynamicEmbedding`. Defaults to `None`: a row for each id.
        embeddings_dtype, rounding: see `tf_helen.layers.Embedding`. Default to `None` and
            "stochastic".
        **kwargs: Keras's layer arguments.

    Input shape:
        `{"ids": int [B, W], "numeric": float [B, N]}`.

    Output shape:
        `[B, fields + N, d]`: the categorical fields in the schema's order, then the numbers. With
        `flat=True`: `[B, sum of widths]`.

    Raises:
        ValueError: on features that do not fit the schema, an unknown column, or, without
            `flat=True`, different widths or no column with a vector; on shards below 1.

    Example:
        >>> import numpy as np, zoo
        >>> schema = Schema("s", [zoo.Categorical("user", 9)], [zoo.Numeric("price")])
        >>> FieldEmbedding(schema, 4)({"ids": np.array([[3]]), "numeric": np.array([[0.5]])}).shape
        TensorShape([1, 2, 4])
    """

    def __init__(
        self,
        schema: Schema,
        output_dim: int,
        *,
        dims: Mapping[str, int] | None = None,
        flat: bool = False,
        numeric: str = "embedded",
        l2: float = 0.0,
        initializer: Any = None,
        shards: int | str = 1,
        dynamic: int | Mapping[str, Any] | None = None,
        embeddings_dtype: str | None = None,
        rounding: str = "stochastic",
        **kwargs: Any,
    ):
        # Otherwise Keras casts raw numbers to half precision before they are standardized.
        super().__init__(**{"autocast": False, **kwargs})
        schema.field_sizes  # noqa: B018 - raises if a size is unknown
        self.schema = schema
        self.flat = flat
        self.direct = one_of("numeric", numeric, ("embedded", "direct")) == "direct"
        self.widths = column_widths(schema, output_dim, dims, self.direct)
        if not flat and not self.vector_widths:
            raise ValueError(
                f"This model compares vectors, and schema {schema.name!r} has none; remove "
                "numeric='direct', or use a model such as DNN or DCNv2."
            )
        if len(set(self.vector_widths)) > 1 and not flat:
            raise ValueError(
                "This model needs vectors of the same width, because it compares or adds them. "
                f"Received: embedding_dim={output_dim} and embedding_dims={dict(dims or {})}; "
                "remove the latter, or use a model that concatenates vectors: DNN or DCNv2."
            )
        self.initializer = keras.initializers.get(
            initializer or keras.initializers.RandomNormal(stddev=EMBEDDING_STDDEV)
        )
        self.capacities, self._dynamic = {}, dynamic_settings(dynamic)
        if self._dynamic is not None:
            owned = {f.name: schema.field_sizes[f.name] for f in schema.categorical if not f.shares}
            self.capacities = divided(self._dynamic.pop("capacity"), owned)
        self._stored_as = embeddings_dtype, rounding
        groups: dict[int, list] = {}
        for field in schema.categorical:
            groups.setdefault(self.widths[field.name], []).append(field)
        self.tables = {width: self._table(fields, l2, shards) for width, fields in groups.items()}
        only = len(self.tables) == 1
        for width, table in self.tables.items():
            table.name = "table" if only else f"table_{width}"

    def _table(self, fields: list, l2: float, shards: int | str) -> Embedding:
        if isinstance(shards, int):
            owned = sum(field.size for field in fields if field.shares is None)
            shards = min(shards, max(owned, 1))
        width = self.widths[fields[0].name]
        settings = {
            "lengths": {field.name: field.length for field in fields},
            "pooling": {field.name: field.pooling for field in fields},
            "shared": {field.name: field.shares for field in fields if field.shares is not None},
            "embeddings_initializer": self._drawn(f"table_{width}"),
            "l2": l2,
            "shards": shards,
            "dtype": self.dtype_policy,
        }
        settings |= {"embeddings_dtype": self._stored_as[0], "rounding": self._stored_as[1]}
        if self._dynamic is None:
            return Embedding({field.name: field.size for field in fields}, width, **settings)
        capacity = {field.name: self.capacities[field.shares or field.name] for field in fields}
        return DynamicEmbedding(capacity, width, **settings, **self._dynamic)

    def _drawn(self, part: str) -> keras.initializers.Initializer:
        """Returns the initializer of a part, with its own seed, so that the parts differ."""
        config = self.initializer.get_config()
        if isinstance(config.get("seed"), int):
            place = zlib.crc32(f"{self.name}/{part}".encode())
            config["seed"] = (config["seed"] + place) % 2**31
        return type(self.initializer).from_config(config)

    def build(self, input_shape: Any = None) -> None:
        for table in self.tables.values():
            table.build((None, sum(table.lengths.values())))
        self.vectors = None
        if self.schema.numeric and not self.direct:
            widths = [self.widths[column.name] for column in self.schema.numeric]
            is_matrix = not self.flat or len(set(self.vector_widths)) == 1
            shape = (len(widths), widths[0]) if is_matrix else (sum(widths),)
            self.vectors = self.add_weight(shape, self._drawn("numeric"), name="numeric_vectors")
        self.built = True

    def call(
        self, inputs: Mapping[str, tf.Tensor], training: bool = False, pool: bool = True
    ) -> tf.Tensor:
        """Embeds the columns.

        Args:
            inputs: the features.
            training: boolean; adds the penalty to the loss.
            pool: boolean; combines the rows of a field. `False` needs a single width and returns a
                vector per id, `[B, W + N, d]`, zeros for padding (-1). Defaults to `True`.

        Returns:
            The vectors.
        """
        check_features(self.schema, inputs)
        numbers = None
        if self.schema.numeric and (self.flat or not self.direct):
            numbers = standardized(self.schema, inputs["numeric"], self.compute_dtype)
        if len(set(self.vector_widths)) > 1:
            return self._side_by_side(inputs.get("ids"), numbers, training)
        parts = []
        for table in self.tables.values():
            parts.append(table(inputs["ids"], training=training, pool=pool))
        if self.vectors is not None and numbers is not None:
            parts.append(numbers[:, :, None] * tf.cast(self.vectors, self.compute_dtype))
        if not self.flat:
            return _joined(parts)
        flat = [tf.reshape(part, [-1, math.prod(part.shape[1:])]) for part in parts]
        return _joined([*flat, numbers] if self.direct and numbers is not None else flat)

    def summed(self, inputs: Mapping[str, tf.Tensor], training: bool = False) -> tf.Tensor:
        """Returns the sum of all columns' vectors, `[B, d]`, without materializing them."""
        check_features(self.schema, inputs)
        parts = [
            tf.reduce_sum(table(inputs["ids"], training=training), axis=1)
            for table in self.tables.values()
        ]
        if self.vectors is not None:
            numbers = standardized(self.schema, inputs["numeric"], self.compute_dtype)
            parts.append(tf.matmul(numbers, tf.cast(self.vectors, self.compute_dtype)))
        return tf.add_n(parts)

    def _side_by_side(self, all_ids: tf.Tensor | None, numbers: Any, training: bool) -> tf.Tensor:
        parts: dict[str, tf.Tensor] = {}
        columns = _columns(self.schema)
        for table in self.tables.values():
            places = np.concatenate([columns[name] for name in table.fields])
            ids = tf.gather(all_ids, places, axis=1)
            found = table(ids, training=training)
            parts |= dict(zip(table.fields, tf.unstack(found, axis=1), strict=True))
        if self.direct and numbers is not None:
            return tf.concat(
                [*(parts[field.name] for field in self.schema.categorical), numbers], 1
            )
        if self.vectors is not None:
            widths = [self.widths[column.name] for column in self.schema.numeric]
            wide = tf.repeat(numbers, widths, axis=1) * tf.cast(self.vectors, self.compute_dtype)
            names = [column.name for column in self.schema.numeric]
            parts |= dict(zip(names, tf.split(wide, widths, axis=1), strict=True))
        return tf.concat([parts[name] for name in self.widths], axis=1)

    def compute_output_shape(self, input_shape: Any = None) -> tuple:
        if self.flat:
            return (None, sum(self.widths.values()))
        return (None, len(self.vector_widths), self.vector_widths[0])

    @property
    def vector_widths(self) -> list[int]:
        """The widths of the columns that have a vector."""
        columns = self.schema.categorical if self.direct else self.schema.columns
        return [self.widths[column.name] for column in columns]


def _joined(parts: list[tf.Tensor]) -> tf.Tensor:
    return parts[0] if len(parts) == 1 else tf.concat(parts, axis=1)


def _columns(schema: Schema) -> dict[str, np.ndarray]:
    """Returns the positions of each field's ids."""
    ends = np.cumsum([field.length for field in schema.categorical])
    return {
        field.name: np.arange(end - field.length, end)
        for field, end in zip(schema.categorical, ends, strict=True)
    }

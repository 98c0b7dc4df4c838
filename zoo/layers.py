"""Layers that the models of the zoo share: embedded fields, the linear part, the MLP."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from tf_helen.layers import Embedding
from zoo.features import check_features, standardized
from zoo.schema import Schema

__all__ = ["MLP", "FieldEmbedding", "Linear"]

EMBEDDING_STDDEV = 0.01  # small: what a first epoch has not taught must not speak loudly


class FieldEmbedding(keras.layers.Layer):
    """Embeds every column as one vector: ids by lookup, a number as its value times a vector.

    `e_j = table[ids_j]` (several values: their mean or sum), `e_n = (x_n - mean_n) / std_n * v_n`.

    Args:
        schema: the columns; all fields share one table.
        output_dim: width d of the vectors.
        l2: strength of the L2 penalty on the distinct rows of the batch, added to the loss.
        initializer: Keras initializer of the table and the vectors; by default normal, 0.01 wide.
        **kwargs: Keras's layer arguments.

    Input shape:
        `{"ids": int [B, W], "numeric": float [B, N]}`.

    Output shape:
        `[B, fields + N, d]`: the categorical fields in the schema's order, then the numbers.

    Raises:
        ValueError: on features that do not fit the schema.

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
        l2: float = 0.0,
        initializer: Any = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.schema = schema
        self.output_dim = output_dim
        self.initializer = keras.initializers.get(
            initializer or keras.initializers.RandomNormal(stddev=EMBEDDING_STDDEV)
        )
        self.table = None
        if schema.categorical:
            self.table = Embedding(
                schema.field_sizes,
                output_dim,
                lengths=schema.field_lengths,
                pooling={field.name: field.pooling for field in schema.categorical},
                embeddings_initializer=self.initializer,
                l2=l2,
                dtype=self.dtype_policy,
                name="table",
            )

    def build(self, input_shape: Any = None) -> None:
        if self.table is not None:
            self.table.build((None, self.schema.ids_width))
        self.vectors = None
        if self.schema.numeric:
            # Its own copy: a seeded initializer refuses to be used twice.
            initializer = self.initializer.clone()
            self.vectors = self.add_weight(
                (len(self.schema.numeric), self.output_dim), initializer, name="numeric_vectors"
            )
        self.built = True

    def call(self, inputs: Mapping[str, tf.Tensor], training: bool = False) -> tf.Tensor:
        check_features(self.schema, inputs)
        parts = []
        if self.table is not None:
            parts.append(self.table(inputs["ids"], training=training))
        if self.vectors is not None:
            numbers = standardized(self.schema, inputs["numeric"], self.compute_dtype)
            parts.append(numbers[:, :, None] * tf.cast(self.vectors, self.compute_dtype))
        return parts[0] if len(parts) == 1 else tf.concat(parts, axis=1)

    def compute_output_shape(self, input_shape: Any = None) -> tuple:
        columns = len(self.schema.categorical) + len(self.schema.numeric)
        return (None, columns, self.output_dim)


class Linear(keras.layers.Layer):
    """Logistic regression's logit: `b + sum_j w[ids_j] + sum_n u_n (x_n - mean_n) / std_n`.

    Args:
        schema: the columns. The weights of all ids are one table of width 1.
        l2: strength of the L2 penalty on the distinct rows of the batch, added to the loss.
        **kwargs: Keras's layer arguments.

    Input shape:
        `{"ids": int [B, W], "numeric": float [B, N]}`.

    Output shape:
        `[B, 1]`, float32.

    Raises:
        ValueError: on features that do not fit the schema.

    Example:
        >>> import numpy as np, zoo
        >>> Linear(Schema("s", [zoo.Categorical("user", 9)]))({"ids": np.array([[3]])}).shape
        TensorShape([1, 1])
    """

    def __init__(self, schema: Schema, *, l2: float = 0.0, **kwargs: Any):
        # One sum of few terms: half precision would cost accuracy and save nothing.
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.schema = schema
        self.terms = FieldEmbedding(
            schema, 1, l2=l2, initializer="zeros", dtype="float32", name="weights"
        )

    def build(self, input_shape: Any = None) -> None:
        self.terms.build(input_shape)
        self.bias = self.add_weight((1,), "zeros", name="bias")
        self.built = True

    def call(self, inputs: Mapping[str, tf.Tensor], training: bool = False) -> tf.Tensor:
        return tf.reduce_sum(self.terms(inputs, training=training), axis=1) + self.bias

    def compute_output_shape(self, input_shape: Any = None) -> tuple:
        return (None, 1)


class MLP(keras.layers.Layer):
    """Hidden layers, each `dropout(activation(batch_norm(W x + b)))`.

    Args:
        hidden_units: width of each hidden layer; none: the input is returned.
        activation: Keras activation.
        dropout: share of units dropped in training, in [0, 1).
        batch_norm: normalize before the activation.
        **kwargs: Keras's layer arguments.

    Input shape:
        `[B, k]`.

    Output shape:
        `[B, hidden_units[-1]]`.

    Raises:
        ValueError: on a width < 1 or dropout outside [0, 1).

    Example:
        >>> import numpy as np
        >>> MLP((8, 4), dropout=0.1)(np.ones((2, 3))).shape
        TensorShape([2, 4])
    """

    def __init__(
        self,
        hidden_units: Sequence[int],
        *,
        activation: Any = "relu",
        dropout: float = 0.0,
        batch_norm: bool = False,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        if not 0 <= dropout < 1:
            raise ValueError(f"`dropout` must be a number in [0, 1). Received: {dropout!r}")
        self.steps = []
        for i, units in enumerate(hidden_units):
            if isinstance(units, bool) or not isinstance(units, int) or units < 1:
                raise ValueError(
                    f"`hidden_units` must be integers >= 1, such as (200, 200). "
                    f"Received: {tuple(hidden_units)!r}"
                )
            policy = {"dtype": self.dtype_policy}
            self.steps.append(keras.layers.Dense(units, name=f"dense_{i}", **policy))
            if batch_norm:
                self.steps.append(keras.layers.BatchNormalization(name=f"norm_{i}", **policy))
            self.steps.append(keras.layers.Activation(activation, name=f"act_{i}", **policy))
            if dropout:
                self.steps.append(keras.layers.Dropout(dropout, name=f"drop_{i}", **policy))

    def build(self, input_shape: tuple) -> None:
        for step in self.steps:
            step.build(input_shape)
            input_shape = step.compute_output_shape(input_shape)
        self.built = True

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        for step in self.steps:
            takes_training = isinstance(
                step, (keras.layers.Dropout, keras.layers.BatchNormalization)
            )
            inputs = step(inputs, training=training) if takes_training else step(inputs)
        return inputs

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        for step in self.steps:
            input_shape = step.compute_output_shape(input_shape)
        return input_shape

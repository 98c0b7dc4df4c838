"""What every model of the zoo does alike: hold its schema, build at once, serialize."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

import tf_helen
from zoo.features import check_features
from zoo.layers import MLP, FieldEmbedding
from zoo.schema import Categorical, Numeric, Schema


class ClickModel(tf_helen.Model):
    """Base of the models: embedded fields, an MLP, and a logit.

    A subclass makes its own layers in `make_layers` and writes `logits`.

    Args:
        schema: the columns of the data.
        embedding_dim: width d of the embeddings.
        hidden_units: widths of the MLP.
        activation: Keras activation of the MLP.
        dropout: dropout after each hidden layer, in [0, 1).
        batch_norm: batch normalization before each activation.
        embedding_l2: `embedding_l2 * sum ||e_k||^2` over the distinct rows of the batch is added to
            the loss.
        embeddings_initializer: Keras initializer of the embeddings; `None`: normal, 0.01 wide.
        **kwargs: Keras's `name` and `dtype`.

    Input shape:
        `{"ids": int [B, W], "numeric": float [B, N]}` as `zoo.read_tfrecords` yields them.

    Output shape:
        `[B, 1]`, logits, float32.

    Raises:
        ValueError: on a value out of range, or features that do not fit the schema.
    """

    def __init__(
        self,
        schema: Schema,
        embedding_dim: int = 16,
        hidden_units: Sequence[int] = (200, 200),
        activation: Any = "relu",
        dropout: float = 0.0,
        batch_norm: bool = False,
        embedding_l2: float = 0.0,
        embeddings_initializer: Any = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.schema = _as_schema(schema)
        is_int = isinstance(embedding_dim, int) and not isinstance(embedding_dim, bool)
        if not is_int or embedding_dim < 1:
            raise ValueError(
                f"`embedding_dim` must be an integer >= 1. Received: {embedding_dim!r}"
            )
        if not isinstance(batch_norm, bool):
            raise ValueError(f"`batch_norm` must be True or False. Received: {batch_norm!r}")
        if isinstance(hidden_units, int) or not isinstance(hidden_units, Sequence):
            raise ValueError(
                f"`hidden_units` must be widths such as (200, 200). Received: {hidden_units!r}"
            )
        self.settings = {
            "embedding_dim": embedding_dim,
            "hidden_units": list(hidden_units),
            "activation": activation,
            "dropout": dropout,
            "batch_norm": batch_norm,
            "embedding_l2": embedding_l2,
            "embeddings_initializer": embeddings_initializer,
        }
        self.embedding = FieldEmbedding(
            self.schema,
            embedding_dim,
            l2=embedding_l2,
            initializer=embeddings_initializer,
            dtype=self.dtype_policy,
            name="embedding",
        )
        self.mlp = MLP(
            hidden_units,
            activation=activation,
            dropout=dropout,
            batch_norm=batch_norm,
            dtype=self.dtype_policy,
            name="mlp",
        )
        # The last sum is one number per row: float32 costs nothing and keeps the loss exact.
        self.output_unit = keras.layers.Dense(1, dtype="float32", name="output_unit")
        self.make_layers()
        # At once: optimizers can be built, checkpoints restored and `summary()` read.
        self.build(self.feature_shapes())

    def make_layers(self) -> None:
        """Makes what a model has beside the embedding, the MLP and the output unit."""

    def build(self, input_shape: Any) -> None:
        if self.built:
            return
        for layer in self.layers:
            if layer not in (self.mlp, self.output_unit):
                layer.build(input_shape)
        mlp_input = (None, self.mlp_input_width())
        self.mlp.build(mlp_input)
        self.output_unit.build(self.mlp.compute_output_shape(mlp_input))
        self.built = True

    def mlp_input_width(self) -> int:
        """What the MLP takes: all embeddings side by side."""
        columns = len(self.schema.categorical) + len(self.schema.numeric)
        return columns * self.settings["embedding_dim"]

    def logits(self, features: dict[str, tf.Tensor], training: bool) -> tf.Tensor:
        """The model's formula: features to `[B, 1]`."""
        raise NotImplementedError(f"{type(self).__name__} must define `logits`.")

    def call(self, inputs: dict[str, tf.Tensor], training: bool = False) -> tf.Tensor:
        check_features(self.schema, inputs)
        return tf.cast(self.logits(inputs, training), tf.float32)

    def deep_logit(self, embedded: tf.Tensor, training: bool) -> tf.Tensor:
        """`w . MLP(flatten(embedded)) + b`: `[B, fields, d]` to `[B, 1]`."""
        flat = tf.reshape(embedded, [-1, self.mlp_input_width()])
        return self.output_unit(self.mlp(flat, training=training))

    def feature_shapes(self) -> dict[str, tuple]:
        """The shapes of the features that the schema describes."""
        widths = {"ids": self.schema.ids_width, "numeric": len(self.schema.numeric)}
        return {key: (None, width) for key, width in widths.items() if width}

    def compute_output_shape(self, input_shape: Any) -> tuple:
        return (None, 1)

    def get_config(self) -> dict[str, Any]:
        config = {**self.settings, "schema": dataclasses.asdict(self.schema), "name": self.name}
        for key in ("activation", "embeddings_initializer"):
            if config[key] is not None and not isinstance(config[key], (str, dict)):
                config[key] = keras.saving.serialize_keras_object(config[key])
        return {**config, "dtype": keras.dtype_policies.serialize(self.dtype_policy)}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> ClickModel:
        config = dict(config)
        for key in ("activation", "embeddings_initializer", "dtype"):
            if isinstance(config.get(key), dict):
                config[key] = keras.saving.deserialize_keras_object(
                    config[key], custom_objects=custom_objects
                )
        return cls(**config)


def _as_schema(schema: Any) -> Schema:
    """A schema as it is, or from the dict that `get_config` wrote."""
    if isinstance(schema, Schema):
        return schema
    if not isinstance(schema, dict):
        raise ValueError(
            f"`schema` must be a zoo.Schema, such as zoo.Schema.load(directory). "
            f"Received: {type(schema).__name__}"
        )
    return Schema(
        **{
            **schema,
            "categorical": [Categorical(**field) for field in schema["categorical"]],
            "numeric": [Numeric(**column) for column in schema["numeric"]],
        }
    )

"""The base class of the models: schema, building, serialization."""

from __future__ import annotations

import dataclasses
import inspect
import math
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf
from absl import logging

import tf_helen
from tf_helen.core.checks import one_of, whole_number
from zoo.data.schema import Schema
from zoo.features import check_features, standardized
from zoo.layers import MLP, FieldEmbedding, Linear
from zoo.layers.column_widths import column_widths
from zoo.models.config import as_schema, plain


class ClickModel(tf_helen.Model):
    """Base of the models: features in, logits out.

    A subclass creates its layers in `__init__`, whose arguments are the model's settings, passes
    those settings to `finish` in the last line, and implements `logits`. This class serializes and
    builds the model and checks its inputs.

    Args:
        schema: `zoo.Schema`, the columns of the data.
        embedding_dim: int, width d of the embeddings. Defaults to 16.
        embedding_dims: dict `{column name: width}` of the columns whose width is not
            `embedding_dim`; only for models that concatenate the vectors. Defaults to `None`.
        numeric: how numeric columns enter the model. "embedded": as the value times a vector, like
            any other column. "direct": as the value after the schema's transform, concatenated with
            the vectors; parts that compare or add vectors do not see it. Models without a place for
            such values raise an error. Defaults to "embedded".
        embedding_l2: float, not negative; adds `embedding_l2 * sum ||e_k||^2` over the distinct
            rows of the batch to the loss. Defaults to 0.
        embeddings_initializer: Keras initializer of the embeddings. Defaults to `None`: normal with
            standard deviation 0.01. "zeros" logs a warning unless the model has a
            `bias_initializer` that is not zeros: behind a ReLU whose biases start at zero, such
            embeddings never receive a gradient.
        shards: int, number of variables that each table is divided into, at most its rows; or
            "auto", see `tf_helen.layers.Embedding`. Training and files do not depend on it.
            Defaults to 1.
        dynamic: int, capacity of dynamic tables, over all fields: small fields get a row for each
            id, the others equal parts; or dict with `capacity` (int, or dict from field to int) and
            arguments of `tf_helen.layers.DynamicEmbedding`: `admission`, `eviction`, `seed`. Ids
            get a row when they are admitted in training. Defaults to `None`: a row for each id.
        embeddings_dtype: "float16" or "bfloat16", the dtype in which tables store their rows, see
            `tf_helen.layers.Embedding`. Defaults to `None`: that of the model.
        rounding: "stochastic" or "nearest", how rows are rounded to `embeddings_dtype`. Defaults to
            "stochastic".
        name: string, the model's name. Defaults to `None`: the class's name in snake case.
        dtype: Keras dtype policy, such as "mixed_bfloat16". Defaults to `None`: the global policy.

    Attributes:
        settings: dict from name to value of every argument but `schema`, `name` and `dtype`.
        vocabularies: dict from field name to the SHA-256 of the vocabulary file that the model was
            trained with; empty if it was not set. It is saved with the model. Exporting with
            another vocabulary raises an error.

    Input shape:
        `{"ids": int [B, W], "numeric": float [B, N]}` as `zoo.read_tfrecords` yields them.

    Output shape:
        `[B, 1]`, logits, float32.

    Raises:
        ValueError: on a value out of range, or features that do not fit the schema.
        TypeError: when called with ids that are not integers.

    Example:
        >>> import numpy as np, zoo
        >>> class Tower(zoo.ClickModel):
        ...     def __init__(self, schema, embedding_dim=16, *, units=8, **kwargs):
        ...         super().__init__(schema, embedding_dim, **kwargs)
        ...         self.embedding = self.embed(flat=True)
        ...         self.mlp = self.deep_part((units,))
        ...         self.output_unit = self.output_layer()
        ...         self.finish(units=units)
        ...     def logits(self, features, training):
        ...         embedded = self.embedding(features, training=training)
        ...         return self.output_unit(self.mlp(embedded, training=training))
        >>> schema = zoo.Schema("tiny", [zoo.Categorical("user", 10)])
        >>> Tower(schema, units=4, numeric="direct").settings["units"]
        4
    """

    built: bool

    def __init__(
        self,
        schema: Schema,
        embedding_dim: int = 16,
        *,
        embedding_dims: Mapping[str, int] | None = None,
        numeric: str = "embedded",
        embedding_l2: float = 0.0,
        embeddings_initializer: Any = None,
        shards: int | str = 1,
        dynamic: int | Mapping[str, Any] | None = None,
        embeddings_dtype: str | None = None,
        rounding: str = "stochastic",
        name: str | None = None,
        dtype: Any = None,
    ):
        # Keras would cast raw numbers to half precision before they are standardized.
        super().__init__(name=name, dtype=dtype, autocast=False)
        self.schema = as_schema(schema)
        whole_number("embedding_dim", embedding_dim)
        one_of("numeric", numeric, ("embedded", "direct"))
        # Here too, for models without such an embedding.
        column_widths(self.schema, embedding_dim, embedding_dims, numeric == "direct")
        self.embedding_dim = embedding_dim
        self.numeric = numeric
        initializer = keras.initializers.get(embeddings_initializer)
        if not isinstance(initializer, keras.initializers.Initializer | None):
            raise ValueError(
                "`embeddings_initializer` must be an initializer of Keras, such as 'uniform' or "
                "keras.initializers.RandomNormal(stddev=0.01). Received: "
                f"{embeddings_initializer!r}"
            )
        self.settings: dict[str, Any] = {
            "embedding_dim": embedding_dim,
            "embedding_dims": embedding_dims,
            "numeric": numeric,
            "embedding_l2": embedding_l2,
            "embeddings_initializer": embeddings_initializer,
            "shards": shards,
            "dynamic": dynamic,
            "embeddings_dtype": embeddings_dtype,
            "rounding": rounding,
        }
        self.vocabularies: dict[str, str] = {}

    def finish(self, **settings: Any) -> None:
        """Records the model's own settings and builds it: the last line of each constructor.

        A subclass of a finished model, such as `zoo.DeepFM`, creates its additional layers before
        it calls `super().__init__`, which builds, and then calls `finish` with its own settings.

        Args:
            **settings: value of every argument that this constructor adds to its base class's.
        """
        self.settings = {**self.settings, **settings}
        initial = (self.settings[name] for name in _INITIALIZERS if name in self.settings)
        if all(map(_is_zeros, initial)):
            logging.warning(
                "%s: embeddings that start at zero get no gradient through products or ReLU layers "
                "whose biases are zero; use keras.initializers.RandomNormal(stddev=1e-4) instead%s",
                type(self).__name__,
                ", or bias_initializer='fan_in_uniform'" if "bias_initializer" in settings else "",
            )
        # Now, so that optimizers can be built, checkpoints restored and `summary()` printed.
        self.build(self.feature_shapes())

    @classmethod
    def arguments(cls) -> dict[str, Any]:
        """Returns the settings that the model takes, and their defaults.

        Returns:
            Dict from name to default: the arguments of the model's constructor, then those of
            `ClickModel`; without `schema`, `name` and `dtype`.

        Example:
            >>> import zoo
            >>> list(zoo.FM.arguments())[:3]
            ['embedding_dim', 'embedding_dims', 'numeric']
        """
        found: dict[str, Any] = {}
        for constructor in (cls.__init__, ClickModel.__init__):
            for parameter in inspect.signature(constructor).parameters.values():
                if parameter.kind is not parameter.VAR_KEYWORD:
                    found.setdefault(parameter.name, parameter.default)
        return {key: found[key] for key in found if key not in _NO_SETTINGS}

    def embed(
        self, dim: int | None = None, *, schema: Schema | None = None, **options: Any
    ) -> FieldEmbedding:
        """Creates the embedding of all columns from the model's arguments.

        Args:
            dim: int, width of the vectors. Defaults to `None`: `embedding_dim`.
            schema: `zoo.Schema` of a subset of the columns. Defaults to `None`: all columns.
            **options: arguments of `zoo.layers.FieldEmbedding`, such as `flat` and `name`.

        Returns:
            A layer that maps features to `[B, fields, d]`; with `flat=True` to
            `[B, sum of widths]`.
        """
        schema = schema or self.schema
        names = [column.name for column in schema.columns]
        dims = self.settings["embedding_dims"] or {}
        options = {"name": "embedding", "dtype": self.dtype_policy, **options}
        return FieldEmbedding(
            schema,
            dim or self.embedding_dim,
            dims={name: dims[name] for name in names if name in dims},
            l2=self.settings["embedding_l2"],
            initializer=self.settings["embeddings_initializer"],
            numeric=self.numeric,
            shards=self.settings["shards"],
            dynamic=self.settings["dynamic"],
            embeddings_dtype=self.settings["embeddings_dtype"],
            rounding=self.settings["rounding"],
            **options,
        )

    def linear_part(self, use_bias: bool = True) -> Linear:
        """Creates the linear part, with the same L2 penalty as the embeddings."""
        return Linear(
            self.schema,
            l2=self.settings["embedding_l2"],
            use_bias=use_bias,
            shards=self.settings["shards"],
            dynamic=self.settings["dynamic"],
            name="linear",
        )

    def deep_part(
        self,
        hidden_units: Sequence[int],
        activation: Any = "relu",
        dropout: float | Sequence[float] = 0.0,
        batch_norm: bool = False,
        name: str = "mlp",
        bias_initializer: Any = "zeros",
    ) -> MLP:
        """Creates an MLP; see `zoo.layers.MLP` for the arguments."""
        options = {"activation": activation, "dropout": dropout, "batch_norm": batch_norm}
        options["bias_initializer"] = bias_initializer
        return MLP(hidden_units, dtype=self.dtype_policy, name=name, **options)

    def output_layer(self, name: str = "output_unit", use_bias: bool = True) -> keras.layers.Dense:
        """Creates the output layer, one number per row."""
        # float32 costs nothing here and keeps the loss exact.
        return keras.layers.Dense(1, dtype="float32", use_bias=use_bias, name=name)

    @property
    def columns(self) -> int:
        """Number of columns that have an embedding."""
        numbers = len(self.schema.numeric) if self.numeric == "embedded" else 0
        return len(self.schema.categorical) + numbers

    def refuse_direct(self, why: str = "") -> None:
        """Raises if `numeric="direct"`, for models that would ignore such values."""
        if self.numeric == "direct" and self.schema.numeric:
            raise ValueError(
                f"{type(self).__name__} cannot concatenate numbers with its vectors{why}. "
                "Received: numeric='direct'; remove it, or use a model such as DCNv2 or DeepFM."
            )

    def side_by_side(self, embedded: tf.Tensor, features: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """Concatenates vectors `[B, columns, d]`, then the numbers without a vector."""
        flat = tf.reshape(embedded, [-1, math.prod(embedded.shape[1:])])
        if self.numeric == "embedded" or not self.schema.numeric:
            return flat
        numbers = standardized(self.schema, features["numeric"], flat.dtype)
        return tf.concat([flat, numbers], axis=1)

    def build(self, input_shape: Any) -> None:
        if self.built:
            return
        shapes = self.feature_shapes()
        features = {key: tf.zeros((1, shape[1]), _DTYPES[key]) for key, shape in shapes.items()}
        # A row of zeros builds every layer; every field has an id 0.
        with tf.init_scope():
            self.logits(features, training=False)
        self.built = True

    def logits(self, features: dict[str, tf.Tensor], training: bool) -> tf.Tensor:
        """Computes the logits `[B, 1]` of a batch of features."""
        raise NotImplementedError(f"{type(self).__name__} must define `logits`.")

    def call(self, inputs: dict[str, tf.Tensor], training: bool = False) -> tf.Tensor:
        check_features(self.schema, inputs)
        return tf.cast(self.logits(inputs, training), tf.float32)

    def feature_shapes(self) -> dict[str, tuple]:
        """Returns the shapes of the features that the schema describes."""
        widths = {"ids": self.schema.ids_width, "numeric": len(self.schema.numeric)}
        return {key: (None, width) for key, width in widths.items() if width}

    def compute_output_shape(self, input_shape: Any) -> tuple:
        return (None, 1)

    def get_config(self) -> dict[str, Any]:
        missing = [name for name in type(self).arguments() if name not in self.settings]
        if missing:
            cls = type(self).__name__
            raise NotImplementedError(
                f"{cls} has not recorded {', '.join(map(repr, missing))}, so it could not be made "
                f"again. Call `self.finish({missing[0]}={missing[0]}, ...)` with every argument in "
                f"the last line of {cls}.__init__."
            )
        config = {**self.settings, "schema": dataclasses.asdict(self.schema), "name": self.name}
        if self.vocabularies:
            config["vocabularies"] = dict(self.vocabularies)
        config = {key: plain(value) for key, value in config.items()}
        return {**config, "dtype": keras.dtype_policies.serialize(self.dtype_policy)}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> ClickModel:
        found = {}
        vocabularies = config.get("vocabularies", {})
        for key, value in config.items():
            if key == "vocabularies":
                continue
            # A dict without "module" is a plain argument, such as one from a preset.
            serialized = isinstance(value, dict) and {"class_name", "module"} <= set(value)
            found[key] = (
                keras.saving.deserialize_keras_object(value, custom_objects=custom_objects)
                if serialized
                else value
            )
        model = cls(**found)
        model.vocabularies = dict(vocabularies)
        return model


# Arguments of a constructor that `from_config` gets beside the settings.
_NO_SETTINGS = ("self", "schema", "name", "dtype")
_DTYPES = {"ids": tf.int32, "numeric": tf.float32}
_INITIALIZERS = ("embeddings_initializer", "bias_initializer")


def _is_zeros(initializer: Any) -> bool:
    if initializer == "fan_in_uniform":
        return False
    return isinstance(keras.initializers.get(initializer), keras.initializers.Zeros)

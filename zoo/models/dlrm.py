"""DLRM: dot products of the embeddings and of an MLP of the numbers, and a top MLP."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, Unpack

import keras
import keras_rs
import tensorflow as tf

from zoo.data.schema import Schema
from zoo.features import standardized
from zoo.models.arguments import ModelArguments
from zoo.models.base import ClickModel


@keras.saving.register_keras_serializable(package="zoo")
class DLRM(ClickModel):
    """The numbers become one vector; an MLP takes all dot products of it and the embeddings.

    `z = act(W MLP_bottom(x) + c)`, `e_0 = z`,
    `logit = w . MLP_top([z; <e_i, e_j> for i > j]) + b`

    Without numbers there is no z. A single vector is the input of the top MLP itself.

    Args:
        schema: `zoo.Schema`, the columns of the data.
        embedding_dim: int, width d of the embeddings and of z; the same for all fields. Defaults to
            16.
        bottom_units: sequence of ints, widths of the hidden layers of the bottom MLP, before its
            last layer of width d. Defaults to `(512, 256, 64)`.
        hidden_units: sequence of ints, widths of the hidden layers of the top MLP. Defaults to
            `(512, 256)`.
        activation: Keras activation of both MLPs. Defaults to "relu".
        dropout: float in [0, 1), or one per hidden layer: dropout rate after each hidden layer of
            the top MLP. Defaults to 0.
        bottom_dropout: as `dropout`, for the bottom MLP. Defaults to 0.
        batch_norm: boolean; batch normalization before each activation, except that of z. Defaults
            to `False`.
        **kwargs: passed to `ClickModel`, which also documents input and output shapes.

    Raises:
        ValueError: on a value out of range, widths that differ, or features that do not fit the
            schema.

    Reference: Naumov et al., 2019 (arXiv 1906.00091), section 2; published on Criteo with d = 16,
        bottom 512-256-64, top 512-256, ReLU, SGD.

    Example:
        >>> import numpy as np, zoo
        >>> schema = zoo.Schema("tiny", [zoo.Categorical("user", 10)], [zoo.Numeric("price")])
        >>> model = zoo.DLRM(schema, embedding_dim=4, bottom_units=(8,), hidden_units=(8,))
        >>> model({"ids": np.array([[3]]), "numeric": np.array([[0.5]])}).shape
        TensorShape([1, 1])
    """

    def __init__(
        self,
        schema: Schema,
        embedding_dim: int = 16,
        *,
        bottom_units: Sequence[int] = (512, 256, 64),
        hidden_units: Sequence[int] = (512, 256),
        activation: Any = "relu",
        dropout: float | Sequence[float] = 0.0,
        bottom_dropout: float | Sequence[float] = 0.0,
        batch_norm: bool = False,
        **kwargs: Unpack[ModelArguments],
    ):
        super().__init__(schema, embedding_dim, **kwargs)
        self.refuse_direct(": they enter its bottom MLP")
        for column in self.schema.numeric:
            if column.name in (self.settings["embedding_dims"] or {}):
                raise ValueError(
                    f"`embedding_dims` names the number {column.name!r}, but in DLRM numbers have "
                    "no vectors of their own: they enter the bottom MLP. Remove it."
                )
        policy = {"dtype": self.dtype_policy}
        self.embedding = None
        width = embedding_dim
        if self.schema.categorical:
            fields = dataclasses.replace(self.schema, numeric=())
            self.embedding = self.embed(schema=fields)
            width = self.embedding.compute_output_shape()[-1]
        # Created even without numbers, so that its settings are checked.
        bottom = self.deep_part(bottom_units, activation, bottom_dropout, batch_norm, "bottom")
        vectors = len(self.schema.categorical)
        if self.schema.numeric:
            self.bottom = bottom
            self.bottom_end = keras.layers.Dense(
                width, activation=activation, name="bottom_end", **policy
            )
            vectors += 1
        self.dots = None
        if vectors > 1:
            self.dots = keras_rs.layers.DotInteraction(name="dots", **policy)
        self.mlp = self.deep_part(hidden_units, activation, dropout, batch_norm)
        self.output_unit = self.output_layer()
        self.finish(
            bottom_units=bottom_units,
            hidden_units=hidden_units,
            activation=activation,
            dropout=dropout,
            bottom_dropout=bottom_dropout,
            batch_norm=batch_norm,
        )

    def logits(self, features: dict[str, tf.Tensor], training: bool) -> tf.Tensor:
        vectors, parts = [], []
        if self.schema.numeric:
            numbers = standardized(self.schema, features["numeric"], self.compute_dtype)
            parts = [self.bottom_end(self.bottom(numbers, training=training))]
            vectors = list(parts)
        if self.embedding is not None:
            vectors += tf.unstack(self.embedding(features, training=training), axis=1)
        if self.dots is not None:
            parts.append(self.dots(vectors))
        top = tf.concat(parts or vectors, axis=1)
        return self.output_unit(self.mlp(top, training=training))

"""AutoInt: multi-head self-attention among the columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

import keras
import tensorflow as tf

from tf_helen.core.checks import whole_number
from zoo.data.schema import Schema
from zoo.layers.attention import SelfAttention
from zoo.models.arguments import ModelArguments
from zoo.models.base import ClickModel


@keras.saving.register_keras_serializable(package="zoo")
class AutoInt(ClickModel):
    """Layers of multi-head self-attention over the embeddings of all columns.

    `hidden_units` adds a parallel MLP on the same embeddings (AutoInt+), `linear=True` a linear
    part.

    `logit = w . [y_1; ...; y_F] + b (+ v . MLP([e_1; ...; e_F]) + c) (+ sum_j w_j)`, where y is
    the output of the last layer; each is `y = ReLU(attention(e) + R e)`.

    Args:
        schema: `zoo.Schema`, the columns of the data.
        embedding_dim: int, width d of the embeddings. Defaults to 16.
        attention_layers: int, number of attention layers. Defaults to 3.
        attention_dim: int, width of their outputs, over all heads. Defaults to 64.
        heads: int, number of heads of each layer; divides `attention_dim`. Defaults to 2.
        scale: boolean; divides the scores by the square root of a head's width. Defaults to
            `False`.
        residual: boolean; adds a layer's input to its output, through a matrix R where the widths
            differ. Defaults to `True`.
        layer_norm: boolean; layer normalization before each ReLU. Defaults to `False`.
        attention_dropout: float in [0, 1), share of the attention weights dropped in training.
            Defaults to 0.
        linear: boolean; adds a linear part. Defaults to `False`.
        hidden_units: sequence of ints, widths of the hidden layers of the MLP; empty: no MLP.
            Defaults to `()`.
        activation: Keras activation of the MLP. Defaults to "relu".
        dropout: float in [0, 1), or one per hidden layer: dropout rate after each hidden layer.
            Defaults to 0.
        batch_norm: boolean; batch normalization before each activation of the MLP. Defaults to
            `False`.
        **kwargs: passed to `ClickModel`, which also documents input and output shapes.

    Raises:
        ValueError: on a value out of range, or features that do not fit the schema.

    Reference: Song et al., CIKM 2019 (arXiv 1810.11921), sections 4.3 to 4.5; published with
        d = 16, 3 layers of 2 heads of 32, Adam, batch 1024; no scale there, though the authors'
        code has one.

    Example:
        >>> import numpy as np, zoo
        >>> schema = zoo.Schema("tiny", [zoo.Categorical("user", 10), zoo.Categorical("item", 20)])
        >>> model = zoo.AutoInt(schema, embedding_dim=4, attention_dim=6, heads=2)
        >>> model({"ids": np.array([[3, 5], [3, 6]])}).shape
        TensorShape([2, 1])
    """

    def __init__(
        self,
        schema: Schema,
        embedding_dim: int = 16,
        *,
        attention_layers: int = 3,
        attention_dim: int = 64,
        heads: int = 2,
        scale: bool = False,
        residual: bool = True,
        layer_norm: bool = False,
        attention_dropout: float = 0.0,
        linear: bool = False,
        hidden_units: Sequence[int] = (),
        activation: Any = "relu",
        dropout: float | Sequence[float] = 0.0,
        batch_norm: bool = False,
        **kwargs: Unpack[ModelArguments],
    ):
        super().__init__(schema, embedding_dim, **kwargs)
        if not linear and not hidden_units:
            self.refuse_direct(" without `linear` or `hidden_units`")
        whole_number("attention_layers", attention_layers)
        whole_number("attention_dim", attention_dim)
        whole_number("heads", heads)
        self.embedding = self.embed()
        self.attention = [
            SelfAttention(
                attention_dim,
                heads=heads,
                scale=scale,
                residual=residual,
                layer_norm=layer_norm,
                dropout=attention_dropout,
                dtype=self.dtype_policy,
                name=f"attention_{i}",
            )
            for i in range(attention_layers)
        ]
        self.output_unit = self.output_layer()
        self.linear = self.linear_part(use_bias=False) if linear else None
        self.mlp = self.deep_part(hidden_units, activation, dropout, batch_norm)
        self.deep_unit = self.output_layer("deep_unit") if hidden_units else None
        self.finish(
            attention_layers=attention_layers,
            attention_dim=attention_dim,
            heads=heads,
            scale=scale,
            residual=residual,
            layer_norm=layer_norm,
            attention_dropout=attention_dropout,
            linear=linear,
            hidden_units=hidden_units,
            activation=activation,
            dropout=dropout,
            batch_norm=batch_norm,
        )

    def logits(self, features: dict[str, tf.Tensor], training: bool) -> tf.Tensor:
        embedded = self.embedding(features, training=training)
        mixed = embedded
        for layer in self.attention:
            mixed = layer(mixed, training=training)
        logit = self.output_unit(tf.reshape(mixed, [-1, self.columns * mixed.shape[-1]]))
        if self.deep_unit is not None:
            flat = self.side_by_side(embedded, features)
            logit += self.deep_unit(self.mlp(flat, training=training))
        if self.linear is not None:
            logit += self.linear(features, training=training)
        return logit

"""Wide & Deep: logistic regression and an MLP."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

import keras
import tensorflow as tf

from zoo.data.schema import Schema
from zoo.models.arguments import ModelArguments
from zoo.models.base import ClickModel


@keras.saving.register_keras_serializable(package="zoo")
class WideDeep(ClickModel):
    """A linear part over the ids and an MLP over the embeddings.

    `logit = sum_j w_j + w . MLP([e_1; ...; e_F]) + b`

    Crossed columns, which the paper designs by hand for the wide part, are columns of the schema:
    create them when you prepare the data. By default numbers are embedded, as in FuxiCTR;
    `numeric="direct"` concatenates their values with the embeddings, as in the paper.

    Args:
        schema: `zoo.Schema`, the columns of the data.
        embedding_dim: int, width d of the embeddings. Defaults to 16.
        hidden_units: sequence of ints, widths of the hidden layers of the MLP. Defaults to
            `(200, 200)`.
        activation: Keras activation of the MLP. Defaults to "relu".
        dropout: float in [0, 1), or one per hidden layer: dropout rate after each hidden layer.
            Defaults to 0.
        batch_norm: boolean; batch normalization before each activation. Defaults to `False`.
        bias_initializer: Keras initializer of the biases of the MLP, or "fan_in_uniform", see
            `zoo.layers.MLP`; not zeros where the embeddings are initialized with zeros. Defaults to
            "zeros".
        **kwargs: passed to `ClickModel`, which also documents input and output shapes.

    Raises:
        ValueError: on a value out of range, or features that do not fit the schema.

    Reference: Cheng et al., DLRS 2016 (arXiv 1606.07792), section 3, equation 3; published with
        d = 32, 1024-512-256, ReLU, FTRL for the wide part and AdaGrad for the deep one.

    Example:
        >>> import numpy as np, zoo
        >>> schema = zoo.Schema("tiny", [zoo.Categorical("user", 10), zoo.Categorical("item", 20)])
        >>> model = zoo.WideDeep(schema, embedding_dim=4, hidden_units=(8,))
        >>> model({"ids": np.array([[3, 5], [3, 6]])}).shape
        TensorShape([2, 1])
    """

    def __init__(
        self,
        schema: Schema,
        embedding_dim: int = 16,
        *,
        hidden_units: Sequence[int] = (200, 200),
        activation: Any = "relu",
        dropout: float | Sequence[float] = 0.0,
        batch_norm: bool = False,
        bias_initializer: Any = "zeros",
        **kwargs: Unpack[ModelArguments],
    ):
        super().__init__(schema, embedding_dim, **kwargs)
        self.embedding = self.embed(flat=True)
        # The output unit has the bias.
        self.linear = self.linear_part(use_bias=False)
        self.mlp = self.deep_part(
            hidden_units, activation, dropout, batch_norm, bias_initializer=bias_initializer
        )
        self.output_unit = self.output_layer()
        self.finish(
            hidden_units=hidden_units,
            activation=activation,
            dropout=dropout,
            batch_norm=batch_norm,
            bias_initializer=bias_initializer,
        )

    def logits(self, features: dict[str, tf.Tensor], training: bool) -> tf.Tensor:
        wide = self.linear(features, training=training)
        embedded = self.embedding(features, training=training)
        return wide + self.output_unit(self.mlp(embedded, training=training))

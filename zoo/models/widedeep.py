"""Wide & Deep: logistic regression beside an MLP."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from zoo.data.schema import Schema
from zoo.models.base import ClickModel


@keras.saving.register_keras_serializable(package="zoo")
class WideDeep(ClickModel):
    """A linear part on the ids, which memorizes, and an MLP on embeddings, which generalizes.

    `logit = sum_j w_j + w . MLP([e_1; ...; e_F]) + b`

    The crosses of columns that the paper gives to its wide part by hand are columns of the schema
    like any other: prepare them with the data. The paper sets the numbers beside the embeddings as
    they are, as `numeric="direct"` does; by default each is embedded, as in FuxiCTR.

    Args:
        schema: the columns of the data.
        embedding_dim: width d of the embeddings.
        hidden_units: widths of the MLP.
        activation: Keras activation of the MLP.
        dropout: after each hidden layer, in [0, 1); one rate or one for each.
        batch_norm: batch normalization before each activation.
        **kwargs: of `ClickModel`; there are the shapes of features and logits too.

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
        **kwargs: Any,
    ):
        super().__init__(schema, embedding_dim, **kwargs)
        self.embedding = self.embed(flat=True)
        # The output unit has the bias.
        self.linear = self.linear_part(use_bias=False)
        self.mlp = self.deep_part(hidden_units, activation, dropout, batch_norm)
        self.output_unit = self.output_layer()

    def logits(self, features: dict[str, tf.Tensor], training: bool) -> tf.Tensor:
        wide = self.linear(features, training=training)
        embedded = self.embedding(features, training=training)
        return wide + self.output_unit(self.mlp(embedded, training=training))

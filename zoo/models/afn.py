"""AFN: an MLP over products of columns whose order is learned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

import keras
import tensorflow as tf

from tf_helen.core.checks import whole_number
from zoo.data.schema import Schema
from zoo.layers.logarithmic import Logarithmic
from zoo.models.arguments import ModelArguments
from zoo.models.base import ClickModel


@keras.saving.register_keras_serializable(package="zoo")
class AFN(ClickModel):
    """Logarithmic neurons, each a product of columns raised to learned powers, and an MLP.

    With `ensemble=True` (AFN+), a DNN with its own embeddings runs in parallel, and the logit is a
    weighted sum of the two.

    `y_k = N(exp(sum_j w_kj N(ln max(|e_j|, floor))))`, N: batch normalization;
    `logit = v . MLP([y_1; ...; y_K]) + b`; AFN+: `w_1 logit + w_2 dnn + c`

    Args:
        schema: `zoo.Schema`, the columns of the data.
        embedding_dim: int, width d of the embeddings. Defaults to 10.
        neurons: int, number K of logarithmic neurons. Defaults to 1500.
        floor: float above 0, the smallest absolute value of an embedding. FuxiCTR uses 1e-5, the
            authors' code 1e-4. Defaults to 1e-5.
        hidden_units: sequence of ints, widths of the hidden layers of the MLP. Defaults to
            `(400, 400, 400)`.
        activation: Keras activation of the MLP and the DNN. Defaults to "relu".
        dropout: float in [0, 1), or one per hidden layer: dropout rate after each hidden layer of
            the MLP. Defaults to 0.
        batch_norm: boolean; batch normalization before each activation. The neurons always have it.
            Defaults to `True`.
        ensemble: boolean; adds the DNN. Defaults to `False`.
        deep_hidden_units: sequence of ints, widths of the hidden layers of the DNN. Defaults to
            `(400, 400, 400)`.
        deep_dropout: as `dropout`, for the DNN. Defaults to 0.
        **kwargs: passed to `ClickModel`, which also documents input and output shapes.

    Raises:
        ValueError: on a value out of range, or features that do not fit the schema.

    Reference: Cheng, Shen, Huang, AAAI 2020 (arXiv 1909.03276). The authors' code has d = 10,
        1500 neurons for Criteo, 1200 for Avazu, 600 for Frappe and 800 for MovieLens, three layers
        of 400 for both parts, Adam, batch 4096.

    Example:
        >>> import numpy as np, zoo
        >>> schema = zoo.Schema("tiny", [zoo.Categorical("user", 10), zoo.Categorical("item", 20)])
        >>> model = zoo.AFN(schema, embedding_dim=4, neurons=3, hidden_units=(8,))
        >>> model({"ids": np.array([[3, 5], [3, 6]])}).shape
        TensorShape([2, 1])
    """

    def __init__(
        self,
        schema: Schema,
        embedding_dim: int = 10,
        *,
        neurons: int = 1500,
        floor: float = 1e-5,
        hidden_units: Sequence[int] = (400, 400, 400),
        activation: Any = "relu",
        dropout: float | Sequence[float] = 0.0,
        batch_norm: bool = True,
        ensemble: bool = False,
        deep_hidden_units: Sequence[int] = (400, 400, 400),
        deep_dropout: float | Sequence[float] = 0.0,
        **kwargs: Unpack[ModelArguments],
    ):
        super().__init__(schema, embedding_dim, **kwargs)
        if not ensemble:
            self.refuse_direct(" without `ensemble`")
        whole_number("neurons", neurons)
        self.ensemble = ensemble
        self.embedding = self.embed()
        self.products = Logarithmic(neurons, floor=floor, name="products")
        self.mlp = self.deep_part(hidden_units, activation, dropout, batch_norm)
        self.output_unit = self.output_layer()
        if ensemble:
            self.deep_embedding = self.embed(flat=True, name="deep_embedding")
            self.deep = self.deep_part(
                deep_hidden_units, activation, deep_dropout, batch_norm, "deep"
            )
            self.deep_unit = self.output_layer("deep_unit")
            self.mixture = self.output_layer("mixture")
        self.finish(
            neurons=neurons,
            floor=floor,
            hidden_units=hidden_units,
            activation=activation,
            dropout=dropout,
            batch_norm=batch_norm,
            ensemble=ensemble,
            deep_hidden_units=deep_hidden_units,
            deep_dropout=deep_dropout,
        )

    def logits(self, features: dict[str, tf.Tensor], training: bool) -> tf.Tensor:
        products = self.products(self.embedding(features, training=training), training=training)
        logit = self.output_unit(self.mlp(products, training=training))
        if not self.ensemble:
            return logit
        embedded = self.deep_embedding(features, training=training)
        deep = self.deep_unit(self.deep(embedded, training=training))
        return self.mixture(tf.concat([logit, deep], axis=1))

"""PNN: an MLP over the embeddings and their products."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

import keras
import keras_rs
import tensorflow as tf

from tf_helen.core.checks import one_of
from zoo.data.schema import Schema
from zoo.layers.products import outer_product
from zoo.models.arguments import ModelArguments
from zoo.models.base import ClickModel

PRODUCTS = ("inner", "outer", "both")


@keras.saving.register_keras_serializable(package="zoo")
class PNN(ClickModel):
    """An MLP over the concatenated embeddings and their pairwise products.

    `logit = w . MLP([e_1; ...; e_F; p]) + b`, where p is `<e_i, e_j>` for all i < j (inner),
    `(sum_i e_i)(sum_j e_j)^T` as a vector (outer), or both.

    There is one inner product per pair, as in FuxiCTR; the paper also uses the squares `<e_i, e_i>`
    and factorizes the weights. FuxiCTR has no outer product.

    Args:
        schema: `zoo.Schema`, the columns of the data.
        embedding_dim: int, width d of the embeddings; the same for all columns. Defaults to 16.
        product: "inner" (IPNN), "outer" (OPNN) or "both" (PNN*). Defaults to "inner".
        hidden_units: sequence of ints, widths of the hidden layers of the MLP. Defaults to
            `(200, 200)`.
        activation: Keras activation of the MLP. Defaults to "relu".
        dropout: float in [0, 1), or one per hidden layer: dropout rate after each hidden layer.
            Defaults to 0.
        batch_norm: boolean; batch normalization before each activation. Defaults to `False`.
        **kwargs: passed to `ClickModel`, which also documents input and output shapes.

    Raises:
        ValueError: on a value out of range, widths that differ, or features that do not fit the
            schema.

    Reference: Qu et al., ICDM 2016 (arXiv 1611.00144), section III, equations 2 to 14; published
        with d = 10, three hidden layers, ReLU, dropout 0.5.

    Example:
        >>> import numpy as np, zoo
        >>> schema = zoo.Schema("tiny", [zoo.Categorical("user", 10), zoo.Categorical("item", 20)])
        >>> model = zoo.PNN(schema, embedding_dim=4, product="both", hidden_units=(8,))
        >>> model({"ids": np.array([[3, 5], [3, 6]])}).shape
        TensorShape([2, 1])
    """

    def __init__(
        self,
        schema: Schema,
        embedding_dim: int = 16,
        *,
        product: str = "inner",
        hidden_units: Sequence[int] = (200, 200),
        activation: Any = "relu",
        dropout: float | Sequence[float] = 0.0,
        batch_norm: bool = False,
        **kwargs: Unpack[ModelArguments],
    ):
        super().__init__(schema, embedding_dim, **kwargs)
        one_of("product", product, PRODUCTS)
        self.product = product
        self.embedding = self.embed()
        self.dots = None
        # One column has no pairs.
        if product != "outer" and self.columns > 1:
            self.dots = keras_rs.layers.DotInteraction(dtype=self.dtype_policy, name="dots")
        self.mlp = self.deep_part(hidden_units, activation, dropout, batch_norm)
        self.output_unit = self.output_layer()
        self.finish(
            product=product,
            hidden_units=hidden_units,
            activation=activation,
            dropout=dropout,
            batch_norm=batch_norm,
        )

    def logits(self, features: dict[str, tf.Tensor], training: bool) -> tf.Tensor:
        embedded = self.embedding(features, training=training)
        parts = [self.side_by_side(embedded, features)]
        if self.dots is not None:
            parts.append(self.dots(tf.unstack(embedded, axis=1)))
        if self.product != "inner":
            parts.append(outer_product(embedded))
        return self.output_unit(self.mlp(tf.concat(parts, axis=1), training=training))

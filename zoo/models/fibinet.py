"""FiBiNET: field weights, bilinear products of pairs, and an MLP."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

import keras
import tensorflow as tf

from tf_helen.core.checks import one_of
from zoo.data.schema import Schema
from zoo.layers.bilinear import KINDS, BilinearInteraction
from zoo.layers.squeeze_excitation import SqueezeExcitation
from zoo.models.arguments import ModelArguments
from zoo.models.base import ClickModel


@keras.saving.register_keras_serializable(package="zoo")
class FiBiNET(ClickModel):
    """A linear part, and an MLP over the bilinear products of all pairs of vectors.

    Squeeze and excitation (SENET) computes a weight for each field of a row. The input of the MLP
    is the concatenation of the products of the plain vectors and of the weighted vectors.

    `logit = b + sum_j w_j + w . MLP([p; q])`
    `p_ij = (e_i W_ij) * e_j`, `q_ij = (a_i e_i V_ij) * a_j e_j`
    `a = act(W2 relu(W1 z))`, `z_j = mean_d e_jd`, i < j

    Args:
        schema: `zoo.Schema`, the columns of the data, at least two.
        embedding_dim: int, width d of the embeddings. Defaults to 16.
        bilinear: which pairs share the matrices W and V: "all" pairs, the pairs of "each" left
            field, or none ("interaction": one matrix per pair). Defaults to "interaction".
        reduction: float above 0, number of fields per unit of SENET's hidden layer. Defaults to 3.
        excitation: Keras activation of the weights; the paper and FuxiCTR use "relu". Defaults to
            "relu".
        hidden_units: sequence of ints, widths of the hidden layers of the MLP. Defaults to
            `(200, 200)`.
        activation: Keras activation of the MLP. Defaults to "relu".
        dropout: float in [0, 1), or one per hidden layer: dropout rate after each hidden layer.
            Defaults to 0.
        batch_norm: boolean; batch normalization before each activation. Defaults to `False`.
        **kwargs: passed to `ClickModel`, which also documents input and output shapes.

    Raises:
        ValueError: on a value out of range, a schema of one column, or features that do not fit
            the schema.

    Reference: Huang, Zhang, Zhang, RecSys 2019 (arXiv 1905.09433), sections "SENET Layer" to
        "Output Layer". The code of its successor FiBiNet++ runs it with d = 10, reduction 3, an MLP
        of 400-400-400, ReLU, Adam.

    Example:
        >>> import numpy as np, zoo
        >>> schema = zoo.Schema("tiny", [zoo.Categorical("user", 10), zoo.Categorical("item", 20)])
        >>> model = zoo.FiBiNET(schema, embedding_dim=4, bilinear="each", hidden_units=(8,))
        >>> model({"ids": np.array([[3, 5], [3, 6]])}).shape
        TensorShape([2, 1])
    """

    def __init__(
        self,
        schema: Schema,
        embedding_dim: int = 16,
        *,
        bilinear: str = "interaction",
        reduction: float = 3,
        excitation: Any = "relu",
        hidden_units: Sequence[int] = (200, 200),
        activation: Any = "relu",
        dropout: float | Sequence[float] = 0.0,
        batch_norm: bool = False,
        **kwargs: Unpack[ModelArguments],
    ):
        super().__init__(schema, embedding_dim, **kwargs)
        one_of("bilinear", bilinear, KINDS)
        if isinstance(reduction, bool) or not isinstance(reduction, (int, float)) or reduction <= 0:
            raise ValueError(
                f"`reduction` must be a number > 0, such as 3. Received: {reduction!r}"
            )
        if self.columns < 2:
            raise ValueError(
                f"FiBiNET multiplies pairs of columns; schema {self.schema.name!r} has "
                f"{self.columns}. Use a model without pairs, such as DNN or GDCN."
            )
        policy = {"dtype": self.dtype_policy}
        self.embedding = self.embed()
        self.linear = self.linear_part()
        self.senet = SqueezeExcitation(reduction, excitation, name="senet", **policy)
        self.pairs = BilinearInteraction(bilinear, name="pairs", **policy)
        self.weighed_pairs = BilinearInteraction(bilinear, name="weighed_pairs", **policy)
        self.mlp = self.deep_part(hidden_units, activation, dropout, batch_norm)
        # The linear part has the bias.
        self.output_unit = self.output_layer(use_bias=False)
        self.finish(
            bilinear=bilinear,
            reduction=reduction,
            excitation=excitation,
            hidden_units=hidden_units,
            activation=activation,
            dropout=dropout,
            batch_norm=batch_norm,
        )

    def logits(self, features: dict[str, tf.Tensor], training: bool) -> tf.Tensor:
        embedded = self.embedding(features, training=training)
        products = [self.pairs(embedded), self.weighed_pairs(self.senet(embedded))]
        crossed = self.side_by_side(tf.concat(products, axis=1), features)
        deep = self.mlp(crossed, training=training)
        return self.linear(features, training=training) + self.output_unit(deep)

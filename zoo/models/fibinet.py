"""FiBiNET: weights of fields, bilinear products of pairs, and an MLP."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from tf_helen.core.checks import one_of
from zoo.data.schema import Schema
from zoo.layers.bilinear import KINDS, BilinearInteraction
from zoo.layers.squeeze_excitation import SqueezeExcitation
from zoo.models.base import ClickModel


@keras.saving.register_keras_serializable(package="zoo")
class FiBiNET(ClickModel):
    """Bilinear products of all pairs of vectors, plain and weighed, into an MLP; a linear part.

    Squeeze and excitation (SENET) gives each field of a row a weight. The products of the plain
    vectors and those of the weighed ones, side by side, are the input of the MLP.

    `logit = b + sum_j w_j + w . MLP([p; q])`
    `p_ij = (e_i W_ij) * e_j`, `q_ij = (a_i e_i V_ij) * a_j e_j`
    `a = act(W2 relu(W1 z))`, `z_j = mean_d e_jd`, i < j

    Args:
        schema: the columns of the data, at least two.
        embedding_dim: width d of the embeddings.
        bilinear: whose matrices W and V are: of "all" pairs, of "each" left field, of each
            "interaction" (pair).
        reduction: fields per unit in the middle of SENET, above 0.
        excitation: Keras activation of the weights; the paper's and FuxiCTR's is "relu".
        hidden_units: widths of the MLP.
        activation: Keras activation of the MLP.
        dropout: after each hidden layer, in [0, 1); one rate or one for each.
        batch_norm: batch normalization before each activation.
        **kwargs: of `ClickModel`; there are the shapes of features and logits too.

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
        **kwargs: Any,
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
                f"{self.columns}. Use a model without pairs, such as DNN or GDCN"
            )
        policy = {"dtype": self.dtype_policy}
        self.embedding = self.embed()
        self.linear = self.linear_part()
        self.senet = SqueezeExcitation(reduction, excitation, name="senet", **policy)
        self.pairs = BilinearInteraction(bilinear, name="pairs", **policy)
        self.weighed_pairs = BilinearInteraction(bilinear, name="weighed_pairs", **policy)
        self.mlp = self.deep_part(hidden_units, activation, dropout, batch_norm)
        # The linear part has the bias already.
        self.output_unit = self.output_layer(use_bias=False)

    def logits(self, features: dict[str, tf.Tensor], training: bool) -> tf.Tensor:
        embedded = self.embedding(features, training=training)
        products = [self.pairs(embedded), self.weighed_pairs(self.senet(embedded))]
        crossed = self.side_by_side(tf.concat(products, axis=1), features)
        deep = self.mlp(crossed, training=training)
        return self.linear(features, training=training) + self.output_unit(deep)

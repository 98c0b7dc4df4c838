"""xDeepFM: a compressed interaction network and an MLP."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

import keras
import tensorflow as tf

from zoo.data.schema import Schema
from zoo.layers.cin import CIN
from zoo.models.arguments import ModelArguments
from zoo.models.base import ClickModel


@keras.saving.register_keras_serializable(package="zoo")
class XDeepFM(ClickModel):
    """A linear part, a compressed interaction network (CIN) and an MLP that share the embeddings.

    The CIN multiplies vectors entry by entry; its layer k combines products of k + 1 fields (X^0 =
    e). Each of its rows is summed over d, and the logit is linear in the sums of all layers.

    `logit = b + sum_j w_j + u . CIN(e_1, ..., e_F) + w . MLP([e_1; ...; e_F]) + c`
    `CIN = [sum_d X^1; sum_d X^2; ...]`, `X^k_h = sum_ij W^k_hij (e_i * X^{k-1}_j) + b^k_h`

    Args:
        schema: `zoo.Schema`, the columns of the data.
        embedding_dim: int, width d of the embeddings. Defaults to 16.
        cin_units: sequence of ints, number of filters of each layer of the CIN. Defaults to
            `(16, 16, 16)`.
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

    Reference: Lian et al., KDD 2018 (arXiv 1803.05170), equations 6, 7 and 15; published with
        d = 10, layers of 200 in the CIN and of 400 in the MLP for Criteo, Adam; BARS for
        Criteo_x4_001: d = 16, a CIN of 64-64-64, an MLP of five times 1000, dropout 0.2. The CIN's
        filters have biases, as in FuxiCTR; those of the paper do not.

    Example:
        >>> import numpy as np, zoo
        >>> schema = zoo.Schema("tiny", [zoo.Categorical("user", 10), zoo.Categorical("item", 20)])
        >>> model = zoo.XDeepFM(schema, embedding_dim=4, cin_units=(3, 2), hidden_units=(8,))
        >>> model({"ids": np.array([[3, 5], [3, 6]])}).shape
        TensorShape([2, 1])
    """

    def __init__(
        self,
        schema: Schema,
        embedding_dim: int = 16,
        *,
        cin_units: Sequence[int] = (16, 16, 16),
        hidden_units: Sequence[int] = (200, 200),
        activation: Any = "relu",
        dropout: float | Sequence[float] = 0.0,
        batch_norm: bool = False,
        bias_initializer: Any = "zeros",
        **kwargs: Unpack[ModelArguments],
    ):
        super().__init__(schema, embedding_dim, **kwargs)
        self.embedding = self.embed()
        self.linear = self.linear_part()
        self.cin = CIN(cin_units, dtype=self.dtype_policy, name="cin")
        # The linear part has the bias.
        self.cin_unit = self.output_layer("cin_unit", use_bias=False)
        self.mlp = self.deep_part(
            hidden_units, activation, dropout, batch_norm, bias_initializer=bias_initializer
        )
        self.output_unit = self.output_layer()
        self.finish(
            cin_units=cin_units,
            hidden_units=hidden_units,
            activation=activation,
            dropout=dropout,
            batch_norm=batch_norm,
            bias_initializer=bias_initializer,
        )

    def logits(self, features: dict[str, tf.Tensor], training: bool) -> tf.Tensor:
        embedded = self.embedding(features, training=training)
        crossed = self.linear(features, training=training) + self.cin_unit(self.cin(embedded))
        flat = self.side_by_side(embedded, features)
        return crossed + self.output_unit(self.mlp(flat, training=training))

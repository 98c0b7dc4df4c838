"""DCN: a cross network and a parallel MLP."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

import keras
import tensorflow as tf

from tf_helen.core.checks import whole_number
from zoo.data.schema import Schema
from zoo.layers.cross import CrossNet, VectorCross
from zoo.models.arguments import ModelArguments
from zoo.models.base import ClickModel


@keras.saving.register_keras_serializable(package="zoo")
class DCN(ClickModel):
    """Cross layers and a parallel MLP over the concatenated embeddings.

    `x_0 = [e_1; ...; e_F]`, `x_{l+1} = x_0 (x_l . w_l) + b_l + x_l`,
    `logit = w . [x_L; MLP(x_0)] + b`

    By default numbers are embedded, as in FuxiCTR; `numeric="direct"` concatenates their values
    with the embeddings, as in the paper.

    Args:
        schema: `zoo.Schema`, the columns of the data.
        embedding_dim: int, width d of the embeddings. Defaults to 16.
        cross_layers: int, number L of cross layers. Defaults to 3.
        hidden_units: sequence of ints, widths of the hidden layers of the MLP; empty: the cross
            network alone. Defaults to `(200, 200)`.
        activation: Keras activation of the MLP. Defaults to "relu".
        dropout: float in [0, 1), or one per hidden layer: dropout rate after each hidden layer.
            Defaults to 0.
        batch_norm: boolean; batch normalization before each activation. Defaults to `False`.
        **kwargs: passed to `ClickModel`, which also documents input and output shapes.

    Raises:
        ValueError: on a value out of range, or features that do not fit the schema.

    Reference: Wang et al., ADKDD 2017 (arXiv 1708.05123), section 2, equations 1 to 6; published on
        Criteo with d = 6 (number of ids)^(1/4), 6 cross layers, 1024-1024, batch normalization,
        Adam, batches of 512.

    Example:
        >>> import numpy as np, zoo
        >>> schema = zoo.Schema("tiny", [zoo.Categorical("user", 10), zoo.Categorical("item", 20)])
        >>> model = zoo.DCN(schema, embedding_dim=4, cross_layers=2, hidden_units=(8,))
        >>> model({"ids": np.array([[3, 5], [3, 6]])}).shape
        TensorShape([2, 1])
    """

    def __init__(
        self,
        schema: Schema,
        embedding_dim: int = 16,
        *,
        cross_layers: int = 3,
        hidden_units: Sequence[int] = (200, 200),
        activation: Any = "relu",
        dropout: float | Sequence[float] = 0.0,
        batch_norm: bool = False,
        **kwargs: Unpack[ModelArguments],
    ):
        super().__init__(schema, embedding_dim, **kwargs)
        whole_number("cross_layers", cross_layers)
        policy = {"dtype": self.dtype_policy}
        self.embedding = self.embed(flat=True)
        crosses = [VectorCross(name=f"layer_{i}", **policy) for i in range(cross_layers)]
        self.cross = CrossNet(crosses, name="cross", **policy)
        mlp = self.deep_part(hidden_units, activation, dropout, batch_norm)
        # Without hidden layers, the MLP would return x_0.
        self.mlp = mlp if mlp.steps else None
        self.output_unit = self.output_layer()
        self.finish(
            cross_layers=cross_layers,
            hidden_units=hidden_units,
            activation=activation,
            dropout=dropout,
            batch_norm=batch_norm,
        )

    def logits(self, features: dict[str, tf.Tensor], training: bool) -> tf.Tensor:
        embedded = self.embedding(features, training=training)
        ends = [self.cross(embedded)]
        if self.mlp is not None:
            ends.append(self.mlp(embedded, training=training))
        return self.output_unit(tf.concat(ends, axis=1))

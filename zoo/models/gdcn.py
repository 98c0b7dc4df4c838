"""GDCN: the gated deep & cross network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

import keras
import tensorflow as tf

from tf_helen.core.checks import one_of, whole_number
from zoo.data.schema import Schema
from zoo.layers.gated_cross import GatedCross
from zoo.models.arguments import ModelArguments
from zoo.models.base import ClickModel


@keras.saving.register_keras_serializable(package="zoo")
class GDCN(ClickModel):
    """Gated cross layers, and an MLP after them (stacked) or in parallel.

    Each cross layer raises the degree of the products by one and scales them by a gate of the same
    width. The embeddings are concatenated, so they may have different widths.

    `x_{l+1} = x_0 * (W_l x_l + b_l) * sigmoid(V_l x_l) + x_l`, `x_0 = [e_1; ...; e_F]`
    `logit = w . MLP(x_L) + c` (stacked) or `w . [x_L; MLP(x_0)] + c` (parallel)

    Args:
        schema: `zoo.Schema`, the columns of the data.
        embedding_dim: int, width d of the embeddings. Defaults to 16.
        structure: "stacked" (the paper's GDCN-S) or "parallel" (GDCN-P). Defaults to "stacked".
        cross_layers: int, number of cross layers, at least 1. Defaults to 3.
        hidden_units: sequence of ints, widths of the hidden layers of the MLP. Defaults to
            `(200, 200)`.
        activation: Keras activation of the MLP. Defaults to "relu".
        dropout: float in [0, 1), or one per hidden layer: dropout rate after each hidden layer.
            Defaults to 0.
        batch_norm: boolean; batch normalization before each activation. Defaults to `False`.
        **kwargs: passed to `ClickModel`, which also documents input and output shapes.

    Raises:
        ValueError: on a value out of range, or features that do not fit the schema.

    Reference: Wang et al., "Towards Deeper, Lighter and Interpretable Cross Network for CTR
        Prediction", CIKM 2023 (arXiv 2311.04635), sections "Gated Cross Network" and "GDCN". The
        authors' code has d = 16, 3 cross layers, 400-400-400, dropout 0.5, Adam, batch 4096.

    Example:
        >>> import numpy as np, zoo
        >>> schema = zoo.Schema("tiny", [zoo.Categorical("user", 10), zoo.Categorical("item", 20)])
        >>> model = zoo.GDCN(schema, embedding_dim=4, structure="parallel", hidden_units=(8,))
        >>> model({"ids": np.array([[3, 5], [3, 6]])}).shape
        TensorShape([2, 1])
    """

    def __init__(
        self,
        schema: Schema,
        embedding_dim: int = 16,
        *,
        structure: str = "stacked",
        cross_layers: int = 3,
        hidden_units: Sequence[int] = (200, 200),
        activation: Any = "relu",
        dropout: float | Sequence[float] = 0.0,
        batch_norm: bool = False,
        **kwargs: Unpack[ModelArguments],
    ):
        super().__init__(schema, embedding_dim, **kwargs)
        one_of("structure", structure, ("stacked", "parallel"))
        whole_number("cross_layers", cross_layers)
        self.stacked = structure == "stacked"
        self.embedding = self.embed(flat=True)
        self.cross = GatedCross(cross_layers, dtype=self.dtype_policy, name="cross")
        self.mlp = self.deep_part(hidden_units, activation, dropout, batch_norm)
        self.output_unit = self.output_layer()
        self.finish(
            structure=structure,
            cross_layers=cross_layers,
            hidden_units=hidden_units,
            activation=activation,
            dropout=dropout,
            batch_norm=batch_norm,
        )

    def logits(self, features: dict[str, tf.Tensor], training: bool) -> tf.Tensor:
        embedded = self.embedding(features, training=training)
        crossed = self.cross(embedded)
        if self.stacked:
            return self.output_unit(self.mlp(crossed, training=training))
        deep = self.mlp(embedded, training=training)
        return self.output_unit(tf.concat([crossed, deep], axis=1))

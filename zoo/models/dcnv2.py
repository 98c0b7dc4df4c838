"""DCN-V2: a cross network with matrices and a stacked or parallel MLP."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

import keras
import tensorflow as tf

from tf_helen.core.checks import one_of, whole_number
from zoo.data.schema import Schema
from zoo.layers.cross import CrossNet, MatrixCross, MixtureCrossNet
from zoo.models.arguments import ModelArguments
from zoo.models.base import ClickModel

STRUCTURES = ("parallel", "stacked", "crossnet")


@keras.saving.register_keras_serializable(package="zoo")
class DCNv2(ClickModel):
    """Cross layers with matrices over the concatenated embeddings, and a parallel or stacked MLP.

    `x_0 = [e_1; ...; e_F]`, `x_{l+1} = x_0 * (W_l x_l + b_l) + x_l`; parallel:
    `logit = w . [x_L; MLP(x_0)] + b`, stacked: `w . MLP(x_L) + b`, crossnet: `w . x_L + b`

    `projection_dim` makes each `W_l` a product `U_l V_l^T` of rank r; with several `experts` the
    layer is the gated mixture of `zoo.layers.cross.MixtureCrossNet` (DCN-Mix). FuxiCTR uses the
    mixture for one expert too; the paper and this model use the plain product. By default numbers
    are embedded, as in FuxiCTR; `numeric="direct"` concatenates their values with the embeddings,
    as in the paper.

    Args:
        schema: `zoo.Schema`, the columns of the data.
        embedding_dim: int, width d of the embeddings. Defaults to 16.
        cross_layers: int, number L of cross layers. Defaults to 3.
        structure: "parallel", "stacked" or "crossnet" (no MLP). Defaults to "parallel".
        projection_dim: int, rank r of the matrices. Defaults to `None`: full matrices.
        experts: int, number of experts of a layer; more than one needs `projection_dim`. Defaults
            to 1.
        hidden_units: sequence of ints, widths of the hidden layers of the MLP; empty: the cross
            network alone. Defaults to `(200, 200)`.
        activation: Keras activation of the MLP. Defaults to "relu".
        dropout: float in [0, 1), or one per hidden layer: dropout rate after each hidden layer.
            Defaults to 0.
        batch_norm: boolean; batch normalization before each activation. Defaults to `False`.
        **kwargs: passed to `ClickModel`, which also documents input and output shapes.

    Raises:
        ValueError: on a value out of range, or features that do not fit the schema.

    Reference: Wang et al., WWW 2021 (arXiv 2008.13535), section 3, equations 1 to 4; published with
        d = 39 for Criteo, the mean of 6 (number of ids)^(1/4), 2 cross layers, an MLP of 768-768,
        stacked, Adam, batches of 512. BARS on Criteo_x4: d = 16, 3 cross layers, parallel, five
        times 1000, dropout 0.1, batch normalization.

    Example:
        >>> import numpy as np, zoo
        >>> schema = zoo.Schema("tiny", [zoo.Categorical("user", 10), zoo.Categorical("item", 20)])
        >>> model = zoo.DCNv2(schema, embedding_dim=4, projection_dim=2, experts=3)
        >>> model({"ids": np.array([[3, 5], [3, 6]])}).shape
        TensorShape([2, 1])
    """

    def __init__(
        self,
        schema: Schema,
        embedding_dim: int = 16,
        *,
        cross_layers: int = 3,
        structure: str = "parallel",
        projection_dim: int | None = None,
        experts: int = 1,
        hidden_units: Sequence[int] = (200, 200),
        activation: Any = "relu",
        dropout: float | Sequence[float] = 0.0,
        batch_norm: bool = False,
        **kwargs: Unpack[ModelArguments],
    ):
        super().__init__(schema, embedding_dim, **kwargs)
        one_of("structure", structure, STRUCTURES)
        self.structure = structure
        self.embedding = self.embed(flat=True)
        self.cross = self._cross_network(cross_layers, projection_dim, experts)
        mlp = self.deep_part(hidden_units, activation, dropout, batch_norm)
        # Without hidden layers, the MLP would return its input.
        self.mlp = mlp if mlp.steps and structure != "crossnet" else None
        self.output_unit = self.output_layer()
        self.finish(
            cross_layers=cross_layers,
            structure=structure,
            projection_dim=projection_dim,
            experts=experts,
            hidden_units=hidden_units,
            activation=activation,
            dropout=dropout,
            batch_norm=batch_norm,
        )

    def _cross_network(self, layers: int, rank: int | None, experts: int) -> keras.layers.Layer:
        whole_number("cross_layers", layers)
        whole_number("experts", experts)
        if rank is not None:
            whole_number("projection_dim", rank)
        policy = {"dtype": self.dtype_policy}
        if experts > 1:
            if rank is None:
                raise ValueError(
                    f"`experts={experts}` needs `projection_dim`, the rank of the experts' "
                    "matrices, such as 32. Set it, or use `experts=1`."
                )
            return MixtureCrossNet(layers, rank, experts, name="cross", **policy)
        crosses = [MatrixCross(rank, name=f"layer_{i}", **policy) for i in range(layers)]
        return CrossNet(crosses, name="cross", **policy)

    def logits(self, features: dict[str, tf.Tensor], training: bool) -> tf.Tensor:
        embedded = self.embedding(features, training=training)
        end = self.cross(embedded)
        if self.mlp is None:
            return self.output_unit(end)
        if self.structure == "stacked":
            return self.output_unit(self.mlp(end, training=training))
        parallel = self.mlp(embedded, training=training)
        return self.output_unit(tf.concat([end, parallel], axis=1))

"""DCN-V2: a cross network with matrices, before or beside an MLP."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from tf_helen.core.checks import one_of
from zoo.checks import check_positive
from zoo.data.schema import Schema
from zoo.layers.cross import CrossNet, MatrixCross, MixtureCrossNet
from zoo.models.base import ClickModel

STRUCTURES = ("parallel", "stacked", "crossnet")


@keras.saving.register_keras_serializable(package="zoo")
class DCNv2(ClickModel):
    """Embeddings, side by side, into cross layers with matrices; an MLP beside or behind them.

    `x_0 = [e_1; ...; e_F]`, `x_{l+1} = x_0 * (W_l x_l + b_l) + x_l`; parallel:
    `logit = w . [x_L; MLP(x_0)] + b`, stacked: `w . MLP(x_L) + b`, crossnet: `w . x_L + b`

    `projection_dim` makes each `W_l` a product `U_l V_l^T` of rank r; with several `experts` the
    layer is the gated mixture of `zoo.layers.cross.MixtureCrossNet` (DCN-Mix). FuxiCTR has that
    mixture only, also for one expert, where the paper has the plain product, as here.
    The paper sets the numbers beside the embeddings as they are, as `numeric="direct"` does; by
    default each is embedded, as in FuxiCTR.

    Args:
        schema: the columns of the data.
        embedding_dim: width d of the embeddings.
        cross_layers: number L of cross layers.
        structure: "parallel", "stacked" or "crossnet" (without an MLP).
        projection_dim: rank r of the matrices; `None`: they are full.
        experts: number of experts of a layer; more than one needs `projection_dim`.
        hidden_units: widths of the MLP; none: the cross network alone.
        activation: Keras activation of the MLP.
        dropout: after each hidden layer, in [0, 1); one rate or one for each.
        batch_norm: batch normalization before each activation.
        **kwargs: of `ClickModel`; there are the shapes of features and logits too.

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
        **kwargs: Any,
    ):
        super().__init__(schema, embedding_dim, **kwargs)
        one_of("structure", structure, STRUCTURES)
        self.structure = structure
        self.embedding = self.embed(flat=True)
        self.cross = self._cross_network(cross_layers, projection_dim, experts)
        mlp = self.deep_part(hidden_units, activation, dropout, batch_norm)
        # Without hidden layers it would give its input.
        self.mlp = mlp if mlp.steps and structure != "crossnet" else None
        self.output_unit = self.output_layer()

    def _cross_network(self, layers: int, rank: int | None, experts: int) -> keras.layers.Layer:
        check_positive("cross_layers", layers)
        check_positive("experts", experts)
        if rank is not None:
            check_positive("projection_dim", rank)
        policy = {"dtype": self.dtype_policy}
        if experts > 1:
            if rank is None:
                raise ValueError(
                    f"`experts={experts}` are matrices of low rank: give their rank as "
                    "`projection_dim`, such as 32, or leave `experts` at 1"
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
        beside = self.mlp(embedded, training=training)
        return self.output_unit(tf.concat([end, beside], axis=1))

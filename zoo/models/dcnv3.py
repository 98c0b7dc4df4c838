"""DCNv3, published as FCN: a cross network of linear and one of exponential order."""

from __future__ import annotations

from typing import Any, Unpack

import keras
import tensorflow as tf

from tf_helen.core.checks import whole_number
from zoo.data.schema import Schema
from zoo.layers.masked_cross import MaskedCross
from zoo.layers.tri_bce import part_losses
from zoo.models.arguments import ModelArguments
from zoo.models.base import ClickModel

_PARTS = "_zoo_parts"


@keras.saving.register_keras_serializable(package="zoo")
class DCNv3(ClickModel):
    """Two parallel cross networks without an MLP; the logit is the mean of their logits.

    The order of the products grows by one per layer in the linear cross network (LCN) and doubles
    per layer in the exponential one (ECN). Half of a layer's output is a masked copy of the other
    half (self-mask).

    `x_0 = [e'_1; ...; e'_F; e''_1; ...; e''_F]`, where e' and e'' are the halves of a vector;
    `LCN: x <- x_0 * m(x) + x`, `ECN: x <- x * m(x) + x`, `m(x) = [c; c * ReLU(LN(c))] + b`,
    `c = W x`;
    `logit = (w . x_ECN + b + v . x_LCN + c) / 2`, averaged over the heads.

    Training adds the paper's Tri-BCE loss to the compiled loss: `sum_k max(0, L_k - L) L_k`, where
    L_k is the cross-entropy of network k and L that of the model. A network that is worse than the
    model gets a larger weight. `compute_loss` adds it, because it needs the labels. Evaluation uses
    the compiled loss only.

    Args:
        schema: `zoo.Schema`, the columns of the data.
        embedding_dim: even int, width d of the embeddings in each head. Defaults to 16.
        exponential_layers: int, number of layers of the ECN. Defaults to 4.
        linear_layers: int, number of layers of the LCN. Defaults to 4.
        exponential_dropout: float in [0, 1), dropout rate after each layer of the ECN. Defaults to
            0.
        linear_dropout: float in [0, 1), dropout rate after each layer of the LCN. Defaults to 0.
        heads: int, number of embeddings per column; all pass through the same layers. Defaults to
            1.
        layer_norm: boolean; layer normalization (LN) in the mask. Defaults to `True`.
        batch_norm: boolean; batch normalization of c, per head. Defaults to `False`.
        tri_bce: boolean; trains with Tri-BCE. Defaults to `True`.
        **kwargs: passed to `ClickModel`, which also documents input and output shapes.

    Raises:
        ValueError: on a value out of range, or features that do not fit the schema.

    Reference: Li et al., 2024 (arXiv 2407.13349), sections 3.1 to 3.4; as in the authors' code, b
        is drawn from [0, 1). Published with d = 16, 3 to 6 layers, dropout up to 0.3; Adam, batch
        4096 for Criteo and 10000 for Avazu.

    Example:
        >>> import numpy as np, zoo
        >>> schema = zoo.Schema("tiny", [zoo.Categorical("user", 10), zoo.Categorical("item", 20)])
        >>> model = zoo.DCNv3(schema, embedding_dim=4, exponential_layers=2, linear_layers=2)
        >>> model({"ids": np.array([[3, 5], [3, 6]])}).shape
        TensorShape([2, 1])
    """

    def __init__(
        self,
        schema: Schema,
        embedding_dim: int = 16,
        *,
        exponential_layers: int = 4,
        linear_layers: int = 4,
        exponential_dropout: float = 0.0,
        linear_dropout: float = 0.0,
        heads: int = 1,
        layer_norm: bool = True,
        batch_norm: bool = False,
        tri_bce: bool = True,
        **kwargs: Unpack[ModelArguments],
    ):
        super().__init__(schema, embedding_dim, **kwargs)
        self.refuse_direct()
        whole_number("exponential_layers", exponential_layers)
        whole_number("linear_layers", linear_layers)
        whole_number("heads", heads)
        if embedding_dim % 2:
            raise ValueError(
                f"`embedding_dim` must be even: DCNv3 halves the vectors. Received: {embedding_dim}"
            )
        if self.settings["embedding_dims"]:
            raise ValueError(
                "DCNv3 needs vectors of the same width, which its heads share. Received: "
                f"embedding_dim={embedding_dim} and "
                f"embedding_dims={dict(self.settings['embedding_dims'])}; remove the latter"
            )
        self.heads, self.tri_bce = heads, tri_bce
        self.embedding = self.embed(embedding_dim * heads)
        alike: dict[str, Any] = {"heads": heads, "layer_norm": layer_norm, "batch_norm": batch_norm}
        alike["dtype"] = self.dtype_policy
        self.exponential = [
            MaskedCross(dropout=exponential_dropout, name=f"exponential_{i}", **alike)
            for i in range(exponential_layers)
        ]
        self.linear = [
            MaskedCross(dropout=linear_dropout, name=f"linear_{i}", **alike)
            for i in range(linear_layers)
        ]
        self.exponential_unit = self.output_layer("exponential_unit")
        self.linear_unit = self.output_layer("linear_unit")
        self.finish(
            exponential_layers=exponential_layers,
            linear_layers=linear_layers,
            exponential_dropout=exponential_dropout,
            linear_dropout=linear_dropout,
            heads=heads,
            layer_norm=layer_norm,
            batch_norm=batch_norm,
            tri_bce=tri_bce,
        )

    def logits(self, features: dict[str, tf.Tensor], training: bool) -> tf.Tensor:
        half = self.embedding_dim // 2
        embedded = self.embedding(features, training=training)
        embedded = tf.reshape(embedded, [-1, self.columns, self.heads, 2, half])
        embedded = tf.transpose(embedded, [0, 2, 3, 1, 4])
        # The heads of a row as rows: they share all weights.
        first = tf.reshape(embedded, [-1, self.columns * self.embedding_dim])
        x = first
        for layer in self.exponential:
            x = layer(x, x, training=training)
        exponential = self._mean_of_heads(self.exponential_unit(x))
        x = first
        for layer in self.linear:
            x = layer(first, x, training=training)
        linear = self._mean_of_heads(self.linear_unit(x))
        logit = 0.5 * (exponential + linear)
        # On the tensor, not the model: replicas run the same model at the same time.
        setattr(logit, _PARTS, (exponential, linear))
        return logit

    def _mean_of_heads(self, logits: tf.Tensor) -> tf.Tensor:
        return tf.reduce_mean(tf.reshape(logits, [-1, self.heads]), axis=1, keepdims=True)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        loss = super().compute_loss(x, y, y_pred, sample_weight, training)
        parts = getattr(y_pred, _PARTS, None)
        if not (training and self.tri_bce and parts):
            return loss
        return loss + part_losses(y, y_pred, parts, sample_weight)

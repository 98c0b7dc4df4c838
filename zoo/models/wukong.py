"""WuKong: a stack of factorization machines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

import keras
import tensorflow as tf

from tf_helen.core.checks import whole_number
from zoo.data.schema import Schema
from zoo.layers.mlp import check_widths
from zoo.layers.wukong import WuKongLayer
from zoo.models.arguments import ModelArguments
from zoo.models.base import ClickModel


@keras.saving.register_keras_serializable(package="zoo")
class WuKong(ClickModel):
    """Layers that compute new vectors from pairwise products and from sums, and an MLP.

    The factorization machine block (FMB) maps the inner products of all vectors to new vectors, the
    linear compression block (LCB) returns linear combinations of the vectors. L layers reach
    products of 2^L vectors.

    `X_0 = (e_1, ..., e_F)`, `X_{l+1} = LN([FMB(X_l); LCB(X_l)] + R_l X_l)`, `LCB(X) = L X`
    `FMB(X) = reshape(V MLP(LN(flatten(X X^T Y))) + b)`; `logit = w . MLP(flatten(X_L)) + c`

    Args:
        schema: `zoo.Schema`, the columns of the data.
        embedding_dim: int, width d of the embeddings, at least 2. Defaults to 16.
        layers: int, number of layers, at least 1. Defaults to 3.
        fmb_vectors: int, number of vectors that a factorization machine block returns. Defaults to
            16.
        lcb_vectors: int, number of vectors that a linear compression block returns. Defaults to 16.
        projection: int, number of columns of Y, which reduce the matrix of inner products. Defaults
            to 16.
        fmb_units: sequence of ints, widths of the hidden layers of the MLP in the factorization
            machine block. Defaults to `(200,)`.
        hidden_units: sequence of ints, widths of the hidden layers of the last MLP. Defaults to
            `(200, 200)`.
        activation: Keras activation of all MLPs. Defaults to "relu".
        dropout: float in [0, 1), or one per hidden layer: dropout rate after each hidden layer of
            the last MLP. Defaults to 0.
        batch_norm: boolean; batch normalization before each activation of the last MLP. Defaults to
            `False`.
        bias_initializer: Keras initializer of the biases of all MLPs, or "fan_in_uniform", see
            `zoo.layers.MLP`; not zeros where the embeddings are initialized with zeros. Defaults to
            "zeros".
        **kwargs: passed to `ClickModel`, which also documents input and output shapes.

    Raises:
        ValueError: on a value out of range, or features that do not fit the schema.

    Reference: Zhang et al., "Wukong: Towards a Scaling Law for Large-Scale Recommendation", ICML
        2024 (arXiv 2403.02545), sections 3.2 to 3.6. R is the identity where the number of vectors
        stays the same, as in the paper; Y is learned and the same for all rows, without the paper's
        optional attention. FuxiCTR's model of this name differs from the paper: its LCB and its
        output are linear layers over flattened vectors, and one LN spans them all. On Criteo
        Terabyte the paper has d = 128, `projection=24`, ReLU, batch 131072, Adam, and row-wise
        AdaGrad for the tables; it searched 1 to 4 layers and 8 or 16 vectors of either block.

    Example:
        >>> import numpy as np, zoo
        >>> schema = zoo.Schema("tiny", [zoo.Categorical("user", 10), zoo.Categorical("item", 20)])
        >>> model = zoo.WuKong(schema, embedding_dim=4, layers=2, hidden_units=(8,))
        >>> model({"ids": np.array([[3, 5], [3, 6]])}).shape
        TensorShape([2, 1])
    """

    def __init__(
        self,
        schema: Schema,
        embedding_dim: int = 16,
        *,
        layers: int = 3,
        fmb_vectors: int = 16,
        lcb_vectors: int = 16,
        projection: int = 16,
        fmb_units: Sequence[int] = (200,),
        hidden_units: Sequence[int] = (200, 200),
        activation: Any = "relu",
        dropout: float | Sequence[float] = 0.0,
        batch_norm: bool = False,
        bias_initializer: Any = "zeros",
        **kwargs: Unpack[ModelArguments],
    ):
        super().__init__(schema, embedding_dim, **kwargs)
        self.refuse_direct()
        settings = {"layers": layers, "projection": projection}
        settings |= {"fmb_vectors": fmb_vectors, "lcb_vectors": lcb_vectors}
        for name, value in settings.items():
            whole_number(name, value)
        check_widths("fmb_units", fmb_units)
        policy = {"dtype": self.dtype_policy}
        self.embedding = self.embed()
        # Layer normalization of a vector of length 1 gives zero.
        whole_number("embedding_dim", self.embedding.vector_widths[0], low=2)
        self.interactions = [
            WuKongLayer(
                fmb_vectors,
                lcb_vectors,
                projection,
                fmb_units,
                activation,
                bias_initializer,
                name=f"layer_{i}",
                **policy,
            )
            for i in range(layers)
        ]
        self.mlp = self.deep_part(
            hidden_units, activation, dropout, batch_norm, bias_initializer=bias_initializer
        )
        self.output_unit = self.output_layer()
        self.finish(
            layers=layers,
            fmb_vectors=fmb_vectors,
            lcb_vectors=lcb_vectors,
            projection=projection,
            fmb_units=fmb_units,
            hidden_units=hidden_units,
            activation=activation,
            dropout=dropout,
            batch_norm=batch_norm,
            bias_initializer=bias_initializer,
        )

    def logits(self, features: dict[str, tf.Tensor], training: bool) -> tf.Tensor:
        vectors = self.embedding(features, training=training)
        for layer in self.interactions:
            vectors = layer(vectors, training=training)
        flat = self.side_by_side(vectors, features)
        return self.output_unit(self.mlp(flat, training=training))

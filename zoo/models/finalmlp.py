"""FinalMLP: two MLPs over gated features, and their bilinear fusion."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

import keras
import tensorflow as tf

from tf_helen.core.checks import whole_number
from zoo.data.schema import Schema
from zoo.layers import MLP, FieldEmbedding
from zoo.layers.column_subset import ColumnSubset
from zoo.layers.mlp import check_widths
from zoo.layers.two_streams import BilinearFusion, FeatureGate
from zoo.models.arguments import ModelArguments
from zoo.models.base import ClickModel


@keras.saving.register_keras_serializable(package="zoo")
class FinalMLP(ClickModel):
    """Two streams over the same embeddings, each with its own gates and MLP.

    The gates of a stream depend on a few columns, its context, which have a second embedding.
    Without a context the gates are learned and the same for all rows. A bilinear form fuses the
    streams.

    `x_k = MLP_k(g_k * e)`, `g_k = 2 sigmoid(W_k MLP'_k(context_k) + b_k)`, `e = [e_1; ...; e_F]`
    `logit = u . x_1 + v . x_2 + sum_h x_1h W_h x_2h + c`

    Args:
        schema: `zoo.Schema`, the columns of the data.
        embedding_dim: int, width d of the embeddings. Defaults to 16.
        hidden_units: sequence of ints, widths of the hidden layers of the first MLP. Defaults to
            `(200, 200)`.
        activation: Keras activation of both MLPs. Defaults to "relu".
        dropout: float in [0, 1), or one per hidden layer: dropout rate after each hidden layer of
            the first MLP. Defaults to 0.
        batch_norm: boolean; batch normalization before each activation of the first MLP. Defaults
            to `False`.
        second_hidden_units: as `hidden_units`, for the second MLP. Defaults to `None`: as the
            first.
        second_dropout: as `dropout`, for the second MLP. Defaults to `None`: as the first.
        second_batch_norm: as `batch_norm`, for the second MLP. Defaults to `None`: as the first.
        gates: boolean; whether the streams have gates. Defaults to `True`.
        gate_units: sequence of ints, widths of the hidden layers of the gates' MLP. Defaults to
            `(64,)`.
        first_context: sequence of column names that the gates of the first stream depend on.
            Defaults to `()`.
        second_context: sequence of column names that the gates of the second stream depend on.
            Defaults to `()`.
        heads: int, number of pieces that the streams are cut into for the bilinear form; divides
            the last widths of both MLPs. Defaults to 1.
        **kwargs: passed to `ClickModel`, which also documents input and output shapes.

    Raises:
        ValueError: on a value out of range, or features that do not fit the schema.

    Reference: Mao et al., AAAI 2023 (arXiv 2304.00902), sections "Stream-Specific Feature
        Selection" and "Stream-Level Interaction Aggregation"; in BARS for Criteo_x4_001 with
        d = 16, MLPs of five times 1000 (dropout 0.2) and of 500 (dropout 0.1), 50 heads, no gates,
        Adam. As in the authors' code, the fusion has two biases. The learned context starts near
        zero; the authors' code starts it at zero, where its gradient is zero too.

    Example:
        >>> import numpy as np, zoo
        >>> schema = zoo.Schema("tiny", [zoo.Categorical("user", 10), zoo.Categorical("item", 20)])
        >>> model = zoo.FinalMLP(schema, 4, hidden_units=(8,), first_context=("user",), heads=2)
        >>> model({"ids": np.array([[3, 5], [3, 6]])}).shape
        TensorShape([2, 1])
    """

    def __init__(
        self,
        schema: Schema,
        embedding_dim: int = 16,
        *,
        hidden_units: Sequence[int] = (200, 200),
        activation: Any = "relu",
        dropout: float | Sequence[float] = 0.0,
        batch_norm: bool = False,
        second_hidden_units: Sequence[int] | None = None,
        second_dropout: float | Sequence[float] | None = None,
        second_batch_norm: bool | None = None,
        gates: bool = True,
        gate_units: Sequence[int] = (64,),
        first_context: Sequence[str] = (),
        second_context: Sequence[str] = (),
        heads: int = 1,
        **kwargs: Unpack[ModelArguments],
    ):
        super().__init__(schema, embedding_dim, **kwargs)
        first = (hidden_units, dropout, batch_norm)
        second = (
            hidden_units if second_hidden_units is None else second_hidden_units,
            dropout if second_dropout is None else second_dropout,
            batch_norm if second_batch_norm is None else second_batch_norm,
        )
        whole_number("heads", heads)
        check_widths("gate_units", gate_units)
        check_widths("hidden_units", hidden_units, layers=1)
        check_widths("second_hidden_units", second[0], layers=1)
        policy = {"dtype": self.dtype_policy}
        self.mlps = []
        for name, (units, rate, norm) in (("first_mlp", first), ("second_mlp", second)):
            if units[-1] % heads:
                raise ValueError(
                    f"`heads` must divide the last width of both MLPs. Received: heads={heads} and "
                    f"the widths {tuple(units)}"
                )
            self.mlps.append(
                MLP(
                    units, activation=activation, dropout=rate, batch_norm=norm, name=name, **policy
                )
            )
        self.embedding = self.embed(flat=True)
        contexts = {"first_context": first_context, "second_context": second_context}
        self.gates: list[FeatureGate] = []
        self.subsets: list[ColumnSubset | None] = []
        self.context_embeddings: list[FieldEmbedding | None] = []
        for setting, names in contexts.items():
            is_list = isinstance(names, Sequence) and not isinstance(names, str)
            if not is_list or not all(isinstance(name, str) for name in names):
                raise ValueError(
                    f"`{setting}` must be distinct names of columns, such as ('user',), or () for "
                    f"none. Received: {names!r}"
                )
            if not gates:
                continue
            subset = ColumnSubset(self.schema, names, setting) if names else None
            self.subsets.append(subset)
            embedding = None
            if subset is not None:
                embedding = self.embed(schema=subset.schema, flat=True, name=setting)
            self.context_embeddings.append(embedding)
            width = None if subset else embedding_dim
            name = setting.replace("context", "gate")
            self.gates.append(FeatureGate(gate_units, width, name=name, **policy))
        self.fusion = BilinearFusion(heads, name="fusion", **policy)
        self.finish(
            hidden_units=hidden_units,
            activation=activation,
            dropout=dropout,
            batch_norm=batch_norm,
            second_hidden_units=second_hidden_units,
            second_dropout=second_dropout,
            second_batch_norm=second_batch_norm,
            gates=gates,
            gate_units=gate_units,
            first_context=first_context,
            second_context=second_context,
            heads=heads,
        )

    def logits(self, features: dict[str, tf.Tensor], training: bool) -> tf.Tensor:
        embedded = self.embedding(features, training=training)
        streams = [embedded, embedded]
        for i, gate in enumerate(self.gates):
            subset, embedding = self.subsets[i], self.context_embeddings[i]
            if subset is None or embedding is None:
                streams[i] = gate(embedded)
            else:
                streams[i] = gate(embedded, embedding(subset(features), training=training))
        return self.fusion(
            *(mlp(x, training=training) for mlp, x in zip(self.mlps, streams, strict=True))
        )

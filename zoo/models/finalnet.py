"""FinalNet: factorized interaction layers instead of an MLP."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

import keras
import tensorflow as tf

from tf_helen.core.checks import is_number, one_of
from zoo.data.schema import Schema
from zoo.layers import MLP
from zoo.layers.factorized_interaction import RESIDUALS, ColumnGate, FactorizedInteraction
from zoo.layers.mlp import check_widths
from zoo.models.arguments import ModelArguments
from zoo.models.base import ClickModel


@keras.saving.register_keras_serializable(package="zoo")
class FinalNet(ClickModel):
    """One or two blocks of factorized interaction layers; the mean of two logits.

    Every layer multiplies the two halves of a linear layer's output, which doubles the degree of
    the products. In training, each of two blocks also learns from the mean of both.

    `x' = dropout(act(BN([a; a * g])))` ("concat") or `a + a * g` ("sum"), `[a; g] = W x + b`
    `y_k = w_k . block_k([e_1; ...; e_F]) + c_k`, `logit = (y_1 + y_2) / 2`
    Added to the compiled loss: `distillation * sum_k BCE(sigmoid(y_k), sigmoid(logit))`

    Args:
        schema: `zoo.Schema`, the columns of the data.
        embedding_dim: int, width d of the embeddings. Defaults to 16.
        blocks: int, 1 or 2. Defaults to 2.
        hidden_units: sequence of ints, widths of the layers of the first block. Defaults to
            `(200, 200)`.
        activation: Keras activation of the layers; `None`: linear. Defaults to `None`.
        dropout: float in [0, 1), or one per layer: dropout rate after each layer of the first
            block. Defaults to 0.
        batch_norm: boolean; batch normalization before each activation. Defaults to `True`.
        second_hidden_units: as `hidden_units`, for the second block. Defaults to `None`: as the
            first.
        second_dropout: as `dropout`, for the second block. Defaults to `None`: as the first.
        residual: "concat" or "sum". Defaults to "concat".
        column_gates: boolean; gates for the input of the first block, `[e; g * e]`, `g = W e + b`
            over the columns; all vectors must have the same width. Defaults to `False`.
        distillation: float, not negative, weight of the blocks' own losses. Defaults to 1.0.
        **kwargs: passed to `ClickModel`, which also documents input and output shapes.

    Raises:
        ValueError: on a value out of range, or features that do not fit the schema.

    Reference: Zhu et al., SIGIR 2023 (doi 10.1145/3539618.3591988), sections "FINAL Block" and
        "Knowledge transfer"; in BARS for Criteo_x4_001 with d = 16, blocks of 1000-1000-1000 and of
        512, ReLU, dropout 0.4, column gates, Adam. As in the authors' code, the gate g is
        linear, where the paper writes an activation.

    Example:
        >>> import numpy as np, zoo
        >>> schema = zoo.Schema("tiny", [zoo.Categorical("user", 10), zoo.Categorical("item", 20)])
        >>> model = zoo.FinalNet(schema, embedding_dim=4, hidden_units=(8,))
        >>> model({"ids": np.array([[3, 5], [3, 6]])}).shape
        TensorShape([2, 1])
    """

    def __init__(
        self,
        schema: Schema,
        embedding_dim: int = 16,
        *,
        blocks: int = 2,
        hidden_units: Sequence[int] = (200, 200),
        activation: Any = None,
        dropout: float | Sequence[float] = 0.0,
        batch_norm: bool = True,
        second_hidden_units: Sequence[int] | None = None,
        second_dropout: float | Sequence[float] | None = None,
        residual: str = "concat",
        column_gates: bool = False,
        distillation: float = 1.0,
        **kwargs: Unpack[ModelArguments],
    ):
        super().__init__(schema, embedding_dim, **kwargs)
        if column_gates:
            self.refuse_direct(" with `column_gates`")
        one_of("blocks", blocks, (1, 2))
        one_of("residual", residual, RESIDUALS)
        if not is_number(distillation) or not distillation >= 0:
            raise ValueError(f"`distillation` must be a number >= 0. Received: {distillation!r}")
        self.distillation = distillation
        self.embedding = self.embed(flat=not column_gates)
        policy = {"dtype": self.dtype_policy}
        self.gate = ColumnGate(name="column_gate", **policy) if column_gates else None

        def layer(units: int, **options: Any) -> FactorizedInteraction:
            return FactorizedInteraction(units, residual, **options)

        first = (hidden_units, dropout)
        second = (
            hidden_units if second_hidden_units is None else second_hidden_units,
            dropout if second_dropout is None else second_dropout,
        )
        check_widths("hidden_units", hidden_units, layers=1)
        check_widths("second_hidden_units", second[0], layers=1)
        self.blocks, self.output_units = [], []
        for i, (units, rate) in enumerate((first, second)[:blocks]):
            shared = {"activation": activation, "batch_norm": batch_norm, "layer": layer, **policy}
            self.blocks.append(MLP(units, dropout=rate, name=f"block_{i}", **shared))
            self.output_units.append(self.output_layer(f"output_unit_{i}"))
        self.finish(
            blocks=blocks,
            hidden_units=hidden_units,
            activation=activation,
            dropout=dropout,
            batch_norm=batch_norm,
            second_hidden_units=second_hidden_units,
            second_dropout=second_dropout,
            residual=residual,
            column_gates=column_gates,
            distillation=distillation,
        )

    def logits(self, features: dict[str, tf.Tensor], training: bool) -> tf.Tensor:
        embedded = self.embedding(features, training=training)
        width = sum(self.embedding.widths.values())
        inputs = [tf.reshape(embedded, [-1, width])] * len(self.blocks)
        if self.gate is not None:
            inputs[0] = tf.reshape(self.gate(embedded), [-1, 2 * width])
        logits = [
            unit(block(x, training=training))
            for unit, block, x in zip(self.output_units, self.blocks, inputs, strict=True)
        ]
        mean = tf.add_n(logits) / len(logits)
        if training and self.distillation and len(logits) > 1:
            teacher = tf.stop_gradient(tf.sigmoid(mean))
            for logit in logits:
                # A replica may have no rows.
                loss = tf.reduce_sum(
                    tf.nn.sigmoid_cross_entropy_with_logits(labels=teacher, logits=logit)
                )
                rows = tf.cast(tf.shape(logit)[0], tf.float32)
                self.add_loss(self.distillation * tf.math.divide_no_nan(loss, rows))
        return mean

"""MaskNet: hidden layers with masks that depend on the row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

import keras
import tensorflow as tf

from tf_helen.core.checks import one_of, whole_number
from zoo.data.schema import Schema
from zoo.layers.mask_block import ColumnNorm, MaskBlock
from zoo.layers.mlp import check_widths, dropout_rates
from zoo.models.arguments import ModelArguments
from zoo.models.base import ClickModel


@keras.saving.register_keras_serializable(package="zoo")
class MaskNet(ClickModel):
    """Layers whose inputs are multiplied by masks, which small MLPs compute from the embeddings.

    The first input is the embeddings, normalized per column. Serial: each block takes the output of
    the one before. Parallel: all blocks take the embeddings, and an MLP takes their outputs.

    `block(h) = act(LN(W (m * h)))`, `m = M2 relu(M1 [e_1; ...; e_F] + b1) + b2`
    `v = [LN(e_1); ...; LN(e_F)]`
    `logit = w . block_L(... block_1(v)) + c` (serial)
    `logit = w . MLP([block_1(v); ...; block_n(v)]) + c` (parallel)

    Args:
        schema: `zoo.Schema`, the columns of the data.
        embedding_dim: int, width d of the embeddings; at least 2 if they are normalized. Defaults
            to 16.
        structure: "serial" or "parallel". Defaults to "parallel".
        hidden_units: sequence of ints, widths of the blocks (serial) or of the hidden layers of the
            MLP (parallel). Defaults to `(200, 200)`.
        blocks: int, number of blocks of the parallel structure. Defaults to 3.
        block_units: int, width of each of them. Defaults to 64.
        reduction: float above 0, number of hidden units per output unit of a mask's MLP. Defaults
            to 1.0.
        activation: Keras activation of the blocks and the MLP. Defaults to "relu".
        dropout: float in [0, 1), dropout rate after each block and hidden layer; in the serial
            structure also one per block. Defaults to 0.
        embedding_norm: boolean; whether to normalize the embeddings. Defaults to `True`.
        layer_norm: boolean; whether to normalize in the blocks. Defaults to `True`.
        **kwargs: passed to `ClickModel`, which also documents input and output shapes.

    Raises:
        ValueError: on a value out of range, or features that do not fit the schema.

    Reference: Wang, She, Zhang, DLP-KDD 2021 (arXiv 2102.07619), sections "MaskBlock" and
        "MaskNet"; BARS's best for Criteo_x4_001: d = 16, two parallel blocks of 500, reduction 0.1,
        no normalization, an MLP of five times 1000, dropout 0.3, Adam.

    Example:
        >>> import numpy as np, zoo
        >>> schema = zoo.Schema("tiny", [zoo.Categorical("user", 10), zoo.Categorical("item", 20)])
        >>> model = zoo.MaskNet(schema, embedding_dim=4, structure="serial", hidden_units=(8,))
        >>> model({"ids": np.array([[3, 5], [3, 6]])}).shape
        TensorShape([2, 1])
    """

    def __init__(
        self,
        schema: Schema,
        embedding_dim: int = 16,
        *,
        structure: str = "parallel",
        hidden_units: Sequence[int] = (200, 200),
        blocks: int = 3,
        block_units: int = 64,
        reduction: float = 1.0,
        activation: Any = "relu",
        dropout: float | Sequence[float] = 0.0,
        embedding_norm: bool = True,
        layer_norm: bool = True,
        **kwargs: Unpack[ModelArguments],
    ):
        super().__init__(schema, embedding_dim, **kwargs)
        self.refuse_direct()
        one_of("structure", structure, ("serial", "parallel"))
        check_widths("hidden_units", hidden_units, layers=int(structure == "serial"))
        whole_number("blocks", blocks)
        whole_number("block_units", block_units)
        if isinstance(reduction, bool) or not isinstance(reduction, (int, float)) or reduction <= 0:
            raise ValueError(f"`reduction` must be a number > 0. Received: {reduction!r}")
        self.serial = structure == "serial"
        if self.serial:
            widths, rates = hidden_units, dropout_rates(dropout, len(hidden_units))
        elif isinstance(dropout, Sequence):
            raise ValueError(
                f"`dropout` must be one number with structure='parallel'. Received: {dropout!r}"
            )
        else:
            widths, rates = [block_units] * blocks, dropout_rates(dropout, blocks)
        policy = {"dtype": self.dtype_policy}
        self.embedding = self.embed()
        if embedding_norm:
            # Layer normalization of a vector of length 1 gives zero.
            whole_number("embedding_dim", self.embedding.vector_widths[0], low=2)
        self.norm = ColumnNorm(name="embedding_norm", **policy) if embedding_norm else None
        self.blocks = [
            MaskBlock(
                width,
                reduction=reduction,
                activation=activation,
                dropout=rate,
                layer_norm=layer_norm,
                name=f"block_{i}",
                **policy,
            )
            for i, (width, rate) in enumerate(zip(widths, rates, strict=True))
        ]
        if not self.serial:
            self.mlp = self.deep_part(hidden_units, activation, dropout)
        self.output_unit = self.output_layer()
        self.finish(
            structure=structure,
            hidden_units=hidden_units,
            blocks=blocks,
            block_units=block_units,
            reduction=reduction,
            activation=activation,
            dropout=dropout,
            embedding_norm=embedding_norm,
            layer_norm=layer_norm,
        )

    def logits(self, features: dict[str, tf.Tensor], training: bool) -> tf.Tensor:
        embedded = self.embedding(features, training=training)
        flat = self.side_by_side(embedded, features)
        hidden = flat
        if self.norm is not None:
            hidden = self.side_by_side(self.norm(embedded), features)
        if self.serial:
            for block in self.blocks:
                hidden = block(hidden, flat, training=training)
            return self.output_unit(hidden)
        outputs = [block(hidden, flat, training=training) for block in self.blocks]
        return self.output_unit(self.mlp(tf.concat(outputs, axis=1), training=training))

"""EDCN: a cross network and a deep network that exchange their outputs after every layer."""

from __future__ import annotations

from typing import Any, Unpack

import keras
import tensorflow as tf

from tf_helen.core.checks import whole_number
from zoo.data.schema import Schema
from zoo.layers import MLP
from zoo.layers.cross import VectorCross
from zoo.layers.sharing import Bridge, Regulation
from zoo.models.arguments import ModelArguments
from zoo.models.base import ClickModel


@keras.saving.register_keras_serializable(package="zoo")
class EDCN(ClickModel):
    """A cross network and a deep network whose outputs a bridge joins after every layer.

    A regulation module scales the columns of the embeddings and of every bridge's output by gates,
    separately for each network. The logit is linear in the last outputs of both networks and the
    last bridge.

    `x_l, h_l = R_l(f_{l-1})`, `x'_l = x_0 (w_l . x_l) + b_l + x_l`, `h'_l = act(W_l h_l + c_l)`,
    `f_l = bridge(x'_l, h'_l)`; `logit = w . [x'_L; h'_L; f_L] + b`, `f_0 = [e_1; ...; e_F]`

    FuxiCTR omits the `+ x_l` of the cross layers, which the paper and the authors' code have; use
    `cross_residual=False` to compare with its results. Its attention bridges also have a second set
    of weights that is never used; this model does not.

    Args:
        schema: `zoo.Schema`, the columns of the data.
        embedding_dim: int, width d of the embeddings. Defaults to 16.
        cross_layers: int, number L of layers. Defaults to 3.
        bridge: "product" (the paper's choice), "sum", "concatenation" or "attention". Defaults to
            "product".
        temperature: float above 0, temperature of the softmax of the gates. Defaults to 1.0.
        cross_residual: boolean; adds the input of a cross layer to its output. Defaults to `True`.
        activation: Keras activation of the deep layers, which are as wide as all embeddings
            together. Defaults to "relu".
        dropout: float in [0, 1), dropout rate after each deep layer. Defaults to 0.
        batch_norm: boolean; batch normalization of the views, as published. Without it, the
            products of small embeddings shrink with every layer, and training may not start.
            Defaults to `True`.
        **kwargs: passed to `ClickModel`, which also documents input and output shapes.

    Raises:
        ValueError: on a value out of range, or features that do not fit the schema.

    Reference: Chen et al., CIKM 2021, sections 3.1 to 3.3; published with d = 40, products, batch
        normalization, Adam, batch 2000.

    Example:
        >>> import numpy as np, zoo
        >>> schema = zoo.Schema("tiny", [zoo.Categorical("user", 10), zoo.Categorical("item", 20)])
        >>> model = zoo.EDCN(schema, embedding_dim=4, cross_layers=2)
        >>> model({"ids": np.array([[3, 5], [3, 6]])}).shape
        TensorShape([2, 1])
    """

    def __init__(
        self,
        schema: Schema,
        embedding_dim: int = 16,
        *,
        cross_layers: int = 3,
        bridge: str = "product",
        temperature: float = 1.0,
        cross_residual: bool = True,
        activation: Any = "relu",
        dropout: float = 0.0,
        batch_norm: bool = True,
        **kwargs: Unpack[ModelArguments],
    ):
        super().__init__(schema, embedding_dim, **kwargs)
        whole_number("cross_layers", cross_layers)
        self.cross_residual = cross_residual
        self.embedding = self.embed(flat=True)
        widths = list(self.embedding.widths.values())
        policy = {"dtype": self.dtype_policy}
        shared = {"temperature": temperature, "batch_norm": batch_norm, **policy}
        deep = {"activation": activation, "dropout": dropout, **policy}
        layers = range(cross_layers)
        self.regulations = [Regulation(widths, name=f"regulation_{i}", **shared) for i in layers]
        self.crosses = [VectorCross(name=f"cross_{i}", **policy) for i in layers]
        self.deeps = [MLP((sum(widths),), name=f"deep_{i}", **deep) for i in layers]
        self.bridges = [Bridge(bridge, name=f"bridge_{i}", **policy) for i in layers]
        self.output_unit = self.output_layer()
        self.finish(
            cross_layers=cross_layers,
            bridge=bridge,
            temperature=temperature,
            cross_residual=cross_residual,
            activation=activation,
            dropout=dropout,
            batch_norm=batch_norm,
        )

    def logits(self, features: dict[str, tf.Tensor], training: bool) -> tf.Tensor:
        shared = self.embedding(features, training=training)
        first = None
        layers = zip(self.regulations, self.crosses, self.deeps, self.bridges, strict=True)
        for regulation, cross, deep, bridge in layers:
            view, hidden = regulation(shared, training=training)
            first = view if first is None else first
            crossed = cross(first, view)
            if not self.cross_residual:
                crossed -= view
            hidden = deep(hidden, training=training)
            shared = bridge(crossed, hidden)
        return self.output_unit(tf.concat([crossed, hidden, shared], axis=1))

"""The linear part of a model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from zoo.data.schema import Schema
from zoo.layers.embedding import FieldEmbedding


class Linear(keras.layers.Layer):
    """The logit of logistic regression: `b + sum_j w[ids_j] + sum_n u_n (x_n - mean_n) / std_n`.

    Args:
        schema: `zoo.Schema`, the columns. The weights of all ids are in one table of width 1.
        l2: float, strength of the L2 penalty on the distinct rows of the batch. Defaults to 0.
        use_bias: boolean; adds b. Defaults to `True`.
        shards: int or "auto", see `zoo.layers.FieldEmbedding`. Defaults to 1.
        dynamic: int or dict, see `zoo.ClickModel`. Defaults to `None`.
        **kwargs: Keras's layer arguments.

    Input shape:
        `{"ids": int [B, W], "numeric": float [B, N]}`.

    Output shape:
        `[B, 1]`, float32.

    Raises:
        ValueError: on features that do not fit the schema.

    Example:
        >>> import numpy as np, zoo
        >>> Linear(Schema("s", [zoo.Categorical("user", 9)]))({"ids": np.array([[3]])}).shape
        TensorShape([1, 1])
    """

    def __init__(
        self,
        schema: Schema,
        *,
        l2: float = 0.0,
        use_bias: bool = True,
        shards: int | str = 1,
        dynamic: int | Mapping[str, Any] | None = None,
        **kwargs: Any,
    ):
        # float32, because half precision loses accuracy and saves nothing here.
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.schema = schema
        self.use_bias = use_bias
        self.terms = FieldEmbedding(
            schema,
            1,
            l2=l2,
            initializer="zeros",
            shards=shards,
            dynamic=dynamic,
            dtype="float32",
            name="weights",
        )

    def build(self, input_shape: Any = None) -> None:
        self.terms.build(input_shape)
        self.bias = self.add_weight((1,), "zeros", name="bias") if self.use_bias else None
        self.built = True

    def call(self, inputs: Mapping[str, tf.Tensor], training: bool = False) -> tf.Tensor:
        terms = self.terms.summed(inputs, training)
        return terms if self.bias is None else terms + self.bias

    def compute_output_shape(self, input_shape: Any = None) -> tuple:
        return (None, 1)

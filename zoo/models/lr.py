"""LR: logistic regression."""

from __future__ import annotations

from typing import Unpack

import keras
import tensorflow as tf

from zoo.data.schema import Schema
from zoo.models.arguments import ModelArguments
from zoo.models.base import ClickModel


@keras.saving.register_keras_serializable(package="zoo")
class LR(ClickModel):
    """Logistic regression on all columns: one weight for every id and every number.

    `logit = b + sum_j w[ids_j] + sum_n u_n (x_n - mean_n) / std_n`

    The weights of a multi-valued field are averaged or summed, depending on its `pooling`; FuxiCTR
    always sums them.

    Args:
        schema: `zoo.Schema`, the columns of the data.
        embedding_dim: int, ignored; accepted so that all models have the same constructor.
            `embedding_l2` is the penalty on the weights, which start at zero. Defaults to 16.
        **kwargs: passed to `ClickModel`, which also documents input and output shapes.

    Raises:
        ValueError: on a value out of range, or features that do not fit the schema.

    Reference: Richardson, Dominowska, Ragno: Predicting Clicks, WWW 2007, section 4, equation 2.
        BARS on Criteo_x4: Adam, batch 10000, `embedding_l2=5e-8`.

    Example:
        >>> import numpy as np, zoo
        >>> schema = zoo.Schema("tiny", [zoo.Categorical("user", 10), zoo.Categorical("item", 20)])
        >>> zoo.LR(schema)({"ids": np.array([[3, 5], [3, 6]])}).shape
        TensorShape([2, 1])
    """

    def __init__(self, schema: Schema, embedding_dim: int = 16, **kwargs: Unpack[ModelArguments]):
        super().__init__(schema, embedding_dim, **kwargs)
        self.linear = self.linear_part()
        self.finish()

    def logits(self, features: dict[str, tf.Tensor], training: bool) -> tf.Tensor:
        return self.linear(features, training=training)

"""FM: a factorization machine."""

from __future__ import annotations

from typing import Unpack

import keras
import tensorflow as tf

from zoo.data.schema import Schema
from zoo.layers.factorization import factorization_machine
from zoo.models.arguments import ModelArguments
from zoo.models.base import ClickModel


@keras.saving.register_keras_serializable(package="zoo")
class FM(ClickModel):
    """A linear part and the inner products of all pairs of embeddings.

    `logit = b + sum_j w_j + sum_{i<j} <e_i, e_j>`. The sum over pairs takes time linear in the
    number of columns: `0.5 sum_d ((sum_j e_j)^2 - sum_j e_j^2)`.

    Args:
        schema: `zoo.Schema`, the columns of the data. A multi-valued field is one vector, the mean
            or sum of its values.
        embedding_dim: int, width d of the embeddings; the same for all columns. Defaults to 16.
        **kwargs: passed to `ClickModel`, which also documents input and output shapes.

    Raises:
        ValueError: on a value out of range, widths that differ, or features that do not fit the
            schema.

    Reference: Rendle, ICDM 2010, equation 1 and lemma 3.1. BARS on Criteo_x4: d = 16, Adam, batch
        10000, `embedding_l2=5e-6`.

    Example:
        >>> import numpy as np, zoo
        >>> schema = zoo.Schema("tiny", [zoo.Categorical("user", 10), zoo.Categorical("item", 20)])
        >>> zoo.FM(schema, embedding_dim=4)({"ids": np.array([[3, 5], [3, 6]])}).shape
        TensorShape([2, 1])
    """

    def __init__(self, schema: Schema, embedding_dim: int = 16, **kwargs: Unpack[ModelArguments]):
        super().__init__(schema, embedding_dim, **kwargs)
        self.embedding = self.embed()
        self.linear = self.linear_part()
        self.finish()

    def logits(self, features: dict[str, tf.Tensor], training: bool) -> tf.Tensor:
        embedded = self.embedding(features, training=training)
        return self.linear(features, training=training) + factorization_machine(embedded)

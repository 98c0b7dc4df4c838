"""DNN: embeddings and an MLP."""

from __future__ import annotations

import keras
import tensorflow as tf

from zoo.models.base import ClickModel


@keras.saving.register_keras_serializable(package="zoo")
class DNN(ClickModel):
    """Embeddings of all fields, concatenated, into an MLP.

    `logit = w . MLP([e_1; ...; e_F]) + b`

    Args:
        schema: the columns of the data.
        embedding_dim: width d of the embeddings.
        hidden_units: widths of the MLP.
        activation: Keras activation of the MLP.
        dropout: dropout after each hidden layer, in [0, 1).
        batch_norm: batch normalization before each activation.
        embedding_l2: strength of the L2 penalty on the distinct rows of the batch.
        embeddings_initializer: Keras initializer; `None`: normal, 0.01 wide.
        **kwargs: Keras's `name` and `dtype`.

    Input shape:
        `{"ids": int [B, W], "numeric": float [B, N]}` as `zoo.read_tfrecords` yields them.

    Output shape:
        `[B, 1]`, logits, float32.

    Raises:
        ValueError: on a value out of range, or features that do not fit the schema.

    Reference: Covington, Adams, Sargin, RecSys 2016.

    Example:
        >>> import numpy as np, zoo
        >>> schema = zoo.Schema("tiny", [zoo.Categorical("user", 10), zoo.Categorical("item", 20)])
        >>> model = zoo.DNN(schema, embedding_dim=4, hidden_units=(8,))
        >>> model({"ids": np.array([[3, 5], [3, 6]])}).shape
        TensorShape([2, 1])
    """

    def logits(self, features: dict[str, tf.Tensor], training: bool) -> tf.Tensor:
        return self.deep_logit(self.embedding(features, training=training), training)

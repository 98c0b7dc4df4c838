"""DeepFM: a factorization machine and an MLP over the same embeddings."""

from __future__ import annotations

import keras
import tensorflow as tf

from zoo.layers import Linear
from zoo.models.base import ClickModel


def factorization_machine(embedded: tf.Tensor) -> tf.Tensor:
    """The sum of all pairwise inner products, in O(fields * d).

    Args:
        embedded: `[B, fields, d]`.

    Returns:
        `[B, 1]` float32.

    Equation:
        `sum_{i<j} <e_i, e_j> = 0.5 * sum_d ((sum_i e_i)^2 - sum_i e_i^2)`

    Reference: Rendle, ICDM 2010.

    Example:
        >>> factorization_machine(tf.constant([[[1.0, 2.0], [3.0, 4.0]]])).numpy().tolist()
        [[11.0]]
    """
    # The difference of two nearly equal sums needs more digits than half precision has.
    embedded = tf.cast(embedded, tf.float32)
    square_of_sum = tf.square(tf.reduce_sum(embedded, axis=1))
    sum_of_squares = tf.reduce_sum(tf.square(embedded), axis=1)
    return 0.5 * tf.reduce_sum(square_of_sum - sum_of_squares, axis=1, keepdims=True)


@keras.saving.register_keras_serializable(package="zoo")
class DeepFM(ClickModel):
    """A linear part, a factorization machine, and an MLP that share the embeddings.

    `logit = b + sum_j w_j + 0.5 sum_d ((sum_j e_j)^2 - sum_j e_j^2) + w . MLP([e_1; ...; e_F])`

    Args:
        schema: the columns of the data.
        embedding_dim: width d of the embeddings.
        hidden_units: widths of the MLP.
        activation: Keras activation of the MLP.
        dropout: dropout after each hidden layer, in [0, 1).
        batch_norm: batch normalization before each activation.
        embedding_l2: strength of the L2 penalty on the distinct rows of the batch, of the
            embeddings and of the linear part.
        embeddings_initializer: Keras initializer; `None`: normal, 0.01 wide.
        **kwargs: Keras's `name` and `dtype`.

    Input shape:
        `{"ids": int [B, W], "numeric": float [B, N]}` as `zoo.read_tfrecords` yields them.

    Output shape:
        `[B, 1]`, logits, float32.

    Raises:
        ValueError: on a value out of range, or features that do not fit the schema.

    Reference: Guo et al., IJCAI 2017 (arXiv 1703.04247), equations 1 to 4.

    Example:
        >>> import numpy as np, zoo
        >>> schema = zoo.Schema("tiny", [zoo.Categorical("user", 10), zoo.Categorical("item", 20)])
        >>> model = zoo.DeepFM(schema, embedding_dim=4, hidden_units=(8,))
        >>> model({"ids": np.array([[3, 5], [3, 6]])}).shape
        TensorShape([2, 1])
    """

    def make_layers(self) -> None:
        self.linear = Linear(self.schema, l2=self.settings["embedding_l2"], name="linear")

    def logits(self, features: dict[str, tf.Tensor], training: bool) -> tf.Tensor:
        embedded = self.embedding(features, training=training)
        wide = self.linear(features, training=training) + factorization_machine(embedded)
        return wide + self.deep_logit(embedded, training)

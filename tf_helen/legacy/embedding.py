"""The embedding layer of tf_keras, read as a row-sparse optimizer needs it."""

from __future__ import annotations

import tensorflow as tf
import tf_keras

from tf_helen import tables
from tf_helen.legacy.variables import adapt


@tf_keras.saving.register_keras_serializable(package="tf_helen.legacy")
class Embedding(tf_keras.layers.Embedding):
    """`tf_keras.layers.Embedding` that tells the optimizer of its table.

    `AdamAR` and `AdagradAR` then decay absent rows when they are next read, at row cost; with the
    stock layer they sweep the whole table every `sweep_every` steps. An `embeddings_regularizer`
    reads the whole table at every step; prefer the optimizer's `l2`.

    Args:
        *args, **kwargs: as `tf_keras.layers.Embedding`, but for `sparse=True`.

    Raises:
        ValueError: on `sparse=True`.

    Example:
        >>> layer = tf_helen.legacy.Embedding(10, 4)
        >>> layer(tf.constant([[1, 2, 1]])).shape
        TensorShape([1, 3, 4])
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        if self.sparse:
            raise ValueError(
                "`sparse=True` is not supported by tf_helen.legacy.Embedding. Use "
                "`tf_keras.layers.Embedding`, whose tables AdamAR sweeps every `sweep_every` steps."
            )

    def build(self, input_shape=None):
        super().build(input_shape)
        tables.mark(adapt(self.embeddings), tables.Table({self.name: self.input_dim}))

    def call(self, inputs):
        if isinstance(inputs, tf.SparseTensor):
            raise TypeError(
                "tf_helen.legacy.Embedding takes dense and ragged ids. Received a SparseTensor: "
                "use `tf.sparse.to_dense`, or `tf_keras.layers.Embedding`."
            )
        return tf.ragged.map_flat_values(self._look_up, inputs)

    def _look_up(self, ids):
        ids = tf.convert_to_tensor(ids)
        if ids.dtype not in (tf.int32, tf.int64):
            ids = tf.cast(ids, tf.int32)
        variable = adapt(self.embeddings)
        rows = tables.of(variable).read(variable, tf.reshape(ids, [-1]))
        rows = tf.reshape(rows, tf.concat([tf.shape(ids), [self.output_dim]], 0))
        rows.set_shape([*ids.shape, self.output_dim])
        return tf.cast(rows, self.compute_dtype)

    def _trackable_children(self, save_type="checkpoint", **kwargs):
        children = super()._trackable_children(save_type, **kwargs)
        if save_type == "savedmodel" and self.built:
            # A model exported in the middle of training holds what its lookups depend on.
            children["tf_helen_table"] = tables.of(adapt(self.embeddings))
        return children

"""The embedding layer of tf_keras, read as a row-sparse optimizer needs it."""

from __future__ import annotations

import tensorflow as tf
import tf_keras

from tf_helen.core import tables
from tf_helen.layers.ids import as_integers, whole_numbers
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
        TypeError: when called with ids that are not integers; `tf_keras.Input` needs a `dtype`.

    Example:
        >>> layer = tf_helen.legacy.Embedding(10, 4)
        >>> layer(tf.constant([[1, 2, 1]])).shape
        TensorShape([1, 3, 4])
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **{**kwargs, "autocast": False})
        # Files of version 0.1 may hold models whose inputs are floats.
        self._takes_floats = False
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
        what = f"Embedding {self.name!r} of tf_helen.legacy"
        if self._takes_floats and ids.dtype.is_floating:
            ids = whole_numbers(ids, what, self.input_dim)
        ids = as_integers(ids, what, self.input_dim)
        variable = adapt(self.embeddings)
        table = tables.of(variable)
        assert table is not None  # `build` leaves one
        rows = table.read(variable, tf.reshape(ids, [-1]))
        rows = tf.reshape(rows, tf.concat([tf.shape(ids), [self.output_dim]], 0))
        rows.set_shape([*ids.shape, self.output_dim])
        return tf.cast(rows, self.compute_dtype)

    def get_config(self):
        return {**super().get_config(), "takes_floats": self._takes_floats}

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        takes_floats = config.pop("takes_floats", True)  # files of version 0.1 do not say
        layer = super().from_config(config)
        layer._takes_floats = takes_floats
        return layer

    def _trackable_children(self, save_type="checkpoint", **kwargs):
        children = super()._trackable_children(save_type, **kwargs)
        if save_type == "savedmodel" and self.built:
            # A model exported in the middle of training holds what its lookups depend on.
            children["tf_helen_table"] = tables.of(adapt(self.embeddings))
        return children

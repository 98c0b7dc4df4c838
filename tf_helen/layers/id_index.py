"""The index of a `DynamicEmbedding`: hash tables of TensorFlow from ids to rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from tf_helen.core import replicas


class IdIndex(tf.Module):
    """Hash tables from the ids of each field to its rows, one per field and local replica.

    Variables of the layer contain the ids of the rows, and are saved. The index is a copy of them,
    which is made again when they have been loaded: it has the checksum of its content, and the
    layer has the checksum of its variables.

    Args:
        dtype: `tf.int64` or `tf.string`, dtype of the ids.
        fields: int, number of fields.
        checksum: int64 scalar Keras variable of the layer.
    """

    def __init__(self, dtype: tf.DType, fields: int, checksum: keras.Variable):
        super().__init__(name="id_index")
        self._of_variables = checksum
        with tf.init_scope():
            # Strategies do not place hash tables. With parameter servers, they must be where all
            # workers find them; otherwise, TensorFlow puts them on the CPU.
            is_remote = replicas.is_asynchronous()
            device = replicas.copies(checksum)[0].device if is_remote else None
            with tf.device(device):
                self._tables = [
                    [
                        tf.lookup.experimental.MutableHashTable(dtype, tf.int64, 0)
                        for _ in range(fields)
                    ]
                    for _ in replicas.copies(checksum)
                ]
                self._lock = tf.CriticalSection() if is_remote else None
            self._of_index = tf.Variable(0, trainable=False, dtype=tf.int64, name="index_checksum")

    def alone(self, change: Callable[[], Any]) -> Any:
        """Returns the result of a function that no other worker runs at the same time."""
        return change() if self._lock is None else self._lock.execute(change)

    def _own(self) -> Sequence[tf.lookup.experimental.MutableHashTable]:
        """Returns the hash tables of this replica."""
        mine = replicas.local(self._of_index)
        copies = replicas.copies(self._of_index)
        return self._tables[next(i for i, copy in enumerate(copies) if copy is mine)]

    def find(self, field: int, ids: tf.Tensor) -> tf.Tensor:
        """Returns the row of each id within its field, int64 `[n]`; 0: the id has no row."""
        # The lookup does not know the rank.
        return tf.ensure_shape(self._own()[field].lookup(ids), ids.shape)

    def remove(self, field: int, ids: tf.Tensor) -> None:
        """Removes ids."""
        self._own()[field].remove(ids)

    def insert(self, field: int, ids: tf.Tensor, rows: tf.Tensor) -> None:
        """Inserts ids with their rows, int64 `[n]`."""
        self._own()[field].insert(ids, rows)

    @property
    def is_stale(self) -> tf.Tensor:
        """Whether the variables were loaded since the index was made."""
        variables = replicas.local(self._of_variables).read_value()
        return tf.not_equal(variables, replicas.local(self._of_index).read_value())

    def replace(self, field: int, ids: tf.Tensor, rows: tf.Tensor) -> None:
        """Replaces the content of a field."""
        handle = self._own()[field].resource_handle
        tf.raw_ops.LookupTableImportV2(table_handle=handle, keys=ids, values=rows)

    def note_current(self) -> None:
        """Notes that the index has the content of the variables."""
        variables = replicas.local(self._of_variables).read_value()
        replicas.local(self._of_index).assign(variables, read_value=False)

    def _trackable_children(self, save_type="checkpoint", **kwargs):
        if save_type == "checkpoint":
            return {}  # made again from the variables of the layer
        return super()._trackable_children(save_type, **kwargs)

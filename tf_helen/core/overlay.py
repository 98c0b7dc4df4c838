"""Values of variables that are visible within one pass of a step only.

The second pass of a sharpness-aware optimizer needs the weights `w + eps`. They are not written to
the variables, which other workers may read: within an `Overlay`, reads of a variable return its
stored value plus a difference. The gradient is that of the variable, `IndexedSlices` for lookups.

Private names of TensorFlow that this file uses:
    `_read_variable_op`: reads the whole variable; `value`, `read_value`, conversions to tensors and
        arithmetic call it.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from tf_helen.core.lookups import recorded
from tf_helen.core.rows import RowBlock, equal_indices

_LAYER = "_tf_helen_overlay"
_READS = ("_read_variable_op", "sparse_read", "gather_nd")
# Layers of tf_keras assign to their weights; those of Keras do so within a `StatelessScope`.
_WRITES = ("assign", "assign_add", "assign_sub")


class OverlayLayer:
    """The difference of one plain variable, and the reads that have seen it.

    Assignments to the variable are ignored: the loss must remain a function of the trained weights.

    Args:
        stored: plain `tf.Variable`, the copy of this replica.
        block: `RowBlock` of the gradient, which has the rows that differ.
        difference: tensor of the shape of `block.values`.
    """

    def __init__(self, stored: tf.Variable, block: RowBlock, difference: tf.Tensor):
        self.is_read = False
        # `ParameterServerStrategy` wraps its variables. Reads call the methods of the one inside.
        while hasattr(stored, "get"):
            stored = stored.get()
        self._stored, self._block, self._difference = stored, block, difference
        # Replicas are traced in threads of their own, and read their own copies.
        self._thread = threading.get_ident()
        self._own = {name: getattr(stored, name) for name in (*_READS, *_WRITES)}
        self._restores: dict[str, Callable[..., Any]] = {}

    def attach(self) -> None:
        """Makes reads of the variable return its value plus the difference; ignores writes."""
        self._restores = {n: vars(self._stored)[n] for n in self._own if n in vars(self._stored)}
        setattr(self._stored, _LAYER, self)
        for name in _READS:
            setattr(self._stored, name, getattr(self, name.removeprefix("_")))
        for name in _WRITES:
            setattr(self._stored, name, functools.partial(self._ignored, name))

    def detach(self) -> None:
        """Makes reads of the variable return its value again."""
        delattr(self._stored, _LAYER)
        for name in self._own:
            delattr(self._stored, name)
        for name, method in self._restores.items():
            setattr(self._stored, name, method)

    def value(self) -> tf.Tensor:
        """Returns the whole variable plus the difference."""
        self.is_read = True
        value = self._own["_read_variable_op"]()
        if self._block.ids is None:
            return _plus(value, self._difference)
        # Other layers than `tf_helen.layers.Embedding` read whole tables.
        ids, difference = self._block.ids[:, None], self._difference
        if difference.dtype != value.dtype:
            rows = tf.stop_gradient(tf.gather_nd(value, ids))
            difference = _plus(rows, difference) - rows
        return tf.tensor_scatter_nd_add(value, ids, difference)

    def lookup(
        self, ids: tf.Tensor, settled: Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
    ) -> tf.Tensor:
        """Returns rows plus their differences; rows without one are unchanged.

        Args:
            ids: int `[n]`, also repeated.
            settled: function from stored rows and their ids to the rows of a lookup.

        Returns:
            `[n, ...]`, with the gradient of a plain lookup.
        """
        self.is_read = True
        return recorded(self._stored, ids, lambda: self._looked_up(ids, settled))

    def _looked_up(
        self, ids: tf.Tensor, settled: Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
    ) -> tf.Tensor:
        block, read = self._block, self._own["sparse_read"]

        def searched():
            rows = settled(read(ids), ids)
            return _plus(rows, self._differences_of(ids))

        if block.ids is None or block.lookups is None:
            return searched()
        indices, positions = block.lookups
        # The common case: this pass looks up what the first one did. Each row is read once.
        rows = _plus(settled(read(block.ids), block.ids), self._difference)
        return tf.cond(equal_indices(ids, indices), lambda: tf.gather(rows, positions), searched)

    def _differences_of(self, ids: tf.Tensor) -> tf.Tensor:
        own_ids, difference = self._block.ids, self._difference
        if own_ids is None:
            return tf.gather(difference, ids)
        ids_of_both = tf.concat([own_ids, tf.cast(ids, own_ids.dtype)], 0)
        rows = tf.size(own_ids)
        # Positions among the ids of the block come first; new ids have later ones.
        # A slice of known size, because XLA bounds the length of `[rows:]` by that of both.
        of_ids = tf.slice(tf.unique(ids_of_both)[1], [rows], [tf.size(ids)])
        positions = tf.minimum(of_ids, rows)
        padding = [[0, 1]] + [[0, 0]] * (difference.shape.rank - 1)
        return tf.gather(tf.pad(difference, padding), positions)

    # Replaced methods of the variable.

    def read_variable_op(self, no_copy: bool = False) -> tf.Tensor:
        return self.value() if self._is_seen() else self._own["_read_variable_op"](no_copy=no_copy)

    def sparse_read(self, indices: tf.Tensor, name: str | None = None) -> tf.Tensor:
        if not self._is_seen():
            return self._own["sparse_read"](indices, name=name)
        rows = self.lookup(tf.reshape(indices, [-1]), lambda rows, ids: rows)
        shape = tf.concat([tf.shape(indices), tf.shape(rows)[1:]], 0)
        return tf.ensure_shape(tf.reshape(rows, shape), [*indices.shape, *rows.shape[1:]])

    def gather_nd(self, indices: tf.Tensor, name: str | None = None) -> tf.Tensor:
        if self._is_seen():
            return tf.gather_nd(self.value(), indices)
        return self._own["gather_nd"](indices, name=name)

    def _ignored(self, name: str, *args: Any, **kwargs: Any) -> Any:
        return self._stored if self._is_seen() else self._own[name](*args, **kwargs)

    def _is_seen(self) -> bool:
        # Eager operations may also read the variable without its Python methods.
        return threading.get_ident() == self._thread and not tf.executing_eagerly()


class Overlay:
    """A context in which reads of some variables return their values plus a difference.

    Nothing is written to the variables, so their values are the same after it, to the bit. It holds
    for what the current thread traces, and for `Table.read` and `LaterPass` also eagerly. A
    `tf.function` that was traced before reads the stored values.

    Args:
        layers: sequence of `OverlayLayer`, one per variable.

    Example:
        >>> table = tf.Variable([[1.0], [2.0], [3.0]])
        >>> block = RowBlock(tf.constant([[0.5]]), ids=tf.constant([2]))
        >>> @tf.function
        ... def pass_at_perturbed():
        ...     with Overlay([OverlayLayer(table, block, block.values)]):
        ...         return tf.gather(table, [2, 0])
        >>> pass_at_perturbed().numpy().ravel().tolist(), table.numpy().ravel().tolist()
        ([3.5, 1.0], [1.0, 2.0, 3.0])
    """

    def __init__(self, layers: Sequence[OverlayLayer]):
        self._given = list(layers)
        self._attached: list[OverlayLayer] = []

    def __enter__(self) -> Overlay:
        for layer in self._given:
            layer.attach()
            self._attached.append(layer)
        return self

    def __exit__(self, *exception: object) -> None:
        while self._attached:
            self._attached.pop().detach()


def layer_of(stored: tf.Variable) -> OverlayLayer | None:
    """Returns the layer of a plain variable in the current pass, or `None`."""
    layer = getattr(stored, _LAYER, None)
    if layer is None or layer._thread != threading.get_ident():
        return None
    return layer


def _plus(value: tf.Tensor, difference: tf.Tensor) -> tf.Tensor:
    """Returns the sum, computed in the dtype of the difference."""
    return tf.cast(tf.cast(value, difference.dtype) + difference, value.dtype)

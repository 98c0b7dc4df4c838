"""Values of variables that are visible within one pass of a step only.

The second pass of a sharpness-aware optimizer needs the weights `w + eps`. They are not written to
the variables, which other workers may read: within an `Overlay`, reads of a variable return its
stored value plus a difference. The gradient is that of the variable, `IndexedSlices` for lookups.

Private names of TensorFlow that this file uses:
    `_read_variable_op`: reads the whole variable; `value`, `read_value`, conversions to tensors and
        arithmetic call it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from tf_helen.core.rows import RowBlock, equal_indices

_LAYER = "_tf_helen_overlay"
_READS = ("_read_variable_op", "sparse_read", "gather_nd")


class OverlayLayer:
    """The difference of one plain variable, and the reads that have seen it.

    Args:
        stored: plain `tf.Variable`, the copy of this replica.
        block: `RowBlock` of the gradient, which has the rows that differ.
        difference: tensor of the shape of `block.values`.
    """

    def __init__(self, stored: tf.Variable, block: RowBlock, difference: tf.Tensor):
        self.is_read = False
        self._stored, self._block, self._difference = stored, block, difference
        # Replicas are traced in threads of their own, and read their own copies.
        self._thread = threading.get_ident()
        self._own = {name: getattr(stored, name) for name in _READS}
        self._restores: dict[str, Callable[..., Any]] = {}

    def attach(self) -> None:
        """Makes reads of the variable return its value plus the difference."""
        self._restores = {n: vars(self._stored)[n] for n in _READS if n in vars(self._stored)}
        setattr(self._stored, _LAYER, self)
        for name in _READS:
            setattr(self._stored, name, getattr(self, name.removeprefix("_")))

    def detach(self) -> None:
        """Makes reads of the variable return its value again."""
        delattr(self._stored, _LAYER)
        for name in _READS:
            delattr(self._stored, name)
        for name, method in self._restores.items():
            setattr(self._stored, name, method)

    def stored_rows(self, ids: tf.Tensor) -> tf.Tensor:
        """Returns rows of the variable without the difference."""
        return self._own["sparse_read"](ids)

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

    def plus_rows(self, rows: tf.Tensor, ids: tf.Tensor) -> tf.Tensor:
        """Returns rows of the variable plus their differences; rows without one are unchanged."""
        self.is_read = True
        block = self._block
        if block.ids is None:
            return _plus(rows, tf.gather(self._difference, ids))
        if ids.shape.rank == 1:
            differences = self._differences_of(ids, block)
        else:
            differences = self._differences_of(tf.reshape(ids, [-1]), block)
            differences = tf.reshape(differences, tf.shape(rows))
        changed = _plus(rows, differences)
        changed.set_shape(rows.shape)
        return changed

    def _differences_of(self, ids: tf.Tensor, block: RowBlock) -> tf.Tensor:
        assert block.ids is not None
        own_ids, difference = block.ids, self._difference

        def searched():
            ids_of_both = tf.concat([own_ids, tf.cast(ids, own_ids.dtype)], 0)
            rows = tf.size(own_ids)
            # Positions among the ids of the block come first; new ids have later ones.
            # A slice of known size, because XLA bounds the length of `[rows:]` by that of both.
            of_ids = tf.slice(tf.unique(ids_of_both)[1], [rows], [tf.size(ids)])
            positions = tf.minimum(of_ids, rows)
            padding = [[0, 1]] + [[0, 0]] * (difference.shape.rank - 1)
            return tf.gather(tf.pad(difference, padding), positions)

        if block.lookups is None:
            return searched()
        indices, positions = block.lookups
        # The common case: this pass looks up what the first one did.
        return tf.cond(
            equal_indices(ids, indices), lambda: tf.gather(difference, positions), searched
        )

    # Replaced methods of the variable.

    def read_variable_op(self, no_copy: bool = False) -> tf.Tensor:
        return self.value() if self._is_seen() else self._own["_read_variable_op"](no_copy=no_copy)

    def sparse_read(self, indices: tf.Tensor, name: str | None = None) -> tf.Tensor:
        rows = self._own["sparse_read"](indices, name=name)
        return self.plus_rows(rows, indices) if self._is_seen() else rows

    def gather_nd(self, indices: tf.Tensor, name: str | None = None) -> tf.Tensor:
        if self._is_seen():
            return tf.gather_nd(self.value(), indices)
        return self._own["gather_nd"](indices, name=name)

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

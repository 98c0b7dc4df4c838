"""Blocks of rows: sums the duplicates of a gradient, reads rows and writes rows.

The functions access only the given rows (all rows for a dense gradient), so the cost of a step
depends on the rows of the batch, not on the size of the table.
"""

from __future__ import annotations

import dataclasses

import tensorflow as tf

from tf_helen.core import replicas, whole_reads


@dataclasses.dataclass(frozen=True)
class RowBlock:
    """The gradient of some rows of a variable, each row once, with duplicates summed.

    Attributes:
        values: `[rows, ...]`, the summed gradient.
        ids: int `[rows]`, distinct row numbers; `None`: the block is the whole variable.
        counts: int32 `[rows]`, occurrences of each row in the batch; `None` for a dense gradient.
        curvature: `[rows, ...]`, an estimate of the Hessian's diagonal, or `None`.
        lookups: the indices of the slices that were summed, `[n]`, and the position of each in
            `ids`; `None` if they are not known.
    """

    values: tf.Tensor
    ids: tf.Tensor | None = None
    counts: tf.Tensor | None = None
    curvature: tf.Tensor | None = None
    lookups: tuple[tf.Tensor, tf.Tensor] | None = None

    @property
    def is_sparse(self) -> bool:
        return self.ids is not None

    def with_values(self, values: tf.Tensor) -> RowBlock:
        return dataclasses.replace(self, values=values)


class CountedSlices(tf.IndexedSlices):
    """Slices that are sums, with the number of occurrences of the row that each is the sum of.

    Args:
        slices: `tf.IndexedSlices` with `n` slices.
        counts: int32 `[n]`.
    """

    def __init__(self, slices: tf.IndexedSlices, counts: tf.Tensor):
        super().__init__(slices.values, slices.indices, slices.dense_shape)
        self.counts = counts


class RepeatedSlices(tf.IndexedSlices):
    """Slices of a second pass, which probably has the lookups of the first one.

    Args:
        slices: `tf.IndexedSlices` with `n` slices, not summed.
        first: sparse `RowBlock` of the first pass, whose `lookups` are known.
    """

    def __init__(self, slices: tf.IndexedSlices, first: RowBlock):
        super().__init__(slices.values, slices.indices, slices.dense_shape)
        self.first = first


def occurrences(gradient: tf.IndexedSlices) -> tf.Tensor:
    """Returns how many occurrences of its row each slice has, int32 `[n]`: 1, unless summed."""
    if isinstance(gradient, CountedSlices):
        return gradient.counts
    return tf.ones_like(gradient.indices, tf.int32)


def sum_duplicates(gradient: tf.IndexedSlices) -> RowBlock:
    """Sums slices of the same row, and counts them.

    Args:
        gradient: `tf.IndexedSlices`, `values [n, ...]` and `indices [n]`, in any order.

    Returns:
        A `RowBlock` with each row once, in the order of first occurrence.

    Example:
        >>> slices = tf.IndexedSlices(tf.constant([[1.0], [2.0], [3.0]]), tf.constant([4, 7, 4]))
        >>> block = sum_duplicates(slices)
        >>> block.ids.numpy().tolist(), block.values.numpy().ravel().tolist()
        ([4, 7], [4.0, 2.0])
        >>> block.counts.numpy().tolist()
        [2, 1]
    """

    def searched():
        # Not tf.unique_with_counts, which XLA cannot compile.
        ids, positions = tf.unique(gradient.indices)
        counts = tf.math.unsorted_segment_sum(occurrences(gradient), positions, tf.shape(ids)[0])
        return ids, positions, tf.cast(counts, tf.int32)

    first = gradient.first if isinstance(gradient, RepeatedSlices) else None
    if (
        first is None
        or first.ids is None
        or first.lookups is None
        or first.ids.dtype != gradient.indices.dtype
    ):
        ids, positions, counts = searched()
    else:
        known = (first.ids, first.lookups[1], first.counts)
        same = equal_indices(gradient.indices, first.lookups[0])
        ids, positions, counts = tf.cond(same, lambda: known, searched)
    values = tf.math.unsorted_segment_sum(gradient.values, positions, tf.shape(ids)[0])
    return RowBlock(values, ids, counts, lookups=(gradient.indices, positions))


def equal_indices(indices: tf.Tensor, others: tf.Tensor) -> tf.Tensor:
    """Returns whether two vectors of row numbers are equal, also in length."""
    if not indices.shape.is_compatible_with(others.shape):
        return tf.constant(False)
    indices = tf.cast(indices, others.dtype)
    return tf.cond(
        tf.equal(tf.size(indices), tf.size(others)),
        lambda: tf.reduce_all(tf.equal(indices, others)),
        lambda: tf.constant(False),
    )


def values_of(gradient: tf.Tensor | tf.IndexedSlices) -> tf.Tensor:
    """Returns the values of a gradient, sparse or dense."""
    return gradient.values if isinstance(gradient, tf.IndexedSlices) else gradient


def with_values(
    gradient: tf.Tensor | tf.IndexedSlices, values: tf.Tensor
) -> tf.Tensor | tf.IndexedSlices:
    """Returns a gradient with other values of the shape of `values_of(gradient)`."""
    if isinstance(gradient, tf.IndexedSlices):
        return tf.IndexedSlices(values, gradient.indices, gradient.dense_shape)
    return values


def with_dtype(
    gradient: tf.Tensor | tf.IndexedSlices, dtype: tf.DType
) -> tf.Tensor | tf.IndexedSlices:
    """Returns a gradient, sparse or dense, in another dtype."""
    if gradient.dtype == dtype:
        return gradient
    if not isinstance(gradient, tf.IndexedSlices):
        return tf.cast(gradient, dtype)
    slices = with_values(gradient, tf.cast(gradient.values, dtype))
    if isinstance(gradient, CountedSlices):
        return CountedSlices(slices, gradient.counts)
    if isinstance(gradient, RepeatedSlices):
        return RepeatedSlices(slices, gradient.first)
    return slices


def as_block(gradient: tf.Tensor | tf.IndexedSlices) -> RowBlock:
    """Returns a gradient as a `RowBlock`, with duplicates summed."""
    if isinstance(gradient, tf.IndexedSlices):
        return sum_duplicates(gradient)
    return RowBlock(gradient)


def densify(block: RowBlock, shape: tf.TensorShape) -> RowBlock:
    """Returns a block of all rows, with zeros for absent rows; costs O(table)."""
    ids = block.ids
    if ids is None:
        return block
    shape = tf.cast(tf.stack(shape.as_list()), ids.dtype)

    def spread(values, shape):
        return None if values is None else tf.scatter_nd(ids[:, None], values, shape)

    counts, curvature = spread(block.counts, shape[:1]), spread(block.curvature, shape)
    return RowBlock(spread(block.values, shape), None, counts, curvature)


def read_rows(variable: tf.Variable, ids: tf.Tensor | None) -> tf.Tensor:
    """Reads rows of a variable, `[rows, ...]` (all rows if `ids` is `None`).

    It uses `ResourceGather`. A read followed by a gather would keep a reference to the table's
    buffer, and a later scatter would copy the table.
    """
    if ids is None:
        return whole_reads.raw(variable)
    return variable.sparse_read(ids)


def write_rows(variable: tf.Variable, ids: tf.Tensor | None, rows: tf.Tensor) -> None:
    """Writes distinct rows of a variable (all rows if `ids` is `None`)."""
    rows = tf.cast(rows, variable.dtype)
    if ids is None:
        variable.assign(rows, read_value=False)
    else:
        tf.raw_ops.ResourceScatterUpdate(resource=variable.handle, indices=ids, updates=rows)


def change_rows(
    variable: tf.Variable, ids: tf.Tensor | None, before: tf.Tensor, after: tf.Tensor
) -> None:
    """Changes distinct rows of a variable by the result of a step (all rows if `ids` is `None`).

    With parameter servers, the difference is added: other workers may change the rows between
    the read and the write of this step, and their updates must not be lost.

    Args:
        variable: plain variable.
        ids: int vector of distinct rows, or `None`.
        before: the rows as they were read.
        after: the new rows, of any float dtype.
    """
    after = tf.cast(after, variable.dtype)
    if not replicas.is_asynchronous():
        write_rows(variable, ids, after)
    elif ids is None:
        variable.assign_add(after - before, read_value=False)
    else:
        tf.raw_ops.ResourceScatterAdd(resource=variable.handle, indices=ids, updates=after - before)


def per_row(vector: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
    """Reshapes a vector `[rows]` so that it broadcasts to a block `[rows, ...]`."""
    return tf.reshape(vector, [-1] + [1] * (rows.shape.rank - 1))


def row_norms(values: tf.Tensor) -> tf.Tensor:
    """Returns the Euclidean norm of each row of a block, `[rows]`."""
    return tf.sqrt(tf.reduce_sum(tf.square(values), axis=list(range(1, values.shape.rank))))

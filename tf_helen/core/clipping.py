"""Gradient clipping on summed rows: duplicates in a batch are summed before clipping."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from tf_helen.core.rows import RowBlock


def squared_norm(block: RowBlock) -> tf.Tensor:
    """Returns the squared Euclidean norm of a block, a scalar."""
    return tf.reduce_sum(tf.square(block.values))


def _shrink(block: RowBlock, norm: tf.Tensor, limit: float) -> RowBlock:
    limit = tf.cast(limit, norm.dtype)
    scale = limit / tf.maximum(norm, limit)
    return block.with_values(block.values * tf.cast(scale, block.values.dtype))


def clip_blocks(
    blocks: Sequence[RowBlock],
    *,
    tables: Sequence[Sequence[int]] | None = None,
    clipnorm: float | None = None,
    global_clipnorm: float | None = None,
    clipvalue: float | None = None,
) -> list[RowBlock]:
    """Clips gradients like Keras's optimizer arguments of the same names.

    Args:
        blocks: sequence of `RowBlock`, one summed gradient per variable.
        tables: positions of the blocks that belong to the same table, see
            `tf_helen.core.tables.grouped`. Defaults to `None`: each block is alone.
        clipnorm: float, maximum norm of each variable's gradient. Defaults to `None`.
        global_clipnorm: float, maximum norm over all variables together. Defaults to `None`.
        clipvalue: float, maximum absolute value of each entry. Defaults to `None`.

    Returns:
        List of the clipped blocks.
    """
    if clipnorm is not None and clipnorm > 0:
        clipped = list(blocks)
        for places in tables or [[place] for place in range(len(blocks))]:
            norm = tf.sqrt(tf.add_n([squared_norm(blocks[place]) for place in places]))
            for place in places:
                clipped[place] = _shrink(blocks[place], norm, clipnorm)
        return clipped
    if global_clipnorm is not None and global_clipnorm > 0:
        squares = [tf.cast(squared_norm(block), tf.float32) for block in blocks]
        norm = tf.sqrt(tf.add_n(squares))
        return [_shrink(block, norm, global_clipnorm) for block in blocks]
    if clipvalue is not None and clipvalue > 0:
        return [
            block.with_values(tf.clip_by_value(block.values, -clipvalue, clipvalue))
            for block in blocks
        ]
    return list(blocks)

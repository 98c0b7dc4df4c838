"""The shards of one table.

A table may be stored as N variables, its shards. Row r is row `r // N` of the shard with the rank
`r mod N`. Each shard is a variable of its own, with its own slots, so that a `tf.distribute`
strategy can place the shards on different parameter servers.

The parts of the design:

- A `TableGroup` has the fields of the whole table, the mapping between its rows and those of the
  shards, and sends lookups to the owners of the rows. A table that is one variable is a group of
  one shard, for which everything here returns its input. There is one code path for both.
- Each variable has a `tables.Table`, the member of its group with a rank. Lookups, pending decays
  and slots belong to a member, and their row numbers are those of the member. All members have the
  path of the whole table, so patterns of paths match all of them.
- Most rules apply to single rows and need no group. What depends on all rows of a table uses one of
  three operations: `tables.grouped` (which variables are one table), `join` (the blocks of the
  members as one block with the rows of the whole table, for maxima, norms and counts by field), and
  `split` (the inverse, for the result).
- Files contain whole tables (`tf_helen.core.whole_state`), so they do not depend on N.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from tf_helen.core.rows import RowBlock

if TYPE_CHECKING:
    from tf_helen.core.row_reuse import RowReuse
    from tf_helen.core.tables import Table


def joined(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Returns the array of a whole table from those of its shards, by rank.

    Example:
        >>> joined([np.array([0, 2]), np.array([1])])
        array([0, 1, 2])
    """
    if len(parts) == 1:
        return parts[0]
    values = np.empty((sum(map(len, parts)), *parts[0].shape[1:]), parts[0].dtype)
    for rank, part in enumerate(parts):
        values[rank :: len(parts)] = part
    return values


class TableGroup:
    """The rows of a table by field, and their places in its shards.

    Args:
        field_sizes: dict from field to its number of rows, in the order of the table.
        shards: int, number of variables N; at most the number of rows. Defaults to 1.

    Attributes:
        fields: tuple of strings.
        offsets: int64 `[fields + 1]`, the first row of each field, and the number of rows.
        members: list of the `tf_helen.core.tables.Table` of the shards, by rank.
        reuse: `tf_helen.core.row_reuse.RowReuse` if rows are given to other ids, or else `None`.

    Example:
        >>> group = TableGroup({"user": 4, "item": 3}, shards=2)
        >>> [part.numpy().tolist() for part in group.places(tf.constant([0, 5, 6]))]
        [[0, 1, 0], [0, 2, 3]]
        >>> group.size(0), group.size(1)
        (4, 3)
    """

    def __init__(self, field_sizes: Mapping[str, int], shards: int = 1):
        self.fields = tuple(field_sizes)
        self.offsets = np.concatenate([[0], np.cumsum(list(field_sizes.values()), dtype=np.int64)])
        self.shards = shards
        self.members: list[Table] = []
        self.reuse: RowReuse | None = None

    @property
    def rows(self) -> int:
        """The number of rows of the whole table."""
        return int(self.offsets[-1])

    def size(self, rank: int) -> int:
        """Returns the number of rows of a shard."""
        return (self.rows - rank + self.shards - 1) // self.shards

    def field_of_rows(self, ids: tf.Tensor) -> tf.Tensor:
        """Returns the field number of each row of the whole table, int32 `[n]`."""
        if len(self.fields) == 1:
            return tf.zeros_like(ids, tf.int32)
        bounds = tf.constant(self.offsets[1:], ids.dtype)
        return tf.searchsorted(bounds, ids, side="right")

    # Rows of the whole table and of its shards.

    def places(self, ids: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the rank of the shard of each row, int32 `[n]`, and its row there, `[n]`."""
        number = tf.constant(self.shards, ids.dtype)
        return tf.cast(ids % number, tf.int32), ids // number

    def rows_of(self, rank: int, local: tf.Tensor) -> tf.Tensor:
        """Returns the rows of the whole table of some rows of a shard.

        They are int64 if int32 is too small for the table.
        """
        if self.shards == 1:
            return local
        if self.rows > np.iinfo(np.int32).max:
            local = tf.cast(local, tf.int64)
        return local * self.shards + rank

    def part(self, values: np.ndarray, rank: int) -> np.ndarray:
        """Returns the rows of a shard, of an array `[rows, ...]` of the whole table."""
        return values[rank :: self.shards]

    def whole(self, parts: Sequence[np.ndarray]) -> np.ndarray:
        """Returns the array `[rows, ...]` of the whole table from those of its shards."""
        return joined(parts)

    def lookup(self, ids: tf.Tensor, read: Callable[[int, tf.Tensor], tf.Tensor]) -> tf.Tensor:
        """Reads rows from the shards that own them.

        Args:
            ids: int `[n]`, rows of the whole table, also repeated.
            read: function from a rank and rows of its shard, `[k]`, to their values, `[k, ...]`.

        Returns:
            `[n, ...]`, in the order of `ids`.

        Example:
            >>> group = TableGroup({"user": 5}, shards=2)
            >>> group.lookup(tf.constant([4, 1]), lambda rank, local: 10 * local + rank).numpy()
            array([20,  1], dtype=int32)
        """
        if self.shards == 1:
            return read(0, ids)
        rank, local = self.places(ids)
        order = tf.dynamic_partition(tf.range(tf.size(ids)), rank, self.shards)
        asked = tf.dynamic_partition(local, rank, self.shards)
        return tf.dynamic_stitch(order, [read(i, part) for i, part in enumerate(asked)])

    def send(
        self,
        ids: tf.Tensor,
        values: tf.Tensor,
        write: Callable[[int, tf.Tensor, tf.Tensor], None],
    ) -> None:
        """Sends values to the shards that own the rows.

        Args:
            ids: int `[n]`, distinct rows of the whole table.
            values: `[n, ...]`.
            write: function of a rank, rows of its shard and their values.
        """
        if self.shards == 1:
            write(0, ids, values)
            return
        rank, local = self.places(ids)
        asked = tf.dynamic_partition(local, rank, self.shards)
        sent = tf.dynamic_partition(values, rank, self.shards)
        for i, (part, rows) in enumerate(zip(asked, sent, strict=True)):
            write(i, part, rows)

    # Blocks.

    def join(self, blocks: Sequence[RowBlock], ranks: Sequence[int]) -> RowBlock:
        """Returns the sparse blocks of some shards as one block of the whole table."""
        if self.shards == 1:
            return blocks[0]
        pairs = zip(ranks, blocks, strict=True)
        return RowBlock(
            tf.concat([block.values for block in blocks], 0),
            tf.concat([self.rows_of(rank, block.ids) for rank, block in pairs], 0),
            tf.concat([block.counts for block in blocks], 0),
        )

    def split(self, values: tf.Tensor, blocks: Sequence[RowBlock]) -> list[tf.Tensor]:
        """Returns the values of the rows of a result of `join`, for each of its blocks."""
        if self.shards == 1:
            return [values]
        return tf.split(values, [tf.shape(block.values)[0] for block in blocks])

"""Counts of the ids that were trained so far."""

from __future__ import annotations

import numpy as np

import zoo

EDGES = (0, 1, 2, 5, 10, 100, 1000)  # lower ends of the buckets


class SeenIds:
    """Counts of the ids in the rows trained so far.

    Args:
        schema: `zoo.Schema`, the columns; fields that share a vocabulary share their counts, as
            they share their embeddings.

    Example:
        >>> fields = [zoo.Categorical("user", 9), zoo.Categorical("item", 9)]
        >>> seen = SeenIds(zoo.Schema("s", fields))
        >>> seen.add(np.array([[3, 5], [3, 6]]))
        >>> seen.buckets(np.array([[3, 5], [3, 7]])).tolist()
        [1, 0]
    """

    def __init__(self, schema: zoo.Schema):
        starts, total = {}, 0
        for field in schema.categorical:
            if field.shares is None:
                starts[field.name] = total
                total += field.size
        columns = [
            starts[field.shares or field.name]
            for field in schema.categorical
            for _ in range(field.length)
        ]
        self._starts = np.array(columns, np.int64)
        self._counts = np.zeros(total, np.int32)

    def buckets(self, ids: np.ndarray) -> np.ndarray:
        """Returns the bucket of each row by the count of its rarest id.

        Args:
            ids: int array `[n, W]`, padded with -1.

        Returns:
            int array `[n]`, places in `EDGES`.
        """
        counts = self._counts[np.maximum(ids + self._starts, 0)]
        rarest = np.where(ids < 0, np.iinfo(np.int32).max, counts).min(axis=1)
        return np.searchsorted(EDGES, rarest, side="right") - 1

    def add(self, ids: np.ndarray) -> None:
        """Counts the ids of rows that were trained.

        Args:
            ids: int array `[n, W]`, padded with -1.
        """
        np.add.at(self._counts, (ids + self._starts)[ids >= 0], 1)


def bucket_name(bucket: int) -> str:
    """Returns the counts of a bucket as text.

    Args:
        bucket: int, place in `EDGES`.

    Returns:
        String.

    Example:
        >>> [bucket_name(bucket) for bucket in range(len(EDGES))]
        ['0', '1', '2-4', '5-9', '10-99', '100-999', '1000 or more']
    """
    low = EDGES[bucket]
    if bucket == len(EDGES) - 1:
        return f"{low} or more"
    high = EDGES[bucket + 1] - 1
    return f"{low}" if low == high else f"{low}-{high}"

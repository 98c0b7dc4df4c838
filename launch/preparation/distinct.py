"""Counts distinct numbers in sorted tables instead of a hash table of texts."""

from __future__ import annotations

import numpy as np
import polars as pl

_KINDS = {"number": pl.Float64, "count": pl.Int64}
_NUMBER = 32  # bytes of a distinct number, during a merge
_FEW = 1 << 20  # numbers that wait before they are merged


class DistinctNumbers:
    """Counts distinct numbers; takes 16 bytes for each, and twice that during a merge.

    Example:
        >>> numbers = DistinctNumbers()
        >>> numbers.add(pl.Series([2.0, 1.0, 2.0]))
        >>> numbers.take().rows()
        [(1.0, 1), (2.0, 2)]
    """

    def __init__(self) -> None:
        self._known = pl.DataFrame(schema=_KINDS)
        self._waiting: list[pl.Series] = []

    @property
    def memory(self) -> int:
        """Bytes in use, about."""
        return _NUMBER * (self._known.height + sum(map(len, self._waiting)))

    def add(self, numbers: pl.Series) -> None:
        """Counts numbers `[n]`, float64 without null and NaN."""
        self._waiting.append(numbers + 0.0)  # without -0.0, which is 0.0
        if sum(map(len, self._waiting)) > max(_FEW, self._known.height):
            self._merge()

    def take(self) -> pl.DataFrame:
        """Returns the columns `number`, ascending, and `count`, and forgets them."""
        self._merge()
        found, self._known = self._known.sort("number"), pl.DataFrame(schema=_KINDS)
        return found

    def _merge(self) -> None:
        new = [
            pl.DataFrame({"number": found, "count": np.ones(len(found), np.int64)})
            for found in self._waiting
        ]
        self._waiting = []
        merged = pl.concat([self._known, *new]).group_by("number").agg(pl.col("count").sum())
        self._known = merged

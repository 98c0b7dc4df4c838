"""Converts the texts of a field to ids, by vocabulary, hash or bucket."""

from __future__ import annotations

from collections import Counter

import numpy as np
import polars as pl

from launch.preparation.lookup import SortedLookup
from launch.preparation.texts import (
    bucket_numbers,
    log_squares,
    note_unread,
    texts,
    unread,
)
from zoo.data.columns import Categorical
from zoo.data.subnormals import flush_array
from zoo.serving.encoding import hash_ids

WITH_VOCABULARY = ("vocabulary", "log_square")
_MOST_CACHED = 1 << 22


class Codes:
    """Numbers the distinct texts of a column in order of appearance, in a persistent hash table.

    A join would build a hash table for every slice, which takes longer than the rest of the
    preparation if a vocabulary has millions of entries.

    Example:
        >>> codes = Codes()
        >>> codes.of(pl.Series(["b", "a", "b"])).tolist(), codes.texts().to_list()
        ([0, 1, 0], ['b', 'a'])
    """

    def __init__(self) -> None:
        self._categories = pl.Categories.random()
        self._dtype = pl.Categorical(self._categories)
        # polars frees the texts when no column refers to them.
        self._kept = pl.Series([], dtype=self._dtype)

    def of(self, values: pl.Series) -> np.ndarray:
        """Returns the numbers of texts `[n]`, uint32 `[n]`."""
        return values.cast(self._dtype).to_physical().to_numpy()

    def texts(self) -> pl.Series:
        """Returns all texts so far, by number."""
        return self._categories.to_series()


class FieldEncoder:
    """Returns the ids of a field, equal to those of `zoo.serving.encoding.ids_from_text`.

    Args:
        field: `Categorical` whose size is known.
        values: polars `Series`, the vocabulary by id, `<oov>` first, or `SortedLookup`, if it stays
            on disk. Defaults to `None`: the encoding has no vocabulary.
        most_cached: int, number of texts whose ids are cached, besides a vocabulary in memory.
            Defaults to `None`: 4,194,304, which take some 400 MB.

    Example:
        >>> encoder = FieldEncoder(Categorical("user", 2), pl.Series(["<oov>", "ann"]))
        >>> encoder.ids(pl.Series(["ann", "zoe"]), Counter()).tolist()
        [[1], [0]]
    """

    def __init__(
        self,
        field: Categorical,
        values: pl.Series | SortedLookup | None = None,
        most_cached: int | None = None,
    ):
        self.field, self._most = field, most_cached or _MOST_CACHED
        self._values = self._known = self._lookup = None
        if isinstance(values, SortedLookup):
            self._lookup = values
        elif field.encoding == "log_square":
            ids = np.arange(len(values), dtype=np.int32)
            self._known = pl.DataFrame({"value": values, "id": ids})[1:]
        else:
            self._values = values
        self._begin()

    def _begin(self) -> None:
        """Empties the cache: a field may have as many texts as there are rows."""
        self._codes = Codes()
        self._ids = np.zeros(0, np.int32)  # by code, with spare capacity; 0: unknown
        self._seen = 0  # number of codes
        self._unread = np.zeros(0, np.int8)  # by code, for numbers: 1 missing, 2 not a number
        if self._values is not None:
            codes = self._codes.of(self._values)
            self._ids = np.zeros(len(self._values), np.int32)
            self._ids[codes] = np.arange(len(self._values))
            self._ids[codes[0]] = 0  # the raw value "<oov>" is unknown too
            self._seen = len(self._values)
        self._first = self._seen

    def ids(
        self, column: pl.Series, changed: Counter[str], field: Categorical | None = None
    ) -> np.ndarray:
        """Encodes raw values.

        Args:
            column: polars `Series` `[n]`, raw values.
            changed: `Counter` that receives the number of changed values by reason.
            field: `Categorical`, another field that shares the vocabulary. Defaults to `None`: the
                field of the encoder.

        Returns:
            int32 `[n, length]`, padded with -1.
        """
        field = field or self.field
        if self.field.encoding == "buckets":
            return self._buckets(column, changed)[:, None]
        found = texts(column, field, changed)
        flat = self._of_texts(found.values, changed)
        if found.rows is None:
            return flat[:, None]
        ids = np.full((len(column), field.length), -1, np.int32)
        ids[found.rows, found.places] = flat
        return ids

    def _of_texts(self, values: pl.Series, changed: Counter[str]) -> np.ndarray:
        """Returns the ids of the result of `texts`, int32 `[k]`."""
        if self._seen - self._first > self._most:
            self._begin()
        codes = self._codes.of(values)
        top = int(codes.max(initial=0)) + 1
        if top > len(self._ids):
            more = max(top - len(self._ids), len(self._ids))
            self._ids = np.concatenate([self._ids, np.zeros(more, np.int32)])
            self._unread = np.concatenate([self._unread, np.zeros(more, np.int8)])
        if top > self._seen:
            if self._values is None:
                new, at = np.unique(codes, return_index=True)
                at = at[new >= self._seen]
                self._learn(codes[at], values[at])
            self._seen = top
        if self._known is not None:
            missing, no_number = np.bincount(self._unread[codes], minlength=3)[1:]
            note_unread(self.field.name, missing, no_number, changed)
        return self._ids[codes]

    def _learn(self, codes: np.ndarray, values: pl.Series) -> None:
        """Computes the ids of texts that occur for the first time."""
        if self.field.encoding == "hash":
            self._ids[codes] = hash_ids(self.field, values.to_list())
            return
        if self._lookup is not None:
            self._ids[codes] = self._lookup.ids(values)
            return
        squares = log_squares(values).alias("value")
        joined = squares.to_frame().join(self._known, on="value", how="left", maintain_order="left")
        self._ids[codes] = joined["id"].fill_null(0).to_numpy()
        absent = values.str.strip_chars() == ""
        self._unread[codes] = np.where(squares == "", np.where(absent, 1, 2), 0)

    def _buckets(self, column: pl.Series, changed: Counter[str]) -> np.ndarray:
        values = bucket_numbers(column)
        note_unread(self.field.name, *unread(column, values), changed)
        places = np.searchsorted(
            flush_array(self.field.boundaries), values.fill_null(0.0), side="right"
        )
        return np.where(values.is_null().to_numpy(), 0, 1 + places).astype(np.int32)

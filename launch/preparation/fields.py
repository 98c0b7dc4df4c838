"""Converts the texts of a field to ids, by vocabulary, hash or bucket."""

from __future__ import annotations

from collections import Counter

import numpy as np
import polars as pl

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
_MOST_LEARNED = 1 << 22  # maximum number of texts whose ids are cached, some 400 MB


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
        values: polars `Series`, the vocabulary by id, `<oov>` first. Defaults to `None`: the
            encoding has no vocabulary.

    Example:
        >>> encoder = FieldEncoder(Categorical("user", 2), pl.Series(["<oov>", "ann"]))
        >>> encoder.ids(pl.Series(["ann", "zoe"]), Counter()).tolist()
        [[1], [0]]
    """

    def __init__(self, field: Categorical, values: pl.Series | None = None):
        self.field = field
        self._codes = Codes()
        self._ids = np.zeros(0, np.int32)  # by code, with spare capacity; 0: unknown
        self._learned = 0  # number of codes whose ids are known
        self._unread = np.zeros(0, np.int8)  # by code, for numbers: 1 missing, 2 not a number
        self._known = None
        if field.encoding == "log_square":
            ids = np.arange(len(values), dtype=np.int32)
            self._known = pl.DataFrame({"value": values, "id": ids})[1:]
        elif values is not None:
            codes = self._codes.of(values)
            self._ids = np.zeros(len(values), np.int32)
            self._ids[codes] = np.arange(len(values))
            self._ids[codes[0]] = 0  # the raw value "<oov>" is unknown too

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
        learns = self.field.encoding in ("hash", "log_square")
        if learns and self._learned > _MOST_LEARNED:
            self._forget()
        codes = self._codes.of(values)
        top = int(codes.max(initial=0)) + 1
        if top > len(self._ids):
            more = max(top - len(self._ids), len(self._ids))
            self._ids = np.concatenate([self._ids, np.zeros(more, np.int32)])
            self._unread = np.concatenate([self._unread, np.zeros(more, np.int8)])
        if learns and top > self._learned:
            new, at = np.unique(codes, return_index=True)
            at = at[new >= self._learned]
            self._learn(codes[at], values[at])
            self._learned = top
        if self._known is not None:
            missing, no_number = np.bincount(self._unread[codes], minlength=3)[1:]
            note_unread(self.field.name, missing, no_number, changed)
        return self._ids[codes]

    def _forget(self) -> None:
        """Clears the cache: a hashed field may have as many texts as there are rows."""
        self._codes, self._learned = Codes(), 0
        self._ids, self._unread = np.zeros(0, np.int32), np.zeros(0, np.int8)

    def _learn(self, codes: np.ndarray, values: pl.Series) -> None:
        """Computes the ids of texts that occur for the first time."""
        if self.field.encoding == "hash":
            self._ids[codes] = hash_ids(self.field, values.to_list())
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

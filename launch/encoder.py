"""Turns raw tables into ids and numbers, with vocabularies learned from the training split."""

from collections import Counter
from collections.abc import Iterator

import numpy as np
import polars as pl

from launch.datasets.raw import Field, RawData
from zoo.schema import Categorical, Numeric, Schema
from zoo.vocabulary_builder import build_vocabulary, clean_values, encode

_CHUNK = 1 << 18  # rows encoded at a time: bounds the memory beside the raw table


class Encoder:
    """Vocabularies and number statistics of a training table, and the encoding they define.

    Args:
        raw: The data set; only its training split is looked at here.
        min_count: Values with fewer training occurrences become id 0, like unseen ones.

    Attributes:
        schema: Columns of the encoded rows.
        vocabularies: Values and counts by field.
        changes: How many values had to be changed, by reason.

    Raises:
        ValueError: If a column or all training rows are missing.

    Example:
        >>> table = pl.DataFrame({"label": [1, 0], "user": ["ann", "bob"]})
        >>> encoder = Encoder(RawData("tiny", {"train": table}, (Field("user"),)))
        >>> next(encoder.batches(table))["ids"].tolist()
        [[1], [2]]
    """

    def __init__(self, raw: RawData, min_count: int = 1) -> None:
        train = raw.splits.get("train")
        if train is None or not train.height:
            raise ValueError(f"data set {raw.name!r} has no training rows; check its source")
        for split, table in raw.splits.items():
            wanted = [raw.label, *(field.name for field in raw.fields), *raw.numeric]
            missing = [name for name in wanted if name not in table.columns]
            if missing:
                raise ValueError(
                    f"data set {raw.name!r}: {split} lacks the columns {missing}; it has "
                    f"{table.columns}"
                )
        self._raw = raw
        self.changes: Counter[str] = Counter()
        self.vocabularies: dict[str, tuple[list[str], np.ndarray]] = {}
        for field in raw.fields:
            values, _ = _flat(train[field.name], field)
            self.vocabularies[field.name] = build_vocabulary(clean_values(values)[0], min_count)
        self.schema = Schema(
            name=raw.name,
            categorical=tuple(
                Categorical(f.name, len(self.vocabularies[f.name][0]), f.length, f.pooling)
                for f in raw.fields
            ),
            numeric=tuple(_statistics(name, train[name]) for name in raw.numeric),
            label=raw.label,
        )

    def batches(self, table: pl.DataFrame) -> Iterator[dict[str, np.ndarray]]:
        """Encodes a table, a large slice at a time.

        Args:
            table: Raw rows of any split.

        Yields:
            "ids" [n, W] int32, "numeric" [n, N] float32 (if any), "label" [n] float32.
        """
        for part in table.iter_slices(_CHUNK):
            batch = {"label": part[self._raw.label].cast(pl.Float32).to_numpy()}
            if self._raw.fields:
                batch["ids"] = np.concatenate(
                    [self._ids(part[field.name], field) for field in self._raw.fields], axis=1
                )
            if self._raw.numeric:
                columns = [self._numbers(part[c.name], c) for c in self.schema.numeric]
                batch["numeric"] = np.stack(columns, axis=1)
            yield batch

    def _ids(self, column: pl.Series, field: Field) -> np.ndarray:
        values, lengths = _flat(column, field)
        if field.length > 1:
            cut = int((column.list.len().fill_null(0) - pl.Series(lengths)).sum())
            self._note(f"values beyond the first {field.length} of {field.name} left out", cut)
        cleaned, changed = clean_values(values)
        self._note(f"values of {field.name} with a tab or line end, replaced by a space", changed)
        ids = np.full((len(column), field.length), -1, np.int32)
        ids[np.arange(field.length) < lengths[:, None]] = encode(
            cleaned, self.vocabularies[field.name][0]
        )
        return ids

    def _numbers(self, column: pl.Series, numeric: Numeric) -> np.ndarray:
        values = _finite(column)
        self._note(f"missing values of {numeric.name} replaced by the mean", values.null_count())
        return values.fill_null(numeric.mean).cast(pl.Float32).to_numpy()

    def _note(self, reason: str, count: int) -> None:
        if count:
            self.changes[reason] += count


def _flat(column: pl.Series, field: Field) -> tuple[pl.Series, np.ndarray]:
    """All values of a column in row order, and how many of them each row has."""
    if field.length == 1:
        return column, np.ones(len(column), np.int64)
    kept = column.fill_null([]).list.head(field.length)
    lengths = kept.list.len().cast(pl.Int64)
    return kept.filter(lengths > 0).explode(), lengths.to_numpy()


def _finite(column: pl.Series) -> pl.Series:
    """The column as floats, with null for what is no finite number."""
    values = column.cast(pl.Float64, strict=False)
    return values.set(~values.is_finite().fill_null(False), None)


def _statistics(name: str, column: pl.Series) -> Numeric:
    values = _finite(column)
    mean, std = values.mean() or 0.0, values.std(ddof=0) or 0.0
    return Numeric(name, mean=mean, std=std if std > 0 else 1.0)

"""Extends the vocabularies and statistics of an earlier data folder by the rows of a later one."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator

import numpy as np
import polars as pl

from tf_helen.stores import gfile
from zoo.data.columns import Categorical
from zoo.data.files import DataError, join
from zoo.data.identity import identity_checksum
from zoo.data.schema import FILE_NAME, Schema
from zoo.data.vocabulary import read_vocabulary

# Settings of a field that must be those of the earlier folder. Others, such as `min_count` and
# `length`, do not change the meaning of ids.
_SAME = ("encoding", "missing", "shares")


class Earlier:
    """The ids and statistics of an earlier data folder, which a later one keeps.

    Args:
        directory: string, the earlier prepared folder; its record files are not read.

    Attributes:
        checksum: string, SHA-256 of its schema and vocabularies.
        schema: `Schema`, its columns.

    Raises:
        DataError: if the folder is not a prepared one.

    Example:
        >>> Earlier("data/monday").schema.field_sizes  # doctest: +SKIP
    """

    def __init__(self, directory: str):
        if not gfile.exists(join(directory, FILE_NAME)):
            raise DataError(f"no {FILE_NAME} in {directory}; --extend names a prepared folder")
        self._directory = directory
        self.schema = Schema.load(directory)
        self.schema.field_sizes  # noqa: B018 - raises if a size is unknown
        self.checksum = identity_checksum(directory, splits=())

    def started(self, schema: Schema) -> Schema:
        """Returns the schema of the later folder before its rows are counted.

        Args:
            schema: `Schema` of the later folder.

        Returns:
            The same with the boundaries of the earlier folder.

        Raises:
            DataError: names the first column that is missing, new, or has other settings.
        """
        self._check(schema)
        known = {field.name: field for field in self.schema.categorical}
        fields = [
            dataclasses.replace(f, boundaries=known[f.name].boundaries, size=known[f.name].size)
            if f.encoding == "buckets"
            else f
            for f in schema.categorical
        ]
        return dataclasses.replace(schema, categorical=tuple(fields))

    def finished(self, schema: Schema) -> Schema:
        """Returns the schema of the later folder with the means and deviations of the earlier."""
        known = {column.name: column for column in self.schema.numeric}
        numeric = [
            dataclasses.replace(c, mean=known[c.name].mean, std=known[c.name].std)
            for c in schema.numeric
        ]
        return dataclasses.replace(schema, numeric=tuple(numeric))

    def values(self, field: Categorical) -> pl.DataFrame:
        """Returns the vocabulary of a field.

        Args:
            field: `Categorical`; or a field that shares its vocabulary.

        Returns:
            `DataFrame` with columns `value` and `count`, by id.
        """
        parts = [
            pl.DataFrame({"value": pl.Series(values, dtype=pl.String), "count": counts})
            for values, counts in read_vocabulary(self._directory, field.shares or field.name)
        ]
        return pl.concat(parts)

    def _check(self, schema: Schema) -> None:
        folder = self._directory
        for kind in ("categorical", "numeric"):
            before, now = getattr(self.schema, kind), getattr(schema, kind)
            names, known = [c.name for c in now], [c.name for c in before]
            for place, name in enumerate(names):
                if place >= len(known) or known[place] != name:
                    there = known[place] if place < len(known) else "none"
                    raise DataError(
                        f"{kind} column {place + 1} is {name!r}, in {folder} it is {there!r}; "
                        "--extend needs the same columns in the same order"
                    )
            if len(known) > len(names):
                raise DataError(
                    f"{folder} has the {kind} column {known[len(names)]!r}, which the schema "
                    "lacks; --extend needs the same columns"
                )
        for old, new in zip(self.schema.categorical, schema.categorical, strict=True):
            same = [*_SAME, *(["size"] if new.encoding == "hash" else [])]
            for what in same:
                if getattr(old, what) != getattr(new, what):
                    raise DataError(
                        f"field {new.name!r} has {what}={getattr(new, what)!r}, in {folder} "
                        f"{getattr(old, what)!r}; --extend needs ids of the same meaning"
                    )
            if new.encoding == "buckets" and new.boundaries not in ((), old.boundaries):
                raise DataError(
                    f"field {new.name!r} has other boundaries than in {folder}; remove them from "
                    "the schema, or prepare without --extend"
                )
        for a, b in zip(self.schema.numeric, schema.numeric, strict=True):
            if a.transform != b.transform:
                raise DataError(
                    f"column {b.name!r} has transform={b.transform!r}, in {folder} "
                    f"{a.transform!r}; --extend needs numbers of the same meaning"
                )


class ExtendedVocabulary:
    """A vocabulary whose ids begin with those of an earlier one.

    The counts of earlier values are the sums of both. New values follow, in their order.

    Args:
        earlier: polars `DataFrame` with columns `value` and `count`, the earlier vocabulary by id.
        later: iterable of such tables that can be read several times, the later vocabulary by id.

    Attributes:
        size: int, the number of ids.

    Example:
        >>> earlier = pl.DataFrame({"value": ["<oov>", "ann", "bob"], "count": [1, 5, 3]})
        >>> later = pl.DataFrame({"value": ["<oov>", "cat", "bob"], "count": [2, 4, 1]})
        >>> pl.concat(ExtendedVocabulary(earlier, [later])).rows()
        [('<oov>', 3), ('ann', 5), ('bob', 4), ('cat', 4)]
    """

    def __init__(self, earlier: pl.DataFrame, later: Iterable[pl.DataFrame]):
        self._later = later
        self._places = earlier.select("value").with_row_index("place")
        counts, new = earlier["count"].to_numpy().copy(), 0
        for table in later:
            found = self._found(table)
            known = found.drop_nulls("place")
            np.add.at(counts, known["place"].to_numpy(), known["count"].to_numpy())
            new += found.height - known.height
        self._earlier = pl.DataFrame({"value": earlier["value"], "count": counts})
        self.size = earlier.height + new

    def __iter__(self) -> Iterator[pl.DataFrame]:
        yield self._earlier
        for table in self._later:
            new = self._found(table).filter(pl.col("place").is_null())
            if new.height:
                yield new.select("value", "count")

    def _found(self, table: pl.DataFrame) -> pl.DataFrame:
        return table.join(self._places, on="value", how="left", maintain_order="left")

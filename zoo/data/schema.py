"""The schema of a prepared data set, which all code uses."""

import os
from collections.abc import Sequence
from dataclasses import dataclass

from tf_helen.stores import gfile
from zoo.data.columns import (
    Categorical,
    Numeric,
    SchemaError,
    SchemaMismatchError,
    check_name,
    shown,
)
from zoo.data.files import MOST_JSON, join, read_text, write_text
from zoo.data.schema_text import schema_from_text, schema_to_text

FILE_NAME = "schema.json"
VERSION = 2  # of the file format; increase it if an older reader would misread the file
_MOST_COLUMNS, _MOST_WIDTH = 100_000, 1_000_000
__all__ = ["Categorical", "Numeric", "Schema", "SchemaError", "SchemaMismatchError"]


@dataclass(frozen=True)
class Schema:
    """The columns of a data set, in the order of its records.

    Args:
        name: name of the data set.
        categorical: sequence of `Categorical`, in the order of the `ids` vector.
        numeric: sequence of `Numeric`, in the order of the `numeric` vector. Defaults to `()`.
        label: name of the label column, numbers from 0 to 1. Defaults to "label".
        weight: name of a column of sample weights, 0 or more. Defaults to None.
        group: name of the column that grouped metrics (GAUC) group by, such as the user; may also
            be a field. Defaults to None.
        time: name of the column that a split by time uses; may also be a feature. Defaults to None.
        version: version of the file format.
        time_ordered: boolean, whether the rows of each split are in the order of `time`, oldest
            first, so that a pass without shuffling is a pass over time. Defaults to `False`.
        keep_time: boolean, whether records contain the time of each row, rounded down to an
            integer, for optimizers with `clock="event"`. Defaults to `False`.

    Raises:
        SchemaError: if there is no column, a name occurs twice, the version is unknown, or
            `time_ordered` or `keep_time` is set without `time`.

    Example:
        >>> schema = Schema("tiny", [Categorical("user", 10), Categorical("tags", 5, length=3)])
        >>> schema.ids_width
        4
    """

    name: str
    categorical: Sequence[Categorical]
    numeric: Sequence[Numeric] = ()
    label: str = "label"
    weight: str | None = None
    group: str | None = None
    time: str | None = None
    version: int = VERSION
    time_ordered: bool = False
    keep_time: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "categorical", tuple(self.categorical))
        object.__setattr__(self, "numeric", tuple(self.numeric))
        if not isinstance(self.version, int) or not 1 <= self.version <= VERSION:
            raise SchemaError(
                f"schema version {self.version!r}: this code reads versions 1 to {VERSION}; "
                "update tf-helen or prepare the data again"
            )
        if not isinstance(self.name, str) or not self.name:
            raise SchemaError(f"schema name {shown(self.name)}: use a string such as 'clicks'")
        if not self.categorical and not self.numeric:
            raise SchemaError(f"schema {self.name!r} has no feature; give at least one column")
        self._check_extent()
        seen: set[str] = set()
        for name in (
            self.label,
            *([] if self.weight is None else [self.weight]),
            *(column.name for column in self.columns),
        ):
            check_name(name)
            if name in seen:
                raise SchemaError(
                    f"schema {self.name!r}: the name {name!r} occurs twice; rename a column"
                )
            seen.add(name)
        self._check_sharing()
        for role in (self.group, self.time):
            if role is not None:
                check_name(role)
                if role in (self.label, self.weight):
                    raise SchemaError(
                        f"schema {self.name!r}: {role!r} is the label or the weight; group and "
                        "time are other columns"
                    )
        for name in ("time_ordered", "keep_time"):
            value = getattr(self, name)
            if not isinstance(value, bool) or (value and self.time is None):
                raise SchemaError(
                    f"schema {self.name!r}: {name}={value!r}, time={self.time!r}; use true or "
                    "false, and true only with a time column"
                )

    def _check_extent(self) -> None:
        columns = len(self.categorical) + len(self.numeric)
        for count, what, most, fix in (
            (columns, "columns", _MOST_COLUMNS, "remove columns"),
            (
                self.ids_width,
                "ids per record (the sum of all lengths)",
                _MOST_WIDTH,
                "shorten some",
            ),
        ):
            if count > most:
                raise SchemaError(
                    f"schema {shown(self.name)} has {count:,} {what}; use at most {most:,}, {fix}"
                )

    def _check_sharing(self) -> None:
        fields = {field.name: field for field in self.categorical}
        for field in self.categorical:
            if field.shares is None:
                continue
            owner = fields.get(field.shares)
            # A history of items has the settings of the item, except the number of values.
            same = ["size", "encoding", "min_count", "boundaries"]
            if field.encoding == "hash" or field.length == 1:
                same.append("missing")  # determines the id of a string or a missing value
            if owner is None or owner.shares is not None or field.encoding == "buckets":
                raise SchemaError(
                    f"field {field.name!r}: shares={field.shares!r}; name a field that is not "
                    "bucketized and shares with no other"
                )
            for what in same:
                if getattr(field, what) != getattr(owner, what):
                    raise SchemaError(
                        f"field {field.name!r} shares with {owner.name!r}, but has {what}="
                        f"{getattr(field, what)!r}, not {getattr(owner, what)!r}; make them equal"
                    )

    @property
    def columns(self) -> tuple[Categorical | Numeric, ...]:
        """All columns, the categorical ones first."""
        return (*self.categorical, *self.numeric)

    @property
    def field_sizes(self) -> dict[str, int]:
        """Number of ids of each categorical field, by name."""
        sizes = {}
        for field in self.categorical:
            if field.size is None:
                raise SchemaError(
                    f"schema {self.name!r}: field {field.name!r} has no size yet; prepare the data "
                    "first: python -m launch.prepare --schema=FILE --source=DATA --out=DIRECTORY"
                )
            sizes[field.name] = field.size
        return sizes

    @property
    def field_lengths(self) -> dict[str, int]:
        """Number of values per record of each categorical field, by name."""
        return {field.name: field.length for field in self.categorical}

    @property
    def ids_width(self) -> int:
        """Length of a record's `ids` vector: the sum of the field lengths."""
        return sum(field.length for field in self.categorical)

    def save(self, directory: str | os.PathLike[str]) -> str:
        """Writes `schema.json` into a folder, completely or not at all.

        Args:
            directory: folder; created if absent.

        Returns:
            Path of the file.

        Raises:
            tf.errors.OpError: if the file system refuses.

        Example:
            >>> import tempfile
            >>> folder = tempfile.mkdtemp()
            >>> _ = Schema("tiny", [Categorical("user", 10)]).save(folder)
            >>> Schema.load(folder).field_sizes
            {'user': 10}
        """
        path = join(directory, FILE_NAME)
        write_text(path, schema_to_text(self))
        return path

    @classmethod
    def load(cls, directory: str | os.PathLike[str]) -> "Schema":
        """Reads `schema.json` from a folder, or a schema file.

        Args:
            directory: folder written by `save` or `python -m launch.prepare`, or a `.json` file.

        Returns:
            The schema.

        Raises:
            SchemaError: if the file is missing, malformed or of a newer version.

        Example:
            >>> import tempfile
            >>> folder = tempfile.mkdtemp()
            >>> _ = Schema("tiny", [Categorical("user", 10)]).save(folder)
            >>> Schema.load(folder).name
            'tiny'
        """
        path = join(directory)
        if not path.endswith(".json"):
            path = join(directory, FILE_NAME)
        if not gfile.exists(path):
            raise SchemaError(
                f"no schema at {path}; prepare the data first: "
                "python -m launch.prepare --dataset=NAME --out=DIRECTORY"
            )
        size = gfile.stat(path).length
        if size > MOST_JSON:
            raise SchemaError(f"{path} has {size:,} bytes; a schema has at most {MOST_JSON:,}")
        try:
            text = read_text(path)
        except UnicodeDecodeError as error:
            raise SchemaError(f"{path} is not valid JSON ({error}); prepare again") from None
        return schema_from_text(text, path, cls, VERSION)

    def check_same(self, other: "Schema", where: str) -> None:
        """Raises unless both schemas describe the same columns; their names may differ.

        Args:
            other: schema to compare with.
            where: where `other` comes from, for the message.

        Raises:
            SchemaMismatchError: names the first column that differs.

        Example:
            >>> schema = Schema("tiny", [Categorical("user", 10)])
            >>> schema.check_same(schema, where="the same object")
        """
        for role in ("label", "weight", "group", "keep_time"):
            expected, found = getattr(self, role), getattr(other, role)
            if found != expected:
                raise SchemaMismatchError(
                    f"{where}: the {role} is {found!r}, expected {expected!r}"
                )
        for kind in ("categorical", "numeric"):
            fields, others = getattr(self, kind), getattr(other, kind)
            for place in range(max(len(fields), len(others))):
                expected = fields[place] if place < len(fields) else None
                found = others[place] if place < len(others) else None
                if expected != found:
                    raise SchemaMismatchError(
                        f"{where}: {kind} column {place} differs: "
                        f"expected {expected or 'none'}, found {found or 'none'}"
                    )

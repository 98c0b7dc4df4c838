"""What the columns of a prepared data set are: the one description that all code shares."""

import dataclasses
import json
import os
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from zoo.columns import Categorical, Numeric, SchemaError, SchemaMismatchError
from zoo.files import join, read_text, write_json

FILE_NAME = "schema.json"
VERSION = 1  # of the file format; raise it when an older reader would misread the file
__all__ = ["Categorical", "Numeric", "Schema", "SchemaError", "SchemaMismatchError"]


@dataclass(frozen=True)
class Schema:
    """The columns of a data set, in the order in which records hold them.

    Args:
        name: Name of the data set.
        categorical: Fields of ids, in the order of the `ids` vector.
        numeric: Number columns, in the order of the `numeric` vector.
        label: Name of the label column.
        version: Version of the file format.

    Raises:
        SchemaError: If there is no column, a name occurs twice, or the version is unknown.

    Example:
        >>> schema = Schema("tiny", [Categorical("user", 10), Categorical("tags", 5, length=3)])
        >>> schema.ids_width
        4
    """

    name: str
    categorical: tuple[Categorical, ...]
    numeric: tuple[Numeric, ...] = ()
    label: str = "label"
    version: int = VERSION

    def __post_init__(self) -> None:
        object.__setattr__(self, "categorical", tuple(self.categorical))
        object.__setattr__(self, "numeric", tuple(self.numeric))
        if not isinstance(self.version, int) or not 1 <= self.version <= VERSION:
            raise SchemaError(
                f"schema version {self.version!r}: this code reads versions 1 to {VERSION}; "
                "update tf-helen or prepare the data again"
            )
        if not self.categorical and not self.numeric:
            raise SchemaError(f"schema {self.name!r} has no feature; give at least one column")
        seen = {self.label}
        for column in (*self.categorical, *self.numeric):
            if column.name in seen:
                raise SchemaError(
                    f"schema {self.name!r}: the name {column.name!r} occurs twice; rename a column"
                )
            seen.add(column.name)

    @property
    def field_sizes(self) -> dict[str, int]:
        """Number of ids of each categorical field, by name, in order."""
        return {field.name: field.size for field in self.categorical}

    @property
    def field_lengths(self) -> dict[str, int]:
        """Number of values per record of each categorical field, by name, in order."""
        return {field.name: field.length for field in self.categorical}

    @property
    def ids_width(self) -> int:
        """Length of a record's `ids` vector: the sum of the field lengths."""
        return sum(field.length for field in self.categorical)

    def save(self, directory: str | os.PathLike[str]) -> str:
        """Writes `schema.json` into a folder, completely or not at all.

        Args:
            directory: Folder; created if absent.

        Returns:
            Path of the file.

        Raises:
            tf.errors.OpError: If the file system refuses.

        Example:
            >>> import tempfile
            >>> folder = tempfile.mkdtemp()
            >>> _ = Schema("tiny", [Categorical("user", 10)]).save(folder)
            >>> Schema.load(folder).field_sizes
            {'user': 10}
        """
        path = join(directory, FILE_NAME)
        write_json(path, {"version": self.version, **dataclasses.asdict(self)})
        return path

    @classmethod
    def load(cls, directory: str | os.PathLike[str]) -> "Schema":
        """Reads `schema.json` from a folder.

        Args:
            directory: Folder that `save` or `python -m launch.prepare` wrote.

        Returns:
            The schema.

        Raises:
            SchemaError: If the file is missing, malformed or of a newer version.

        Example:
            >>> import tempfile
            >>> folder = tempfile.mkdtemp()
            >>> _ = Schema("tiny", [Categorical("user", 10)]).save(folder)
            >>> Schema.load(folder).name
            'tiny'
        """
        path = join(directory, FILE_NAME)
        if not tf.io.gfile.exists(path):
            raise SchemaError(
                f"no schema at {path}; prepare the data first: "
                "python -m launch.prepare --dataset=NAME --out=DIRECTORY"
            )
        try:
            content = json.loads(read_text(path))
        except ValueError as error:  # malformed JSON or not UTF-8
            raise SchemaError(f"{path} is not valid JSON ({error}); prepare again") from None
        return _from_content(content, path)

    def check_same(self, other: "Schema", where: str) -> None:
        """Raises unless both schemas describe the same columns (the names may differ).

        Args:
            other: Schema to compare with.
            where: Where `other` came from, for the message.

        Raises:
            SchemaMismatchError: Naming the first column that differs.

        Example:
            >>> schema = Schema("tiny", [Categorical("user", 10)])
            >>> schema.check_same(schema, where="the same object")
        """
        if self.label != other.label:
            raise SchemaMismatchError(
                f"{where}: the label is {other.label!r}, expected {self.label!r}"
            )
        for kind in ("categorical", "numeric"):
            mine, theirs = getattr(self, kind), getattr(other, kind)
            for place in range(max(len(mine), len(theirs))):
                expected = mine[place] if place < len(mine) else None
                found = theirs[place] if place < len(theirs) else None
                if expected != found:
                    raise SchemaMismatchError(
                        f"{where}: {kind} column {place} differs: "
                        f"expected {expected or 'none'}, found {found or 'none'}"
                    )


def _from_content(content: Any, path: str) -> Schema:
    try:
        version = content["version"]
        if version == VERSION:
            return Schema(
                name=content["name"],
                categorical=[Categorical(**field) for field in content["categorical"]],
                numeric=[Numeric(**column) for column in content["numeric"]],
                label=content["label"],
                version=version,
            )
    except SchemaError as error:
        raise SchemaError(f"{path}: {error}") from None
    except (KeyError, TypeError) as error:
        raise SchemaError(
            f"{path} is not a schema (missing or unknown entry: {error}); prepare again"
        ) from None
    raise SchemaError(
        f"{path} has version {version!r}, this code reads version {VERSION}; "
        "update tf-helen or prepare the data again"
    )

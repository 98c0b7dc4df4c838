"""The two kinds of feature columns a schema is made of, and what can be wrong with them."""

import math
import re
from dataclasses import dataclass
from typing import Any

POOLINGS = ("mean", "sum")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]*")  # names are also file names
_LARGEST = 2**31 - 1  # ids are read as int32


class SchemaError(ValueError):
    """A schema is invalid, missing or unreadable."""


class SchemaMismatchError(SchemaError):
    """Two schemas, or a schema and a record, do not describe the same columns."""


@dataclass(frozen=True)
class Categorical:
    """A field of integer ids, of which id 0 means "not in the vocabulary".

    Args:
        name: Field name; letters, digits and `_.-` (it is also a file name).
        size: Number of ids, id 0 included.
        length: Most values per record; above 1 the field is padded with -1.
        pooling: How a model combines several values: "mean" or "sum".

    Raises:
        SchemaError: If a value is out of range.

    Example:
        >>> Categorical("genres", size=19, length=6).length
        6
    """

    name: str
    size: int
    length: int = 1
    pooling: str = "mean"

    def __post_init__(self) -> None:
        _check_name(self.name)
        for what in ("size", "length"):
            value = getattr(self, what)
            is_int = isinstance(value, int) and not isinstance(value, bool)
            if not is_int or not 1 <= value <= _LARGEST:
                raise SchemaError(
                    f"field {self.name!r}: {what}={value!r}; use an integer from 1 to {_LARGEST}"
                )
        if self.pooling not in POOLINGS:
            raise SchemaError(
                f"field {self.name!r}: pooling={self.pooling!r}; use one of {', '.join(POOLINGS)}"
            )


@dataclass(frozen=True)
class Numeric:
    """A number per record; records hold it raw, a model uses `(value - mean) / std`.

    Args:
        name: Column name, with the same characters as a categorical one.
        mean: Mean over the training split.
        std: Standard deviation over the training split; above 0.

    Raises:
        SchemaError: If a value is out of range.

    Example:
        >>> Numeric("price", mean=9.5, std=2.0).std
        2.0
    """

    name: str
    mean: float = 0.0
    std: float = 1.0

    def __post_init__(self) -> None:
        _check_name(self.name)
        for what in ("mean", "std"):
            value = getattr(self, what)
            number = isinstance(value, (int, float)) and math.isfinite(value)
            if not number or (what == "std" and value <= 0):
                limit = "finite number above 0" if what == "std" else "finite number"
                raise SchemaError(f"column {self.name!r}: {what}={value!r}; use a {limit}")


def _check_name(name: Any) -> None:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise SchemaError(f"column name {name!r}: use letters, digits, '_', '.' and '-'")

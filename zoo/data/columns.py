"""The two kinds of feature columns of a schema, and their checks."""

import itertools
import math
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tf_helen.core.checks import nearest

POOLINGS = ("mean", "sum")
ENCODINGS = ("vocabulary", "hash", "buckets", "log_square")
MISSING = ("oov", "bucket")
TRANSFORMS = ("standardize", "log", "none")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]*")  # names are also parts of file names
_LARGEST = 2**31 - 1  # ids are read as int32
MOST_VALUES = 100_000  # of one field in a record; all its values are read into memory, padded
_MOST_BOUNDARIES = 1_000_000
_LONGEST_NAME = 1_000  # characters
_SHOWN = 200  # characters of a value in a message


class SchemaError(ValueError):
    """A schema is invalid, missing or unreadable."""


class SchemaMismatchError(SchemaError):
    """Two schemas, or a schema and a record, do not describe the same columns."""


@dataclass(frozen=True)
class Categorical:
    """A field of integer ids; id 0 is the bucket of all values without their own id.

    | encoding | id of a raw value |
    |---|---|
    | `vocabulary` | its line in the vocabulary, most frequent first; unknown or rare: 0 |
    | `log_square` | the same of the text of `floor(log(x)^2)` if x > 2, else of `trunc(x)` |
    | `hash` | `1 + FarmHash64(text) mod (size - 1)`; missing bucket: `2 + ... mod (size - 2)` |
    | `buckets` | `1 +` the number of boundaries that are at most x |

    Args:
        name: field name; letters, digits and `_.-`, at most 1,000 of them.
        size: number of ids, including id 0. Defaults to `None`: preparation sets it. Required for
            `hash`, and for `buckets` with learned quantiles.
        length: maximum number of values per record, up to 100,000; above 1 the field is padded with
            -1. Defaults to 1.
        pooling: how a model combines several values: "mean" or "sum". Defaults to "mean".
        encoding: how a raw value becomes an id; see the table. Defaults to "vocabulary".
        min_count: values with fewer training occurrences become id 0 (`vocabulary`, `log_square`).
            Defaults to 1.
        missing: the id of a missing value: "oov" (id 0) or "bucket" (id 1, its own). A multi-valued
            field with no values is empty in both cases. Defaults to "oov".
        separator: string between several values in a text column. Defaults to "|".
        boundaries: for `buckets`: ascending numbers. Missing or non-numeric values map to id 0.
            Defaults to `None`.
        shares: name of the field whose vocabulary, and in a model whose embeddings, this field
            uses, such as the item for a history of items. Defaults to `None`: its own.

    Raises:
        SchemaError: if a value is out of range, or arguments are incompatible.

    Example:
        >>> Categorical("genres", size=19, length=6).length
        6
        >>> Categorical("I1", encoding="log_square", min_count=10).size is None
        True
    """

    name: str
    size: int | None = None
    length: int = 1
    pooling: str = "mean"
    encoding: str = "vocabulary"
    min_count: int = 1
    missing: str = "oov"
    separator: str = "|"
    boundaries: Sequence[float] = ()
    shares: str | None = None

    def __post_init__(self) -> None:
        check_name(self.name)
        what = f"field {self.name!r}"
        if self.size is not None:
            _check_integer(what, "size", self.size)
        _check_integer(what, "length", self.length, MOST_VALUES)
        _check_integer(what, "min_count", self.min_count)
        _check_one_of(what, "pooling", self.pooling, POOLINGS)
        _check_one_of(what, "encoding", self.encoding, ENCODINGS)
        _check_one_of(what, "missing", self.missing, MISSING)
        if not isinstance(self.separator, str) or not self.separator:
            raise SchemaError(f"{what}: separator={self.separator!r}; use a text such as '|'")
        self._check_boundaries(what)
        least = 3 if self.missing == "bucket" else 2
        if self.encoding == "hash" and (self.size is None or self.size < least):
            raise SchemaError(
                f"{what}: size={self.size!r}; with encoding='hash' use at least {least}"
            )
        if self.encoding in ("hash", "buckets") and self.min_count != 1:
            raise SchemaError(
                f"{what}: min_count={self.min_count} needs a vocabulary, and "
                f"encoding={self.encoding!r} has none; remove it"
            )
        if self.missing == "bucket" and self.encoding == "buckets":
            raise SchemaError(f"{what}: encoding='buckets' has id 0 for missing; leave missing out")

    def _check_boundaries(self, what: str) -> None:
        try:
            if isinstance(self.boundaries, (str, bytes)):
                raise TypeError
            boundaries = tuple(float(value) for value in self.boundaries)
        except (TypeError, ValueError, OverflowError):
            raise SchemaError(
                f"{what}: boundaries={shown(self.boundaries)}; use a list of numbers that a "
                "float64 can hold"
            ) from None
        if len(boundaries) > _MOST_BOUNDARIES:
            raise SchemaError(
                f"{what}: {len(boundaries):,} boundaries; use at most {_MOST_BOUNDARIES:,}"
            )
        object.__setattr__(self, "boundaries", boundaries)
        ascending = all(a < b for a, b in itertools.pairwise(boundaries))
        if not ascending or not all(map(math.isfinite, boundaries)):
            raise SchemaError(
                f"{what}: boundaries={shown(boundaries)}; use ascending finite numbers"
            )
        if self.encoding != "buckets":
            if boundaries:
                raise SchemaError(f"{what}: boundaries need encoding='buckets'; remove them")
        elif boundaries and self.size is None:
            object.__setattr__(self, "size", len(boundaries) + 2)
        elif boundaries and self.size != len(boundaries) + 2:
            raise SchemaError(
                f"{what}: size={self.size} with {len(boundaries)} boundaries; use "
                f"{len(boundaries) + 2} or leave it out"
            )
        elif not boundaries and (self.size is None or self.size < 3):
            raise SchemaError(
                f"{what}: encoding='buckets' needs boundaries, or a size of at least 3 for "
                f"quantiles. Received: size={self.size!r}"
            )
        if self.encoding == "buckets" and (self.size or 0) > _MOST_BOUNDARIES + 2:
            raise SchemaError(
                f"{what}: size={self.size}; use at most {_MOST_BOUNDARIES + 2:,} buckets"
            )
        if self.encoding in ("buckets", "log_square") and self.length > 1:
            raise SchemaError(f"{what}: length={self.length}; a numeric encoding needs length 1")


@dataclass(frozen=True)
class Numeric:
    """A number per record. Records store x, a model uses `(f(x) - mean) / std`.

    | transform | f(x) | mean and std |
    |---|---|---|
    | `standardize` | x | of x over the training split |
    | `log` | `sign(x) log(1 + abs(x))` | of f(x) over the training split |
    | `none` | x | 0 and 1 |

    To bucketize a number, make it a `Categorical` with `encoding="buckets"`.

    Args:
        name: column name; the same characters are allowed as for `Categorical`.
        mean: mean of f(x), which also replaces a missing number. Defaults to 0.
        std: standard deviation of f(x), above 0. Defaults to 1.
        transform: "standardize", "log" or "none"; see the table. Defaults to "standardize".

    Raises:
        SchemaError: if a value is out of range.

    Example:
        >>> Numeric("price", mean=9.5, std=2.0).missing_value
        9.5
    """

    name: str
    mean: float = 0.0
    std: float = 1.0
    transform: str = "standardize"

    def __post_init__(self) -> None:
        check_name(self.name)
        for what in ("mean", "std"):
            value = getattr(self, what)
            # An integer may be larger than any float.
            number = isinstance(value, (int, float)) and abs(value) <= sys.float_info.max
            if not number or (what == "std" and value <= 0):
                limit = "finite number above 0" if what == "std" else "finite number"
                raise SchemaError(f"column {self.name!r}: {what}={shown(value)}; use a {limit}")
        if self.transform == "standardise":  # its spelling in version 0.1
            object.__setattr__(self, "transform", "standardize")
        _check_one_of(f"column {self.name!r}", "transform", self.transform, TRANSFORMS)
        if self.transform == "none" and (self.mean, self.std) != (0, 1):
            raise SchemaError(
                f"column {self.name!r}: transform='none' has mean 0 and std 1. Received: "
                f"mean={self.mean!r}, std={self.std!r}; remove them"
            )

    @property
    def missing_value(self) -> float:
        """The raw number that replaces a missing one; its transform is `mean`."""
        if self.transform == "log":
            return math.copysign(math.expm1(abs(self.mean)), self.mean)
        return float(self.mean)


def check_name(name: Any) -> None:
    """Raises `SchemaError` unless a string is a valid column name.

    Args:
        name: the value received.

    Raises:
        SchemaError: names it.

    Example:
        >>> check_name("site.id-x")
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise SchemaError(
            f"column name {shown(name)}: use letters (A to Z, a to z), digits, '_', '.' and '-', "
            "with a letter, a digit or '_' first"
        )
    if len(name) > _LONGEST_NAME:
        raise SchemaError(
            f"column name {shown(name)} has {len(name):,} characters; use at most {_LONGEST_NAME:,}"
        )


def shown(value: Any) -> str:
    """Returns a short representation of a value for messages.

    Args:
        value: anything.

    Returns:
        The start of its `repr`.

    Example:
        >>> shown(3), len(shown("x" * 10_000))
        ('3', 203)
    """
    try:
        text = repr(value)
    except ValueError:  # an integer of thousands of digits
        text = f"a {type(value).__name__} too long to print"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _check_integer(what: str, name: str, value: Any, most: int = _LARGEST) -> None:
    is_int = isinstance(value, int) and not isinstance(value, bool)
    if not is_int or not 1 <= value <= most:
        raise SchemaError(f"{what}: {name}={shown(value)}; use an integer from 1 to {most}")


def _check_one_of(what: str, name: str, value: Any, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        near = nearest(value, allowed) if isinstance(value, str) and len(value) <= _SHOWN else ""
        raise SchemaError(f"{what}: {name}={shown(value)}; use one of {', '.join(allowed)}.{near}")

"""What a data set hands to the preparation: plain tables, and which columns are features."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import polars as pl


@dataclass(frozen=True)
class Field:
    """A categorical column of a raw table.

    Args:
        name: Column name; its values are strings or integers, or lists of them if `length` > 1.
        length: Most values kept per row.
        pooling: How a model combines several values, "mean" or "sum".

    Example:
        >>> Field("genres", length=6).pooling
        'mean'
    """

    name: str
    length: int = 1
    pooling: str = "mean"


@dataclass(frozen=True)
class RawData:
    """A data set before it is encoded.

    Args:
        name: Name of the data set.
        splits: A table per split, "train" among them; the label column holds numbers 0 to 1.
        fields: The categorical columns.
        numeric: Names of the number columns.
        label: Name of the label column.
        dropped: How many raw rows could not be used, by reason.

    Example:
        >>> table = pl.DataFrame({"label": [1, 0], "user": ["ann", "bob"]})
        >>> RawData("tiny", {"train": table}, (Field("user"),)).label
        'label'
    """

    name: str
    splits: Mapping[str, pl.DataFrame]
    fields: tuple[Field, ...]
    numeric: tuple[str, ...] = ()
    label: str = "label"
    dropped: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Options:
    """What a user can say about a data set.

    Args:
        source: Local file or folder of the raw data, or None.
        rows: Training rows to generate, for a synthetic data set.
        seed: Seed of a synthetic data set.

    Example:
        >>> Options(source="ml-1m.zip").seed
        0
    """

    source: str | None = None
    rows: int | None = None
    seed: int = 0


Loader = Callable[[Options], RawData]

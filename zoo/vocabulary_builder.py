"""Builds vocabularies from columns of raw values, and replaces values by their ids.

Apart from `zoo.vocabulary` so that training and serving do not need polars.
"""

import numpy as np
import polars as pl

from zoo.files import DataError
from zoo.vocabulary import OOV

_BREAKS = r"[\t\n\r]"  # would end the column or the line


def clean_values(column: pl.Series) -> tuple[pl.Series, int]:
    """Makes values fit to stand in a vocabulary file.

    Args:
        column: [n] strings or numbers; null becomes the empty string.

    Returns:
        The values as strings with tabs and line ends replaced by spaces, and how many had one.

    Example:
        >>> clean_values(pl.Series(["a", "b\\tc", None]))[0].to_list()
        ['a', 'b c', '']
    """
    text = column.cast(pl.String).fill_null("")
    changed = int(text.str.contains(_BREAKS).sum())
    return (text.str.replace_all(_BREAKS, " ") if changed else text), changed


def build_vocabulary(column: pl.Series, min_count: int = 1) -> tuple[list[str], np.ndarray]:
    """Gives ids to the values of a training column, most frequent first, then by value.

    Args:
        column: [n] strings, cleaned by `clean_values`; one entry per occurrence.
        min_count: Values that occur less often get no id of their own.

    Returns:
        The values by id, `<oov>` first, and their int64 counts.

    Raises:
        DataError: If `min_count` is below 1.

    Example:
        >>> build_vocabulary(pl.Series(["b", "a", "b", "c"]), min_count=2)
        (['<oov>', 'b'], array([2, 2]))
    """
    if min_count < 1:
        raise DataError(f"min_count={min_count}; use an integer of at least 1")
    counts = (
        pl.DataFrame({"value": column})
        .group_by("value")
        .agg(pl.len().cast(pl.Int64).alias("count"))
        .sort("count", "value", descending=[True, False])
    )
    # A raw value that reads "<oov>" would make the file's keys ambiguous; it is unknown too.
    kept = counts.filter((pl.col("count") >= min_count) & (pl.col("value") != OOV))
    unknown = len(column) - int(kept["count"].sum())
    values = [OOV, *kept["value"].to_list()]
    return values, np.concatenate([[unknown], kept["count"].to_numpy()]).astype(np.int64)


def encode(column: pl.Series, values: list[str]) -> np.ndarray:
    """Replaces values by ids.

    Args:
        column: [n] strings, cleaned by `clean_values`.
        values: The values by id.

    Returns:
        [n] int32 ids, 0 for a value without an id.

    Example:
        >>> encode(pl.Series(["a", "z"]), ["<oov>", "a"])
        array([1, 0], dtype=int32)
    """
    known = pl.DataFrame(
        {"value": pl.Series(values, dtype=pl.String), "id": np.arange(len(values), dtype=np.int32)}
    )
    joined = pl.DataFrame({"value": column}).join(
        known, on="value", how="left", maintain_order="left"
    )
    return joined["id"].fill_null(0).to_numpy().copy()

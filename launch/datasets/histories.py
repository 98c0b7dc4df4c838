"""Histories of behavior as text, such as "7^3^12", the newest last."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import polars as pl


def newest(columns: Sequence[str], length: int) -> Callable[[pl.DataFrame], pl.DataFrame]:
    """Converts histories to lists of their newest values.

    Args:
        columns: names of the columns, texts with "^" between the values.
        length: int, maximum number of values to keep.

    Returns:
        Function from table to table; an empty text becomes null.

    Example:
        >>> table = pl.DataFrame({"past": ["7^3^12", ""]})
        >>> newest(["past"], 2)(table)["past"].to_list()
        [['3', '12'], None]
    """
    values = pl.col(columns)
    kept = pl.when(values != "").then(values.str.split("^").list.tail(length)).name.keep()
    return lambda frame: frame.with_columns(kept)

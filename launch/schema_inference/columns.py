"""Proposes a kind for each column: field, field of several values, number, or none."""

from __future__ import annotations

import polars as pl

from launch.schema_inference.profile import Profile, is_time, words
from zoo.data.columns import Categorical, Numeric

_FEW_INTEGERS = 32  # up to this many distinct integers are categories, such as hours or ratings
_FEW_FRACTIONS = 10
_ENOUGH_ROWS = 20  # with fewer rows, distinct values do not indicate a row id
_HEAVY_TAIL = 2.0  # skewness above which a number gets the transform "log"
_LONGEST = 50  # maximum length of a field of several values
_MIN_COUNTS = ((100_000, 10), (10_000, 5), (1_000, 2))  # (distinct values above, min_count)
_SEPARATORS = {"|": 0.3, ";": 0.3, "^": 0.3, ",": 0.5, " ": 0.5}  # minimum share of values with it
_THOUSANDS = r"^[0-9]{1,3}(,[0-9]{3})+$"
_ROW_IDS = words("id index idx row rowid row_id uuid guid request_id event_id")


def propose(column: Profile) -> tuple[Categorical | Numeric | None, str]:
    """Proposes a kind for a column.

    Args:
        column: `Profile` of the column.

    Returns:
        A `Categorical` or `Numeric` column, or `None` if it is left out; and a string, the reason.

    Example:
        >>> from launch.schema_inference.profile import profile
        >>> propose(profile(pl.Series("color", ["red", "blue", "red"])))[1]
        'field of 2 values'
    """
    if column.distinct + (column.missing > 0) < 2:
        return None, "left out: it is the same in every row"
    several = _several(column)
    if several:
        return several
    numbers = column.numbers
    if numbers is not None and len(numbers) and not column.temporal:
        found = _number(column, numbers)
        if found:
            return found
    if _is_row_id(column):
        return None, "left out: every row has a different value; add it if values repeat later"
    return _field(column)


def _is_row_id(column: Profile) -> bool:
    if column.rows < _ENOUGH_ROWS or column.missing or column.distinct < column.rows:
        return False
    return column.name.lower() in _ROW_IDS or not column.named_as_id


def _number(column: Profile, numbers: pl.Series) -> tuple[Numeric, str] | None:
    """Returns a number column, or `None` if the numbers look like ids."""
    whole = bool((numbers == numbers.floor()).all())
    few = _FEW_INTEGERS if whole else _FEW_FRACTIONS
    padded = column.values.str.contains("^0[0-9]").any()  # 00123 is an id
    if column.distinct <= few or padded or column.named_as_id or numbers.abs().max() > 2**53:
        return None
    if _is_row_id(column) and whole and (column.name.lower() in _ROW_IDS or _counts_rows(numbers)):
        return None
    why = f"{column.distinct} different {'integers' if whole else 'numbers'}"
    if column.missing:
        why += f", {_share(column)} missing (replaced by the mean)"
    skew = numbers.skew()
    if numbers.min() >= 0 and skew is not None and skew > _HEAVY_TAIL:
        why = f"number, log: {why}, heavy tail (skewness {skew:.1f})"
        return Numeric(column.name, transform="log"), why
    return Numeric(column.name), f"number: {why}; if they are ids, make it a field"


def _counts_rows(numbers: pl.Series) -> bool:
    return bool((numbers.diff().drop_nulls() == 1).all())


def _several(column: Profile) -> tuple[Categorical, str] | None:
    """Returns a field of several values if the column has lists or a separator, else `None`."""
    if column.is_list:
        return _of_several(column, column.values, {}, "in lists")
    values = column.values
    if column.temporal or column.numbers is not None or is_time(column):
        return None
    if values.str.contains(_THOUSANDS).any():
        return None
    for separator, share in _SEPARATORS.items():
        if values.str.contains(separator, literal=True).mean() < share:
            continue
        parts = values.str.split(separator)
        parts = parts.list.eval(pl.element().filter(pl.element() != ""))
        flat = parts.explode().drop_nulls()
        # City names such as "New York" contain a space too, but have as many distinct parts.
        if len(flat) and flat.n_unique() < column.distinct and flat.n_unique() <= len(flat) / 2:
            given = {} if separator == "|" else {"separator": separator}
            return _of_several(column, parts, given, f"separated by {separator!r}")
    return None


def _of_several(
    column: Profile, parts: pl.Series, given: dict, how: str
) -> tuple[Categorical, str]:
    lengths, flat = parts.list.len(), parts.explode().drop_nulls()
    usual = int(lengths.quantile(0.95, interpolation="higher") or 1)
    given["length"] = length = min(max(usual, 2), _LONGEST)
    least, rare = _least_count(flat)
    why = (
        f"field of several values: {flat.n_unique()} {how}, up to {int(lengths.max() or 0)} in a "
        f"row, the first {length} are kept{rare}"
    )
    return Categorical(column.name, **given, **least), why


def _field(column: Profile) -> tuple[Categorical, str]:
    given: dict = {"missing": "bucket"} if column.missing else {}
    why = f"field of {column.distinct} values"
    if column.missing:
        why += f", {_share(column)} missing (they get their own id)"
    least, rare = _least_count(column.values)
    return Categorical(column.name, **given, **least), why + rare


def _least_count(values: pl.Series) -> tuple[dict, str]:
    """Returns a minimum count, if most of many values occur once, and the reason."""
    counts = values.value_counts()["count"]
    once = int((counts == 1).sum())
    for distinct, min_count in _MIN_COUNTS:
        if len(counts) > distinct and once > len(counts) / 2:
            why = f", {once} occur once: those with fewer than {min_count} occurrences share id 0"
            if min_count == _MIN_COUNTS[0][1]:
                why += '; "encoding": "hash" with a size bounds the table'
            return {"min_count": min_count}, why
    return {}, ""


def _share(column: Profile) -> str:
    return f"{column.missing / column.rows:.2%}"

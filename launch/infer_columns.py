"""What a sample of a column says about it: is it an id, a number, several values, a time?"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

import polars as pl

from zoo.columns import Categorical, Numeric
from zoo.encoding import NUMBER

_FEW_INTEGERS = 32  # at most so many distinct whole numbers are categories: hours, ratings, ages
_FEW_FRACTIONS = 10
_ENOUGH_ROWS = 20  # below, that all values differ says nothing
_HEAVY_TAIL = 2.0  # skewness from which an amount is taken for its logarithm
_LONGEST = 50  # values of one field
_MIN_COUNTS = ((100_000, 10), (10_000, 5), (1_000, 2))  # distinct values in the sample
_NO_NUMBER = ("nan", "na", "n/a", "null", "none", "\\n", "-", "?")  # what stands for a missing one
_SEPARATORS = {"|": 0.3, ";": 0.3, "^": 0.3, ",": 0.5, " ": 0.5}  # share of values that have one
_ISO = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}.*)?$"
_THOUSANDS = r"^[0-9]{1,3}(,[0-9]{3})+$"
_IDS = frozenset(
    [
        "id",
        "ids",
        "code",
        "key",
        "hash",
        "zip",
        "zipcode",
        "type",
        "category",
        "cat",
        "cate",
        "class",
        "kind",
        "genre",
        "genres",
        "tag",
        "tags",
        "user",
        "item",
        "movie",
        "ad",
        "adgroup",
        "campaign",
        "creative",
        "advertiser",
        "publisher",
        "customer",
        "member",
        "visitor",
        "session",
        "brand",
        "site",
        "app",
        "device",
        "product",
        "sku",
        "shop",
        "store",
        "seller",
        "page",
        "url",
        "domain",
        "query",
        "ip",
        "city",
        "country",
        "state",
        "region",
        "gender",
        "sex",
        "language",
        "locale",
        "os",
        "browser",
        "channel",
        "slot",
        "artist",
        "song",
        "track",
        "model",
        "version",
        "occupation",
        "author",
    ]
)
_NO_IDS = frozenset(
    [
        "bid",
        "paid",
        "valid",
        "invalid",
        "grid",
        "solid",
        "fluid",
        "aid",
        "void",
        "avoid",
        "mid",
        "rapid",
    ]
)
_ROW_IDS = frozenset(
    ["id", "index", "idx", "row", "rowid", "row_id", "uuid", "guid", "request_id", "event_id"]
)
_TIMES = frozenset(
    ["time", "timestamp", "ts", "date", "datetime", "hour", "day", "created", "updated", "seen"]
)


@dataclass(frozen=True)
class Profile:
    """What a sample says of one column.

    Args:
        name: the column's name.
        values: its values, none missing: text, or lists of text.
        rows: rows of the sample.
        temporal: whether the column has a type of dates or times.

    Attributes:
        missing: rows without a value (null, NaN, "" or an empty list).
        distinct: different values.
        numbers: the values as float64 if all are numbers, else None.

    Example:
        >>> column = profile(pl.Series("age", ["18", "", "44"]))
        >>> column.missing, column.distinct, column.numbers.to_list()
        (1, 2, [18.0, 44.0])
    """

    name: str
    values: pl.Series
    rows: int
    temporal: bool = False

    @property
    def missing(self) -> int:
        return self.rows - len(self.values)

    @cached_property
    def distinct(self) -> int:
        return self.values.n_unique()

    @property
    def is_list(self) -> bool:
        return self.values.dtype == pl.List

    @cached_property
    def numbers(self) -> pl.Series | None:
        if self.is_list or not len(self.values):
            return None
        values = self.values.filter(~self.values.str.to_lowercase().is_in(_NO_NUMBER))
        if not len(values) or not values.str.contains(f"^ *{NUMBER} *$").all():
            return None
        numbers = values.str.strip_chars(" ").str.strip_prefix("+").cast(pl.Float64, strict=False)
        return numbers.filter(numbers.is_finite())

    @cached_property
    def words(self) -> list[str]:
        """The words of the name, in lower case: `userId` and `user_id` have user and id."""
        return [w.lower() for w in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[0-9]+", self.name)]

    @cached_property
    def named_as_id(self) -> bool:
        """Whether the name speaks of ids: user_id, itemid, brand, C14."""
        ends_so = any(word.endswith("id") and word not in _NO_IDS for word in self.words)
        return (
            ends_so or not _IDS.isdisjoint(self.words) or bool(re.fullmatch("C[0-9]+", self.name))
        )


def profile(column: pl.Series) -> Profile:
    """Looks at the sample of a column.

    Args:
        column: of any type.

    Returns:
        Its profile.

    Raises:
        ValueError: if the type is none that a feature can have, such as a struct.

    Example:
        >>> profile(pl.Series("tags", [["a"], [], None])).missing
        2
    """
    kind = column.dtype
    if isinstance(kind, (pl.List, pl.Array)):
        lists = column.cast(pl.List(pl.String), strict=False)
        return Profile(
            column.name, lists.filter((lists.list.len() > 0).fill_null(False)), len(column)
        )
    if kind.is_nested() or kind == pl.Object:
        raise ValueError(f"its type {kind} is no text, number or list")
    if kind.is_float():
        column = column.fill_nan(None)
    if kind == pl.Boolean:
        column = column.cast(pl.Int8)
    text = column.cast(pl.String, strict=False)
    return Profile(
        column.name, text.filter((text != "").fill_null(False)), len(column), kind.is_temporal()
    )


def is_time(column: Profile) -> bool:
    """Tells whether a column holds points in time.

    Args:
        column: its profile.

    Returns:
        True for types of time and ISO dates; where the name speaks of time also for seconds or
        milliseconds since 1970, YYYYMMDD, YYYYMMDDHH and YYMMDDHH.

    Example:
        >>> is_time(profile(pl.Series("hour", [14102100, 14102123])))
        True
        >>> is_time(profile(pl.Series("hour", [0, 23])))
        False
    """
    if column.temporal:
        return True
    if column.is_list or not len(column.values):
        return False
    if column.values.str.contains(_ISO).all():
        return True
    numbers = column.numbers
    if numbers is None or not len(numbers) or _TIMES.isdisjoint(column.words):
        return False
    low, high = numbers.min(), numbers.max()
    if any(946e6 * unit <= low and high < 4.1e9 * unit for unit in (1, 1000)):  # 2000 to 2100
        return True
    padded = column.values + "00"  # an hour alone is no time to the parser
    formats = (("%Y%m%d%H%M", r"^[0-9]{10}$"), ("%y%m%d%H%M", "^[0-9]{8}$"))
    dates = column.values.str.to_date("%Y%m%d", strict=False).null_count() == 0
    return (dates and bool(column.values.str.contains("^[0-9]{8}$").all())) or any(
        column.values.str.contains(shape).all()
        and padded.str.to_datetime(form, strict=False).null_count() == 0
        for form, shape in formats
    )


def propose(column: Profile) -> tuple[Categorical | Numeric | None, str]:
    """Proposes what a column becomes.

    Args:
        column: its profile.

    Returns:
        A field or number column, or None if the column says nothing; and why.

    Example:
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
        return None, "left out: every row has another value; add it if values repeat elsewhere"
    return _field(column)


def _is_row_id(column: Profile) -> bool:
    if column.rows < _ENOUGH_ROWS or column.missing or column.distinct < column.rows:
        return False
    return column.name.lower() in _ROW_IDS or not column.named_as_id


def _number(column: Profile, numbers: pl.Series) -> tuple[Numeric, str] | None:
    """A number column, unless the numbers are names of something."""
    whole = bool((numbers == numbers.floor()).all())
    few = _FEW_INTEGERS if whole else _FEW_FRACTIONS
    padded = column.values.str.contains("^0[0-9]").any()  # 00123 is a name
    if column.distinct <= few or padded or column.named_as_id or numbers.abs().max() > 2**53:
        return None
    if _is_row_id(column) and whole and (column.name.lower() in _ROW_IDS or _counts_rows(numbers)):
        return None
    why = f"{column.distinct} different {'whole numbers' if whole else 'numbers'}"
    if column.missing:
        why += f", {_share(column)} missing (they count as the mean)"
    skew = numbers.skew()
    if numbers.min() >= 0 and skew is not None and skew > _HEAVY_TAIL:
        why = f"number, log: {why}, heavy tail (skewness {skew:.1f})"
        return Numeric(column.name, transform="log"), why
    return Numeric(column.name), f"number: {why}; if they are ids, make it a field"


def _counts_rows(numbers: pl.Series) -> bool:
    return bool((numbers.diff().drop_nulls() == 1).all())


def _several(column: Profile) -> tuple[Categorical, str] | None:
    """A field of several values, if that is what the lists or the separators say."""
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
        # "New York" has a space too; but its parts are no fewer than the cities.
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
        why += f", {_share(column)} missing (they have an id of their own)"
    least, rare = _least_count(column.values)
    return Categorical(column.name, **given, **least), why + rare


def _least_count(values: pl.Series) -> tuple[dict, str]:
    """A minimum count where most of many values occur once, and a word on it."""
    counts = values.value_counts()["count"]
    once = int((counts == 1).sum())
    for distinct, min_count in _MIN_COUNTS:
        if len(counts) > distinct and once > len(counts) / 2:
            why = f", {once} occur once: those that occur fewer than {min_count} times share id 0"
            if min_count == _MIN_COUNTS[0][1]:
                why += '; "encoding": "hash" with a size would bound the table'
            return {"min_count": min_count}, why
    return {}, ""


def _share(column: Profile) -> str:
    return f"{column.missing / column.rows:.2%}"

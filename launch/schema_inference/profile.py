"""Profiles a sample of a column: numbers, texts, lists, times, and the words of its name."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

import polars as pl

from zoo.serving.encoding import NUMBER


def words(text: str) -> frozenset[str]:
    """Splits a text at spaces.

    Args:
        text: string.

    Returns:
        Frozen set of the words.

    Example:
        >>> sorted(words("bid paid"))
        ['bid', 'paid']
    """
    return frozenset(text.split())


_MISSING = ("nan", "na", "n/a", "null", "none", "\\n", "-", "?")  # texts for missing numbers
_TRUTH = ("true", "false")
_ISO = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}.*)?$"
_IDS = words(
    "id ids code key hash zip zipcode type category cat cate class kind genre genres tag tags user "
    "item movie ad adgroup campaign creative advertiser publisher customer member visitor session "
    "brand site app device product sku shop store seller page url domain query ip city country "
    "state region gender sex language locale os browser channel slot artist song track model "
    "version occupation author"
)
_NO_IDS = words("bid paid valid invalid grid solid fluid aid void avoid mid rapid")
_TIMES = words("time timestamp ts date datetime hour day created updated seen")


@dataclass(frozen=True)
class Profile:
    """The profile of a column in a sample.

    Args:
        name: string, name of the column.
        values: polars `Series`, the values that are not missing, as text or lists of text.
        rows: int, number of rows of the sample.
        temporal: boolean, whether the type of the column is a date or time. Defaults to `False`.

    Attributes:
        missing: int, number of rows without a value (null, NaN, "" or an empty list).
        distinct: int, number of distinct values.
        numbers: the values as float64 if all are numbers, or all are true or false, else `None`.

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
        plain = self.values.str.to_lowercase()
        if plain.is_in(_TRUTH).all():  # accepted by the preparation as labels
            return (plain == "true").cast(pl.Float64)
        values = self.values.filter(~plain.is_in(_MISSING))
        if not len(values) or not values.str.contains(f"^ *{NUMBER} *$").all():
            return None
        numbers = values.str.strip_chars(" ").str.strip_prefix("+").cast(pl.Float64, strict=False)
        return numbers.filter(numbers.is_finite())

    @cached_property
    def name_words(self) -> list[str]:
        """The words of the name in lower case, such as user and id for `userId` and `user_id`."""
        return [w.lower() for w in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[0-9]+", self.name)]

    @cached_property
    def named_as_id(self) -> bool:
        """Whether the name suggests ids, such as user_id, itemid, brand or C14."""
        ends_so = any(word.endswith("id") and word not in _NO_IDS for word in self.name_words)
        return (
            ends_so
            or not _IDS.isdisjoint(self.name_words)
            or bool(re.fullmatch("C[0-9]+", self.name))
        )


def profile(column: pl.Series) -> Profile:
    """Profiles a sample of a column.

    Args:
        column: polars `Series` of any type.

    Returns:
        Its `Profile`.

    Raises:
        ValueError: if a feature cannot have its type, such as a struct.

    Example:
        >>> profile(pl.Series("tags", [["a"], [], None])).missing
        2
    """
    kind = column.dtype
    is_list = isinstance(kind, (pl.List, pl.Array))
    try:
        if kind.is_nested() and not is_list:
            raise pl.exceptions.InvalidOperationError
        if is_list:
            lists = column.cast(pl.List(pl.String))
            lists = lists.list.eval(pl.element().filter(pl.element().fill_null("") != ""))
            present = (lists.list.len() > 0).fill_null(False)
            return Profile(column.name, lists.filter(present), len(column))
        if kind.is_float():
            column = column.fill_nan(None)
        if kind == pl.Boolean:
            column = column.cast(pl.Int8)
        text = column.cast(pl.String)
    except pl.exceptions.PolarsError:
        raise ValueError(
            f"its type {kind} is not supported; use text, numbers or lists of them"
        ) from None
    present = (text != "").fill_null(False)
    return Profile(column.name, text.filter(present), len(column), kind.is_temporal())


def is_time(column: Profile) -> bool:
    """Returns whether a column contains times.

    Args:
        column: `Profile` of the column.

    Returns:
        Boolean, `True` for date and time types and ISO dates. If the name suggests a time, also for
        seconds or milliseconds since 1970, YYYYMMDD, YYYYMMDDHH and YYMMDDHH.

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
    if numbers is None or not len(numbers) or _TIMES.isdisjoint(column.name_words):
        return False
    low, high = numbers.min(), numbers.max()
    if any(946e6 * unit <= low and high < 4.1e9 * unit for unit in (1, 1000)):  # 2000 to 2100
        return True
    padded = column.values + "00"  # the parser requires minutes
    formats = (("%Y%m%d%H%M", r"^[0-9]{10}$"), ("%y%m%d%H%M", "^[0-9]{8}$"))
    dates = column.values.str.to_date("%Y%m%d", strict=False).null_count() == 0
    return (dates and bool(column.values.str.contains("^[0-9]{8}$").all())) or any(
        column.values.str.contains(shape).all()
        and padded.str.to_datetime(form, strict=False).null_count() == 0
        for form, shape in formats
    )

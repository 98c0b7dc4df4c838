"""What a sample of a column holds: numbers, texts, lists, times; and what its name speaks of."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

import polars as pl

from zoo.serving.encoding import NUMBER


def words(text: str) -> frozenset[str]:
    """Splits a text at spaces.

    Args:
        text: words and spaces.

    Returns:
        The words.

    Example:
        >>> sorted(words("bid paid"))
        ['bid', 'paid']
    """
    return frozenset(text.split())


_NO_NUMBER = ("nan", "na", "n/a", "null", "none", "\\n", "-", "?")  # what stands for a missing one
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
    """What a sample says of one column.

    Args:
        name: the column's name.
        values: its values, none missing: text, or lists of text.
        rows: rows of the sample.
        temporal: whether the column has a type of dates or times.

    Attributes:
        missing: rows without a value (null, NaN, "" or an empty list).
        distinct: different values.
        numbers: the values as float64 if all are numbers, or all true and false, else None.

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
        if plain.is_in(_TRUTH).all():  # as the preparation takes them in a label
            return (plain == "true").cast(pl.Float64)
        values = self.values.filter(~plain.is_in(_NO_NUMBER))
        if not len(values) or not values.str.contains(f"^ *{NUMBER} *$").all():
            return None
        numbers = values.str.strip_chars(" ").str.strip_prefix("+").cast(pl.Float64, strict=False)
        return numbers.filter(numbers.is_finite())

    @cached_property
    def name_words(self) -> list[str]:
        """The words of the name, in lower case: `userId` and `user_id` have user and id."""
        return [w.lower() for w in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[0-9]+", self.name)]

    @cached_property
    def named_as_id(self) -> bool:
        """Whether the name speaks of ids: user_id, itemid, brand, C14."""
        ends_so = any(word.endswith("id") and word not in _NO_IDS for word in self.name_words)
        return (
            ends_so
            or not _IDS.isdisjoint(self.name_words)
            or bool(re.fullmatch("C[0-9]+", self.name))
        )


def profile(column: pl.Series) -> Profile:
    """Looks at the sample of a column.

    Args:
        column: of any type.

    Returns:
        Its profile.

    Raises:
        ValueError: if a feature cannot have the type, such as a struct.

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
        raise ValueError(f"its type {kind} is no text, number or list of them") from None
    present = (text != "").fill_null(False)
    return Profile(column.name, text.filter(present), len(column), kind.is_temporal())


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
    if numbers is None or not len(numbers) or _TIMES.isdisjoint(column.name_words):
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

"""Reads columns of times as numbers, in seconds or in their own unit."""

from __future__ import annotations

import polars as pl

from launch.datasets.table_types import as_numbers
from zoo.data.files import DataError

# Z, +02:00, -0800 or +02 after a time of day.
_ZONE = r"(?<before>:\d\d(?:\.\d+)?) ?(?:Z|(?<sign>[+-])(?<hours>\d\d):?(?<minutes>\d\d)?)$"
_DATES = ("%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M", "%Y-%m-%d")


def read_times(
    frame: pl.DataFrame, column: str, samples: dict[str, str] | None = None
) -> pl.Series:
    """Reads a column of times.

    Args:
        frame: polars `DataFrame`, the rows.
        column: string, name of a column of numbers (such as seconds) or ISO 8601 dates and times.
        samples: dict that receives a text that is a number, as "number", and one that is a date, as
            "date". Defaults to `None`.

    Returns:
        float64 `[n]`, seconds or the unit of the numbers; null where a time cannot be read.

    Raises:
        DataError: if the column is missing or has an unsupported type.

    Example:
        >>> read_times(pl.DataFrame({"day": ["1970-01-02", "x"]}), "day").to_list()
        [86400.0, None]
    """
    if column not in frame.columns:
        raise DataError(f"no time column {column!r}; columns: {', '.join(frame.columns)}")
    values = frame[column]
    if values.dtype.is_nested() or values.dtype in (pl.Time, pl.Duration, pl.Binary):
        raise DataError(
            f"the time column {column!r} has the type {values.dtype}; use numbers or dates"
        )
    if values.dtype.is_temporal():
        values = values.cast(pl.Datetime("us")).dt.epoch("us").cast(pl.Float64) / 1e6
    elif values.dtype == pl.String:
        text, numbers = values.str.strip_chars(), as_numbers(values)
        if numbers.null_count() > (text == "").sum():
            ahead, given = _ahead(text), numbers
            plain = text.str.replace("T", " ", literal=True).str.replace(_ZONE, "$before")
            for form in _DATES:
                dates = plain.str.to_datetime(form, strict=False, time_unit="us")
                numbers = numbers.fill_null(dates.dt.epoch("us").cast(pl.Float64) / 1e6 - ahead)
            _note(samples, "date", text.filter(given.is_null() & numbers.is_not_null()))
            _note(samples, "number", text.filter(given.is_finite().fill_null(False)))
        else:
            _note(samples, "number", text.filter(numbers.is_finite().fill_null(False)))
        values = numbers
    else:
        values = as_numbers(values)
    return values.set(~values.is_finite().fill_null(False), None)


def _note(samples: dict[str, str] | None, kind: str, found: pl.Series) -> None:
    if samples is not None and len(found):
        samples.setdefault(kind, found[0])


def _ahead(text: pl.Series) -> pl.Series:
    """Returns the offset of the time zones from UTC in seconds; 0 without a zone."""
    zone = text.str.extract_groups(_ZONE).struct.unnest()
    hours, minutes = (zone[n].fill_null("0").cast(pl.Int64) for n in ("hours", "minutes"))
    west = zone["sign"].fill_null("") == "-"
    return (hours * 60 + minutes) * 60 * (1 - 2 * west.cast(pl.Int64))

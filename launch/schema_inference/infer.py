"""Proposes a schema for a table from a sample of its rows, with a reason for each column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl

from launch.schema_inference.columns import propose
from launch.schema_inference.profile import Profile, is_time, profile
from tf_helen.core.checks import nearest
from zoo.data.columns import Categorical, Numeric, check_name
from zoo.data.schema import Schema

# Names in lower case, the most likely first.
_LABELS = (
    "label",
    "click",
    "clicked",
    "clk",
    "is_click",
    "is_clicked",
    "is_clk",
    "target",
    "y",
    "conversion",
    "converted",
    "is_conversion",
    "purchase",
    "purchased",
    "buy",
    "response",
    "outcome",
    "rating",
)
_WEIGHTS = (
    "sample_weight",
    "example_weight",
    "instance_weight",
    "importance_weight",
    "importance",
    "weight",
)
_GROUPS = (
    "user_id",
    "userid",
    "user",
    "uid",
    "member_id",
    "customer_id",
    "visitor_id",
    "session_id",
    "sessionid",
    "session",
    "reviewerid",
    "device_id",
)
_TIMES = ("timestamp", "event_time", "datetime", "time", "ts", "date", "hour", "day")


def infer_schema(
    sample: pl.DataFrame, name: str, label: str | None = None
) -> tuple[Schema, list[str]]:
    """Proposes a schema for a table, for review and editing.

    Args:
        sample: polars `DataFrame`, rows of the table, as text or typed. Some thousands from
            different parts of the table are best.
        name: string, name of the data set.
        label: string, name of the label column. Defaults to `None`: found by its name, or as the
            only column of 0 and 1.

    Returns:
        The `Schema`, with sizes still unknown, and a list of strings, one per column in the order
        of the table, with the proposal and its reason.

    Raises:
        ValueError: if there is no row, no label or no feature, or `label` is not a column.

    Example:
        >>> table = pl.DataFrame({"user": ["a", "b", "a"], "click": [0, 1, 1], "x": [1, 1, 1]})
        >>> schema, notes = infer_schema(table, "tiny")
        >>> print(*notes, sep="\\n")
        user: field of 2 values; also the group of GAUC
        click: the label, by its name
        x: left out: it is the same in every row
    """
    if not sample.height:
        raise ValueError("the sample has no rows; name a file with rows")
    profiles, notes = _profiles(sample)
    found_label, notes[found_label] = _label(profiles, sample.columns, label)
    rest = {name: column for name, column in profiles.items() if name != found_label}
    weight = _first(_WEIGHTS, {n: c for n, c in rest.items() if _is_weight(c)})
    if weight:
        notes[weight] = "the weight, by its name; edit the schema if it is a feature"
        del rest[weight]
    times = {n: c for n, c in rest.items() if is_time(c)}
    time = _first(_TIMES, times) or next(iter(times), None)
    if time:
        notes[time] = "the time, for --split_by=time; not a feature"
        del rest[time]
    columns: list[Categorical | Numeric] = []
    for column in rest.values():
        proposal, notes[column.name] = propose(column)
        if proposal is not None:
            columns.append(proposal)
    group = _first(_GROUPS, {column.name: column for column in columns})
    if group:
        notes[group] += "; also the group of GAUC"
    schema = Schema(
        name,
        [column for column in columns if isinstance(column, Categorical)],
        [column for column in columns if isinstance(column, Numeric)],
        label=found_label,
        weight=weight,
        group=group,
        time=time,
    )
    return schema, [f"{column}: {notes[column]}" for column in sample.columns]


def _profiles(sample: pl.DataFrame) -> tuple[dict[str, Profile], dict[str, str]]:
    """Returns the profiles of usable columns, and notes on the others."""
    profiles, notes = {}, {}
    for column in sample:
        try:
            check_name(column.name)
            profiles[column.name] = profile(column)
        except ValueError as error:
            notes[column.name] = f"left out: {error}"
    return profiles, notes


def _label(
    profiles: Mapping[str, Profile], columns: Sequence[str], given: str | None
) -> tuple[str, str]:
    """Returns the name of the label column, and the reason."""
    if given is not None:
        if given not in profiles:
            raise ValueError(
                f"no column {given!r} for the label.{nearest(given, list(profiles))} Columns: "
                f"{', '.join(columns)}"
            )
        return given, f"the label, as given{_range(profiles[given])}"
    fitting = {name: column for name, column in profiles.items() if _limits(column, 0, 1)}
    named = _first(_LABELS, fitting)
    if named:
        return named, "the label, by its name"
    binary = [name for name, column in fitting.items() if _binary(column)]
    if len(binary) == 1:
        return binary[0], "the label: the only column of 0 and 1"
    named = _first(_LABELS, profiles)
    if named:
        return named, f"the label, by its name{_range(profiles[named])}"
    several = f" ({', '.join(binary)} hold 0 and 1)" if binary else ""
    raise ValueError(f"no label among {', '.join(columns)}{several}; name it with --label=COLUMN")


def _range(column: Profile) -> str:
    """Returns a warning if the values are not valid labels."""
    if _limits(column, 0, 1):
        return ""
    numbers = column.numbers
    if numbers is None or not len(numbers):
        return "; but its values are not numbers: convert them to 0 and 1 first"
    return (
        f"; but its values are from {numbers.min():g} to {numbers.max():g}: convert them to [0, 1] "
        "first, such as 1 above a threshold"
    )


def _binary(column: Profile) -> bool:
    return not column.missing and set(column.numbers.to_list()) == {0.0, 1.0}


def _is_weight(column: Profile) -> bool:
    return _limits(column, 0, float("inf")) and column.distinct > 1


def _limits(column: Profile, low: float, high: float) -> bool:
    numbers = column.numbers
    if numbers is None or not len(numbers):
        return False
    return numbers.min() >= low and numbers.max() <= high


def _first(names: Sequence[str], columns: Mapping[str, object]) -> str | None:
    """Returns the column with the most likely name, ignoring case."""
    by_name = {name.lower(): name for name in reversed(columns)}
    return next((by_name[name] for name in names if name in by_name), None)

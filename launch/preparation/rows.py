"""The rows of a data set with valid labels, in slices of equal size."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import polars as pl

from launch.datasets.raw import RawData, RowAccount, stream
from launch.datasets.table_types import as_numbers, as_text
from launch.datasets.times import read_times
from launch.preparation.time_order import TimeOrder
from zoo.data.files import DataError
from zoo.data.schema import Schema

# Rows per slice: bounds the memory. It does not depend on the blocks of the files, so that sums of
# floats, and the statistics in the schema, are always the same.
SLICE = 1 << 16
_MOST_TIME = 2.0**62  # records contain int64
_TRUTH = {"true": 1.0, "false": 0.0}
_Item = TypeVar("_Item")
_Result = TypeVar("_Result")
_pool = ThreadPoolExecutor(os.cpu_count())


def sliced_rows(raw: RawData, account: RowAccount) -> Iterator[tuple[str, pl.DataFrame]]:
    """Reads all splits of a data set, in slices of `SLICE` rows (the last of a split: fewer).

    Rows whose label is not a number from 0 to 1, whose weight is not a number >= 0, or whose time
    is kept but cannot be read, are skipped and counted as damaged.

    Args:
        raw: `RawData`, the data set.
        account: `RowAccount` that receives the counts.

    Yields:
        The name of a split and a slice of its rows; label and weight are float32.

    Raises:
        DataError: if a column is missing or has an unsupported type, or the rows are not in the
            order of time although the schema states it.

    Example:
        >>> from launch.datasets.raw import in_memory
        >>> table = pl.DataFrame({"label": ["1", "no"], "user": ["ann", "bob"]})
        >>> raw = RawData(Schema("tiny", [zoo.Categorical("user")]), {"train": in_memory(table)})
        >>> [slice["label"].to_list() for _, slice in sliced_rows(raw, RowAccount())]
        [[1.0]]
    """
    waiting: dict[str, list[pl.DataFrame]] = {}
    order = TimeOrder(raw.schema.time) if raw.schema.time_ordered else None
    for split, frame in stream(raw, account):
        if not frame.height:
            continue
        parts = waiting.setdefault(split, [])
        parts.append(usable_rows(split, frame, raw.schema, account, order))
        while sum(part.height for part in parts) >= SLICE:
            joined = pl.concat(parts, how="vertical_relaxed")
            yield split, joined[:SLICE].rechunk()
            parts[:] = [joined[SLICE:]]
    for split, parts in waiting.items():
        rest = pl.concat(parts, how="vertical_relaxed")
        if rest.height:
            yield split, rest.rechunk()


def usable_rows(
    split: str,
    frame: pl.DataFrame,
    schema: Schema,
    account: RowAccount,
    order: TimeOrder | None = None,
) -> pl.DataFrame:
    """Returns the rows of a table that can be used.

    Args:
        split: string, name of their split.
        frame: polars `DataFrame`, raw rows.
        schema: `Schema`, the columns.
        account: `RowAccount` that receives the counts.
        order: `TimeOrder` that has seen the rows before these. Defaults to `None`: any order.

    Returns:
        Their columns that the schema names; label and weight are float32.

    Raises:
        DataError: as `sliced_rows`.

    Example:
        >>> schema, table = Schema("tiny", [zoo.Categorical("user")]), {"label": [1], "user": ["a"]}
        >>> usable_rows("train", pl.DataFrame(table), schema, RowAccount()).rows()
        [(1.0, 'a')]
    """
    wanted = list(dict.fromkeys(_wanted(schema)))
    # polars builds both at each access: in a loop over the columns this is quadratic.
    there, types = set(frame.columns), dict(frame.schema)
    missing = [name for name in wanted if name not in there]
    if missing:
        raise DataError(
            f"data set {schema.name!r}: the {split} rows lack the columns "
            f"{', '.join(missing)}; they have {', '.join(frame.columns)}"
        )
    _check_types(types, schema)
    if order is not None:
        frame = order.checked(split, frame, account)
    frame = frame.select(wanted)
    bytes_ = [name for name, kind in frame.schema.items() if kind == pl.Binary]
    if bytes_:  # some Parquet writers use this type for text
        frame = as_text(frame, account, bytes_)
    return _sound(frame, schema, account)


def check_type(name: str, kind: pl.DataType, several: bool, text: bool) -> None:
    """Raises unless a column of a type can be read.

    Args:
        name: string, name of the column.
        kind: polars dtype.
        several: boolean, whether the column may hold several values per row.
        text: boolean, whether the values are read as text.

    Raises:
        DataError: names the column, its type and what is allowed.

    Example:
        >>> check_type("tags", pl.List(pl.String), several=True, text=True)
    """
    inner = kind.inner if isinstance(kind, pl.List) else kind
    if inner.is_nested() or inner in (pl.Object, pl.Duration):
        fix = "use text, numbers or lists of them"
    elif inner is not kind and not several:
        fix = "lists need a field with a length of 2 or more"
    elif inner.is_temporal() and not text:
        fix = "use numbers, or a field with a vocabulary"
    else:
        return
    raise DataError(f"column {name!r} has the type {kind}; {fix}")


def prefetched(items: Iterable[_Item], ahead: int = 1) -> Iterator[_Item]:
    """Iterates in a separate thread while the caller works on earlier items.

    Args:
        items: iterable; its errors are raised in the caller.
        ahead: int, maximum number of items that wait. Defaults to 1.

    Yields:
        The items, in order.

    Example:
        >>> list(prefetched(range(3)))
        [0, 1, 2]
    """
    ready: queue.Queue = queue.Queue(ahead)
    stopped = threading.Event()

    def put(entry: tuple[str, object]) -> None:
        while not stopped.is_set():
            try:
                return ready.put(entry, timeout=0.1)
            except queue.Full:
                continue

    def make() -> None:
        try:
            for item in items:
                put(("item", item))
                if stopped.is_set():
                    return
            put(("end", None))
        except BaseException as error:  # of any type, or the caller would wait forever
            put(("error", error))

    thread = threading.Thread(target=make, daemon=True)
    thread.start()
    try:
        while (entry := ready.get())[0] == "item":
            yield entry[1]
        if entry[0] == "error":
            raise entry[1]
    finally:
        stopped.set()
        thread.join()


def in_parallel(function: Callable[[_Item], _Result], items: Iterable[_Item]) -> list[_Result]:
    """Calls a function with several items in parallel, in one thread per core.

    Args:
        function: callable of one item; it should use polars or NumPy, which release the GIL.
        items: iterable of items.

    Returns:
        List of the results, in order.

    Example:
        >>> in_parallel(abs, [-1, 2])
        [1, 2]
    """
    return list(_pool.map(function, items))


def _wanted(schema: Schema) -> list[str]:
    columns = [column.name for column in schema.columns]
    time = schema.time if schema.keep_time else None
    roles = (schema.label, schema.weight, schema.group, time)
    return [*(role for role in roles if role is not None), *columns]


def _check_types(types: Mapping[str, pl.DataType], schema: Schema) -> None:
    several = {field.name for field in schema.categorical if field.length > 1}
    texts = {f.name for f in schema.categorical if f.encoding in ("vocabulary", "hash")}
    for name in _wanted(schema):
        text = name in texts or name == schema.group or name == schema.time
        check_type(name, types[name], name in several, text)


def damaged_labels(frame: pl.DataFrame, schema: Schema) -> dict[int, str]:
    """Returns the rows whose label, weight or time cannot be used.

    Args:
        frame: polars `DataFrame`, raw rows.
        schema: `Schema`, the columns.

    Returns:
        Dict from the position of a row to the reason.

    Example:
        >>> schema = Schema("tiny", [zoo.Categorical("user")])
        >>> damaged_labels(pl.DataFrame({"label": ["1", "no"]}), schema)
        {1: 'label is not a number from 0 to 1'}
    """
    _, damage = _roles(frame, schema)
    return {place: reason for reason, bad in damage.items() for place in bad.arg_true().to_list()}


def _sound(frame: pl.DataFrame, schema: Schema, account: RowAccount) -> pl.DataFrame:
    columns, damage = _roles(frame, schema)
    frame = frame.with_columns(columns)
    good = pl.repeat(True, frame.height, eager=True)
    for reason, bad in damage.items():
        account.damaged[reason] += int(bad.sum())
        good &= ~bad
    return frame if good.all() else frame.filter(good)


def _roles(frame: pl.DataFrame, schema: Schema) -> tuple[list[pl.Series], dict[str, pl.Series]]:
    """Returns label and weight as float32, and which rows are damaged, by reason."""
    label = _number(frame[schema.label]).cast(pl.Float32)
    good = label.is_between(0, 1).fill_null(False)  # NaN is not between
    columns = [label.alias(schema.label)]
    damage = {f"{schema.label} is not a number from 0 to 1": ~good}
    if schema.weight is not None:
        weight = _number(frame[schema.weight]).cast(pl.Float32)
        usable = (weight.is_finite() & (weight >= 0)).fill_null(False)
        columns.append(weight.alias(schema.weight))
        damage[f"{schema.weight} is not a number >= 0"] = ~usable & good
        good &= usable
    if schema.keep_time:
        times = read_times(frame, schema.time)
        damage[f"no time in {schema.time!r}"] = (
            times.is_null() | (times.abs() >= _MOST_TIME)
        ) & good
    return columns, damage


def _number(column: pl.Series) -> pl.Series:
    number = as_numbers(column)
    if column.dtype == pl.String and number.null_count():  # may be true and false
        text = column.str.strip_chars().str.to_lowercase()
        number = number.fill_null(text.replace_strict(_TRUTH, default=None))
    return number

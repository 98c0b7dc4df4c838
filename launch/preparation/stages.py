"""The steps of a preparation that are divided into parts: each a function of the rows of a part.

Count each part, add up the counts, encode each part, write each shard. Nothing here opens a file
but the part's own raw file; results are tables and batches.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from launch.datasets.parts import Part
from launch.datasets.raw import RowAccount
from launch.datasets.time_survey import TimeSurvey
from launch.preparation.counting import PartialCounts, TrainingCounts
from launch.preparation.rows import usable_rows
from launch.preparation.sums import ExactSums
from launch.preparation.time_order import TimeOrder
from zoo.data.files import DataError
from zoo.data.schema import Schema

Bounds = Mapping[str, Sequence[tuple[int, int]]]
_MEMORY = 1 << 28  # bytes of distinct values, after which they are passed on


@dataclass
class PartSummary:
    """The numbers of rows of a part.

    Args:
        rows: dict from split to its number of usable rows. Defaults to `{}`.
        damaged, left_out, examples: as of `launch.datasets.raw.RowAccount`.
        times: dict from split to its oldest and newest time, if rows must be in order.
        sums: dict from numeric column to its `ExactSums`.

    Example:
        >>> PartSummary({"train": 8}).rows
        {'train': 8}
    """

    rows: dict[str, int] = field(default_factory=dict)
    damaged: dict[str, int] = field(default_factory=dict)
    left_out: dict[str, int] = field(default_factory=dict)
    examples: dict[str, str] = field(default_factory=dict)
    times: dict[str, tuple[float, float]] = field(default_factory=dict)
    sums: dict[str, ExactSums] = field(default_factory=dict)


@dataclass(frozen=True)
class PlacedPart:
    """A part whose place in the splits is known.

    Args:
        part: `Part`, with the number of its first row.
        starts: dict from split to the number of the part's first row within the split.
        rows: dict from split to the number of the part's usable rows.

    Example:
        >>> PlacedPart(None, {"train": 8}, {"train": 2}).starts
        {'train': 8}
    """

    part: Part
    starts: Mapping[str, int]
    rows: Mapping[str, int]


def row_count(part: Part) -> int:
    """Returns how many rows a part has, usable or not.

    Args:
        part: `Part`.

    Example:
        >>> from launch.datasets.raw import in_memory
        >>> row_count(Part(in_memory(pl.DataFrame({"x": [5, 6]})), ("train",)))
        2
    """
    return sum(frame.height for frame in part.rows(RowAccount()))


def survey_part(part: Part, column: str) -> tuple[int, TimeSurvey]:
    """Counts the times of a part's rows.

    Args:
        part: `Part`.
        column: string, name of the column of times.

    Returns:
        How many rows the part has, usable or not, and the `TimeSurvey`.

    Raises:
        DataError: if the column is missing or has an unsupported type.

    Example:
        >>> from launch.datasets.raw import in_memory
        >>> part = Part(in_memory(pl.DataFrame({"day": [5, 6, None]})), ("train",))
        >>> rows, survey = survey_part(part, "day")
        >>> rows, survey.rows
        (3, 2)
    """
    survey, rows = TimeSurvey(column), 0
    for frame in part.rows(RowAccount()):
        survey.add(frame)
        rows += frame.height
    return rows, survey


def count_part(part: Part, schema: Schema) -> Iterator[PartialCounts | PartSummary]:
    """Counts the values of a part's training rows.

    Args:
        part: `Part`, with the number of its first row.
        schema: `Schema`, the columns.

    Yields:
        `PartialCounts`, one or more, of which only the tables are used; and a `PartSummary` at the
        end.

    Raises:
        DataError: if the rows cannot be used.

    Example:
        >>> from launch.datasets.raw import in_memory
        >>> from zoo import Categorical
        >>> table = in_memory(pl.DataFrame({"label": [1, 0], "user": ["ann", "ann"]}))
        >>> schema = Schema("tiny", [Categorical("user")])
        >>> counts, summary = count_part(Part(table, ("train",)), schema)
        >>> counts.tables["user"].rows(), summary.rows
        ([('ann', 2)], {'train': 2})
    """
    counts, account = TrainingCounts(schema), RowAccount()
    rows: Counter[str] = Counter()
    sums = {column.name: ExactSums() for column in schema.numeric}
    order = TimeOrder(schema.time) if schema.time_ordered else None

    def taken() -> PartialCounts:
        found = counts.take()
        for name, some in found.sums.items():
            sums[name] = sums[name].plus(some)
        return found

    for split, frame in _usable(part, schema, account, order):
        rows[split] += frame.height
        if split == "train":
            counts.add(frame)
            if counts.memory > _MEMORY:
                yield taken()
    yield taken()
    yield PartSummary(
        dict(rows),
        dict(account.damaged),
        dict(account.left_out),
        account.examples,
        order.ends if order is not None else {},
        sums,
    )


def encode_part(
    placed: PlacedPart,
    schema: Schema,
    encode: Callable[[pl.DataFrame], dict[str, np.ndarray]],
    bounds: Bounds,
) -> Iterator[tuple[str, int, dict[str, np.ndarray]]]:
    """Encodes the rows of a part, and divides them among the shards.

    Args:
        placed: `PlacedPart`.
        schema: `Schema`, the columns with sizes and statistics.
        encode: `RowEncoder.encode`, or a function like it.
        bounds: dict from split to the bounds of its shards, see `zoo.data.shard_writer`.

    Yields:
        A split, the number of a shard, and encoded rows, in order within the shard.

    Raises:
        DataError: if the rows cannot be used, or are not as many as before.

    Example:
        >>> from launch.datasets.raw import in_memory
        >>> from launch.preparation.encoding import RowEncoder
        >>> from zoo import Numeric
        >>> table = in_memory(pl.DataFrame({"label": [1, 0], "price": [2.0, 3.0]}))
        >>> schema = Schema("tiny", [], [Numeric("price")])
        >>> placed = PlacedPart(Part(table, ("train",)), {}, {"train": 2})
        >>> bounds = {"train": [(0, 1), (1, 2)]}
        >>> found = encode_part(placed, schema, RowEncoder(schema, {}).encode, bounds)
        >>> [(split, shard, rows["numeric"].tolist()) for split, shard, rows in found]
        [('train', 0, [[2.0]]), ('train', 1, [[3.0]])]
    """
    rows: Counter[str] = Counter()
    for split, frame in _usable(placed.part, schema, RowAccount(), None):
        batch, start = encode(frame), placed.starts.get(split, 0) + rows[split]
        stop = start + frame.height
        for shard, (first, end) in enumerate(bounds.get(split, ())):
            low, high = max(start, first), min(stop, end)
            if low < high:
                some = {name: values[low - start : high - start] for name, values in batch.items()}
                yield split, shard, some
        rows[split] += frame.height
    if rows != Counter(placed.rows):
        raise DataError(
            f"{placed.part.file or 'a part of the data'} has {dict(rows)} usable rows by split, "
            f"and had {dict(placed.rows)} in the first pass, so the files have changed; run the "
            "command again"
        )


def _usable(
    part: Part, schema: Schema, account: RowAccount, order: TimeOrder | None
) -> Iterator[tuple[str, pl.DataFrame]]:
    for split, frame in part.stream(account):
        if frame.height:
            frame = usable_rows(split, frame, schema, account, order)
            if frame.height:
                yield split, frame

"""Counts and encoded rows of parts, put together, are those of the whole."""

import itertools

import numpy as np
import polars as pl
import pytest
import small_tables
from hypothesis import given
from hypothesis import strategies as st
from properties import examples

from launch.datasets.parts import Part
from launch.datasets.raw import in_memory
from launch.preparation import stages
from launch.preparation.counting import TrainingCounts, merged
from launch.preparation.encoding import RowEncoder
from launch.preparation.stages import PartSummary, PlacedPart, count_part, encode_part
from launch.preparation.sums import ExactSums
from zoo import Numeric, Schema
from zoo.data.shard_writer import shard_bounds

ROWS = 400
TABLE = small_tables.table(ROWS)
CUTS = st.lists(st.integers(0, ROWS), max_size=4).map(lambda cuts: [0, *sorted(cuts), ROWS])


def parts(cuts: list[int]) -> list[Part]:
    return [
        Part(in_memory(TABLE[start:stop]), ("train",)) for start, stop in itertools.pairwise(cuts)
    ]


@given(CUTS, st.randoms())
@examples(15)
def test_counts_of_parts_add_up_in_any_order(cuts, random):
    whole = TrainingCounts(small_tables.SCHEMA)
    whole.add(TABLE)
    expected = whole.take()
    tables, sums, rows = {}, {name: ExactSums() for name in expected.sums}, 0
    given_parts = parts(cuts)
    random.shuffle(given_parts)
    for part in given_parts:
        for found in count_part(part, small_tables.SCHEMA):
            if isinstance(found, PartSummary):
                rows += found.rows.get("train", 0)
                sums = {name: sums[name].plus(some) for name, some in found.sums.items()}
                continue
            for name, table in found.tables.items():
                tables.setdefault(name, []).append([table])
    assert rows == ROWS and sums == expected.sums
    for name, table in expected.tables.items():
        assert pl.concat(merged(tables[name], table.columns[0])).equals(table)


@given(CUTS, st.integers(1, 5))
@examples(15)
def test_encoded_parts_are_the_encoded_rows_of_each_shard(cuts, shards):
    counts, values = TrainingCounts(small_tables.SCHEMA), {}
    counts.add(TABLE)
    schema = counts.finish(lambda name, t: values.update({name: pl.concat(list(t))["value"]}))
    looked_up = {name: values[name] for name in ("user", "item", "history", "visits")}
    usable = TABLE.with_columns(pl.col("clicked", "importance").cast(pl.Float32))
    expected = RowEncoder(schema, looked_up).encode(usable)
    bounds, start = {"train": shard_bounds(ROWS, shards)}, 0
    found = {number: [] for number in range(shards)}
    for part, stop in zip(parts(cuts), cuts[1:], strict=True):
        encode = RowEncoder(schema, looked_up).encode
        placed = PlacedPart(part, {"train": start}, {"train": stop - start})
        for split, shard, rows in encode_part(placed, schema, encode, bounds):
            assert split == "train"
            found[shard].append(rows)
        start = stop
    for number, (first, last) in enumerate(bounds["train"]):
        for name, column in expected.items():
            both = np.concatenate([rows[name] for rows in found[number]])
            np.testing.assert_array_equal(both, column[first:last])


def test_values_that_fill_the_memory_are_passed_on_early(monkeypatch):
    (whole, _) = count_part(Part(in_memory(TABLE), ("train",)), small_tables.SCHEMA)
    monkeypatch.setattr(stages, "_MEMORY", 1)
    frames = [TABLE[:100], TABLE[100:]]
    several = Part(lambda account: iter(frames), ("train",))
    found = list(count_part(several, small_tables.SCHEMA))
    assert len(found) == 4  # tables after each frame, at the end, and the summary
    tables = [[counts.tables["user"]] for counts in found[:-1]]
    assert pl.concat(merged(tables, "value")).equals(whole.tables["user"])
    assert found[-1].rows == {"train": ROWS}


@pytest.mark.parametrize("rows", [ROWS - 1, ROWS + 1])
def test_a_part_with_other_rows_than_before_is_an_error(rows):
    schema = Schema("s", [], [Numeric("price")], label="clicked")
    (part,) = parts([0, ROWS])
    placed = PlacedPart(part, {}, {"train": rows})
    bounds = {"train": [(0, rows)]}
    with pytest.raises(ValueError, match="the files have changed; run the command again"):
        list(encode_part(placed, schema, RowEncoder(schema, {}).encode, bounds))

"""Sorted runs: their merge is the sorted whole, however the rows are divided."""

import itertools

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from properties import examples

from launch.preparation import runs
from launch.preparation.lookup import lookup_of
from launch.preparation.runs import RunFiles, merge_sorted, summed

COUNTS = st.dictionaries(st.text("abé<", max_size=3), st.integers(1, 3), max_size=30)


@pytest.fixture(scope="module", autouse=True)
def small_chunks():
    """Runs are read in chunks of three rows."""
    patch = pytest.MonkeyPatch()
    patch.setattr(runs, "CHUNK", 3)
    yield
    patch.undo()


def table(counts: dict[str, int]) -> pl.DataFrame:
    kinds = {"value": pl.String, "count": pl.Int64}
    return pl.DataFrame({"value": list(counts), "count": list(counts.values())}, kinds)


@given(st.lists(COUNTS, min_size=1, max_size=5))
@examples(40)
def test_counts_of_runs_are_added_up(tmp_path_factory, parts):
    files = RunFiles(str(tmp_path_factory.mktemp("runs")))
    found = [files.add(table(part).sort("value")) for part in parts]
    both = pl.concat(
        [table({}), *summed(merge_sorted(found, ["value"], [False]), "value", "count")]
    )
    whole = pl.concat(map(table, parts)).group_by("value").agg(pl.col("count").sum())
    assert both.equals(whole.sort("value"))


@given(COUNTS, st.lists(st.integers(0, 30), max_size=3))
@examples(40)
def test_runs_are_merged_by_falling_count_and_value(tmp_path_factory, counts, cuts):
    files, order = (
        RunFiles(str(tmp_path_factory.mktemp("runs"))),
        (["count", "value"], [True, False]),
    )
    whole = table(counts)
    edges = [0, *sorted(cuts), whole.height]
    parts = [whole[a:b].sort(order[0], descending=order[1]) for a, b in itertools.pairwise(edges)]
    merged = pl.concat([table({}), *merge_sorted([files.add(part) for part in parts], *order)])
    assert merged.equals(whole.sort(order[0], descending=order[1]))


@pytest.mark.parametrize("memory", [1, 10**6])
def test_a_vocabulary_on_disk_gives_the_ids_of_one_in_memory(tmp_path, memory):
    random = np.random.default_rng(0)
    values = ["<oov>", "", *random.permutation(200).astype(str).tolist()]
    parts = [values[start : start + 30] for start in range(0, len(values), 30)]
    lookup = lookup_of(parts, RunFiles(str(tmp_path)), memory, table_rows=17)
    texts = [*values, "200", "é", "\U0001f600", "1 ", "00"]
    expected = [values.index(text) if text in values else 0 for text in texts]
    assert lookup.ids(pl.Series(texts)).tolist() == expected
    assert lookup_of([["<oov>"]], RunFiles(str(tmp_path)), memory).ids(pl.Series(["a"])) == [0]

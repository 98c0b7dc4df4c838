"""The times that divide a stream are the same if they do not fit into memory."""

import numpy as np
import polars as pl
from hypothesis import given
from hypothesis import strategies as st
from properties import examples

from launch.datasets.time_survey import last_times


@given(st.lists(st.integers(0, 30), min_size=40, max_size=80), st.integers(1, 9))
@examples(30)
def test_times_on_disk_give_the_same_ends(times, size):
    times = [*times, 97, 98, 99]
    frames = [pl.DataFrame({"t": times[i : i + size]}) for i in range(0, len(times), size)]
    ends, names = [0.3, 0.6, 0.9], ["a", "b", "c", "d"]
    found = [
        last_times(lambda account: iter(frames), "t", ends, names, memory)
        for memory in (1, 1 << 20)
    ]
    np.testing.assert_array_equal(found[0], found[1])
    ranks = np.sort(times)[[round(end * len(times)) - 1 for end in ends]]
    distinct = np.unique(times)
    if len(set(ranks)) == 3 and ranks[-1] < distinct[-1]:
        np.testing.assert_array_equal(found[0], ranks)
    assert (np.diff(found[0]) > 0).all() and found[0][-1] < distinct[-1]

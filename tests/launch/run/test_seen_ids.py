"""How often the rarest id of a row was trained before."""

import numpy as np

import zoo
from launch.run.seen_ids import EDGES, SeenIds


def test_counts_are_those_of_embedding_rows():
    fields = [
        zoo.Categorical("item", 5),
        zoo.Categorical("past", 5, length=2, shares="item"),
        zoo.Categorical("user", 3),
    ]
    seen = SeenIds(zoo.Schema("s", fields))
    row = np.array([[2, 3, -1, 1]])
    assert seen.buckets(row).tolist() == [0]
    seen.add(row)
    # Item 3 was in the history, item 2 the item itself; padding does not count.
    assert seen.buckets(np.array([[3, 2, -1, 1], [2, 4, -1, 1], [2, -1, -1, 1]])).tolist() == [
        1,
        0,
        1,
    ]
    for _ in range(9):
        seen.add(row)
    assert seen.buckets(row).tolist() == [EDGES.index(10)]
    seen.add(np.array([[2, 2, 2, 1]]))
    assert seen.buckets(np.array([[2, -1, -1, 1]])).tolist() == [EDGES.index(10)]

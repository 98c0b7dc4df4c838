"""Generated click data: determined by the seed, with a long tail and a signal."""

import polars as pl
import pytest

from launch import datasets
from launch.datasets.raw import Options


def test_the_seed_decides_all(load):
    first, again, other = (load("synthetic", None, rows=400, seed=seed) for seed in (3, 3, 4))
    for split in ("train", "valid", "test"):
        assert first[split].equals(again[split])
        assert not first[split].equals(other[split])
    assert first.heights() == [400, 50, 50]
    assert len(first.raw.schema.categorical) == 16 and first.raw.schema.group == "user"
    with pytest.raises(ValueError, match="--rows=3"):
        datasets.get("synthetic")(Options(rows=3))


def test_a_long_tail_and_a_signal(load):
    train = load("synthetic", None, rows=50_000)["train"]
    counts = train["user_campaign"].value_counts()["count"]
    assert (counts <= 2).mean() > 0.8
    by_item = train.group_by("item").agg(pl.len(), pl.col("label").mean())
    frequent = by_item.filter(pl.col("len") >= 100)["label"]
    assert frequent.std() > 0.08  # with no signal it would be about 0.03

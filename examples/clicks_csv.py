"""Writes a CSV file of generated clicks: raw values, a time and a label, as a log has them.

`python examples/clicks_csv.py clicks.csv --rows=60000`
"""

import argparse

import polars as pl

from launch.datasets import synthetic
from launch.datasets.raw import Options, RowAccount


def clicks(rows: int, seed: int) -> pl.DataFrame:
    """Returns rows with names of users, items and so on, a price, a time and the label."""
    raw = synthetic.load(Options(rows=rows, seed=seed))
    parts = [part for read in raw.splits.values() for part in read(RowAccount())]
    table = pl.concat(parts).head(rows)
    hour = pl.int_range(pl.len()) // max(1, rows // 168)  # a week
    return table.select(
        hour.alias("hour_of_week"),
        pl.format("user{}", "user").alias("user_id"),
        pl.format("item{}", "item").alias("item_id"),
        *(pl.col(name).cast(pl.String) for name in ("campaign", "category", "city", "age")),
        pl.format("pos{}", "position").alias("position"),
        (pl.col("item").hash(seed) % 5000 / 100).alias("price"),
        pl.col("label").cast(pl.Int8).alias("clicked"),
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path")
    parser.add_argument("--rows", type=int, default=60_000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    clicks(arguments.rows, arguments.seed).write_csv(arguments.path)
    print(f"written to {arguments.path}")

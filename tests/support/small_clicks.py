"""A prepared data folder of a few hundred rows, on which a run takes a fraction of a second."""

from __future__ import annotations

import numpy as np
import polars as pl

import zoo
from launch.datasets.raw import RawData, in_memory
from launch.prepare import prepare

SMALL = {"embedding_dim": 4, "hidden_units": (8,)}


def prepare_clicks(
    folder, test: bool = True, seed: int = 0, valid: bool = True, train_rows: int = 400
) -> str:
    """Writes rows of two fields whose users differ in how often they click; returns the folder."""
    random = np.random.default_rng(seed)

    def table(rows: int) -> pl.DataFrame:
        user, item = random.integers(0, 30, rows), random.integers(0, 12, rows)
        chance = 1 / (1 + np.exp(-((user % 5) - 2 + (item % 3) - 1)))
        clicks = (random.random(rows) < chance).astype(np.float32)
        return pl.DataFrame(
            {"label": clicks, "user": [f"u{u}" for u in user], "item": [f"i{i}" for i in item]}
        )

    splits = {"train": table(train_rows), "valid": table(200), "test": table(200)}
    for name, wanted in (("valid", valid), ("test", test)):
        if not wanted:
            del splits[name]
    schema = zoo.Schema("clicks", [zoo.Categorical("user"), zoo.Categorical("item")])
    prepare(RawData(schema, {name: in_memory(rows) for name, rows in splits.items()}), str(folder))
    return str(folder)

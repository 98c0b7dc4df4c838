"""Prepared folders of days with users that come and go."""

from __future__ import annotations

import numpy as np
import polars as pl

import zoo
from launch.datasets.raw import RawData, in_memory
from launch.prepare import prepare

FIELDS = (
    zoo.Categorical("user"),
    zoo.Categorical("item"),
    zoo.Categorical("place", encoding="hash", size=12),
)
SCHEMA = zoo.Schema("days", FIELDS, [zoo.Numeric("price")])
RUN = {
    "model": "deepfm",
    "model_args": {"embedding_dim": 4, "hidden_units": (8,)},
    "batch_size": 32,
    "optimizer": "adamar",
    "optimizer_args": {"alpha": 1e-3},
    "learning_rate": 0.02,
    "progress": False,
}


def rows_of_day(users, seed, rows, flip=False) -> pl.DataFrame:
    """Rows whose users are in a range; the label follows the user, or its opposite (`flip`)."""
    rng = np.random.default_rng(seed)
    user, item = rng.integers(*users, rows), rng.integers(0, 9, rows)
    sign = -1 if flip else 1
    label = rng.random(rows) < 1 / (1 + np.exp(sign * (2 - user % 5)))
    found = {"label": label.astype(np.float32), "user": [f"u{u}" for u in user]}
    found |= {"item": [f"i{i}" for i in item], "place": [f"p{u % 7}" for u in user]}
    return pl.DataFrame({**found, "price": rng.normal(size=rows).astype(np.float32)})


def write_day(folder, users, seed, schema=SCHEMA, valid=True, flip=False, extend=None) -> str:
    """Writes the prepared folder of a day."""
    splits = {"train": in_memory(rows_of_day(users, seed, 320, flip))}
    if valid:
        splits["valid"] = in_memory(rows_of_day(users, seed + 1000, 80, flip))
    prepare(RawData(schema, splits), str(folder), extend=extend)
    return str(folder)

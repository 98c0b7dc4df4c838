"""Raw tables of every kind of column, with damaged rows, for tests that compare prepared bytes."""

from pathlib import Path

import numpy as np
import polars as pl

from launch.datasets import own_table
from launch.datasets.raw import Options
from launch.prepare import prepare
from zoo import Categorical, Numeric, Schema

SCHEMA = Schema(
    "every",
    [
        Categorical("user", min_count=3, missing="bucket"),
        Categorical("item"),
        Categorical("history", length=3, separator=" ", shares="item"),
        Categorical("visits", encoding="log_square", min_count=2),
        Categorical("ip", 97, encoding="hash"),
        Categorical("age", 6, encoding="buckets"),
        Categorical("hour", encoding="buckets", boundaries=(6, 12, 18)),
    ],
    [Numeric("price"), Numeric("spent", transform="log"), Numeric("rate", transform="none")],
    label="clicked",
    weight="importance",
    group="user",
    time="time",
)


# Settings of preparations, by name.
CASES = {
    "random": {"shards": 3},
    "time": {"shards": 2, "layout": "packed", "compression": "GZIP"},
    "columns": {"shards": 2, "layout": "columns"},
    "compressed": {"compression": "GZIP"},
}


def table(rows: int, seed: int = 0) -> pl.DataFrame:
    """Returns a table of texts with missing values, rare values, and values that are no numbers."""
    random = np.random.default_rng(seed)

    def some(values: np.ndarray, missing: float) -> pl.Series:
        texts = pl.Series(values).cast(pl.String)
        return texts.set(pl.Series(random.random(rows) < missing), "")

    history = [" ".join(map(str, random.integers(0, 40, n))) for n in random.integers(0, 5, rows)]
    return pl.DataFrame(
        {
            "clicked": random.integers(0, 2, rows).astype(str),
            "importance": random.choice(["0.5", "1", "2.25"], rows),
            "time": random.permutation(rows).astype(str),
            "user": some(np.floor(random.lognormal(2, 2, rows)).astype(int), 0.05),
            "item": some(random.integers(0, 60, rows), 0.01),
            "history": history,
            "visits": some(np.floor(random.lognormal(3, 2, rows)).astype(int) - 2, 0.1),
            "ip": some(random.integers(0, 2**31, rows), 0.02),
            "age": some(random.integers(10, 90, rows), 0.05),
            "hour": random.integers(0, 24, rows).astype(str),
            "price": some(np.round(random.lognormal(1, 1, rows), 2), 0.05),
            "spent": some(np.round(random.normal(0, 99, rows), 3), 0.05),
            "rate": random.choice(["0.1", "0.25", "nan", "x"], rows),
        }
    )


def write(folder: Path, rows: int = 1500) -> Path:
    """Writes three files of one table, with damaged rows; returns their folder."""
    folder.mkdir()
    parts = [table(rows, seed).write_csv(include_header=False).splitlines() for seed in (0, 1, 2)]
    parts[0][10] = parts[0][10].replace(",", ";", 1)  # a column too few
    parts[1][20] = "maybe" + parts[1][20][1:]  # no label
    parts[2][30] = parts[2][30] + ",more"
    header = ",".join(table(1).columns)
    for number, lines in enumerate(parts):
        text = "\n".join([header, *lines, ""]).encode()
        if number == 1:
            text = text.replace(b",0.25\n", b",\xff\n", 1)  # invalid UTF-8
        (folder / f"part-{number}.csv").write_bytes(text)
    return folder


def prepared(case: str, folder: Path, **options) -> Path:
    """Prepares the tables as in a case of `CASES`; returns the prepared folder."""
    folder.mkdir(exist_ok=True)
    source = write(folder / "raw")
    schema = SCHEMA.save(folder / "described")
    split_by = "time" if case == "time" else "random"
    survey = options.get("engine") is None  # otherwise Beam finds the times
    raw = own_table.load(schema, Options(source=str(source)), None, split_by, survey=survey)
    prepare(raw, folder / "out", max_lost=0.01, **CASES[case], **options)
    return folder / "out"

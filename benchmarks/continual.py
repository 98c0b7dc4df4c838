"""Compares ways to give ids to new values in a stream of days, scored before they are trained.

    python benchmarks/continual.py --dataset=mind5k --source=raw/mind5k \
        --without=weekday --out=out/continual/mind5k --seeds=3 \
        --results=docs/results/living_tables/mind5k
    python benchmarks/continual.py --dataset=assist2017_crossed --source=raw/assist2017 \
        --out=out/continual/assist2017_crossed --seeds=3 \
        --results=docs/results/living_tables/assist2017_crossed

The ways:

- `first day`: the vocabulary of the first day; all later values have id 0.
- `extended`: each day extends the vocabulary of the day before (`launch.prepare --extend`).
- `hashed`: every field is hashed to as many ids as `extended` has on the last day; `half hashed`:
  to half as many, the memory of the dynamic tables.
- `all days`: the vocabulary of all days from the start, which is not possible in production.
- `dynamic POLICY`, for each policy of `--evictions`: the data of `extended`, in tables of
  `tf_helen.layers.DynamicEmbedding` that have room for half of the ids of the last day.

All use `launch.days`: a day is scored by the model of the day before, then trained once. The rows
and their order are the same, so scores can be compared by row; buckets of rows by how often their
rarest id was seen are those of `extended` for all ways. On six days, every weekday is new, so that
field is left out. Buckets of fewer than 1000 rows are not shown. Writes `results.json`, `table.txt`
and `auc.png`, and can be interrupted and repeated.
"""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import numpy as np
import polars as pl
from absl import app, flags
from matplotlib import pyplot as plt
from matplotlib.ticker import MaxNLocator

import zoo
from launch import datasets
from launch.continual.results import by_bucket, pooled
from launch.continual.settings import Days
from launch.continual.training import train_days
from launch.datasets.raw import Options, RawData, RowAccount, in_memory
from launch.figures import legend_below, marker_of, save_figure
from launch.preparation.rows import sliced_rows
from launch.prepare import prepare
from launch.run.arguments import parse_arguments
from launch.run.results import aligned, short
from zoo.data.files import write_json, write_text
from zoo.layers.dynamic_tables import divided

_DATASET = flags.DEFINE_string("dataset", "mind5k", "Data set in the order of time.")
_SOURCE = flags.DEFINE_string("source", None, "Its raw files.", required=True)
_OUT = flags.DEFINE_string("out", None, "Folder of days and runs.", required=True)
_RESULTS = flags.DEFINE_string("results", None, "Folder of the tables.", required=True)
_DAYS = flags.DEFINE_integer("days", 8, "Number of days, if the times are not seconds.")
_SEEDS = flags.DEFINE_integer("seeds", 3, "Seeds per way.")
_EVICTIONS = flags.DEFINE_list(
    "evictions", ["age", "count", "l2", "score"], "Eviction policies of dynamic tables."
)
_WITHOUT = flags.DEFINE_list("without", [], "Fields that are left out.")
_ROWS = flags.DEFINE_integer("rows", None, "First rows only, for a trial.")
_MODEL_ARGS = flags.DEFINE_string(
    "model_args", "embedding_dim=16,hidden_units=(200,200)", "Arguments of the DNN."
)
_OPTIMIZER = flags.DEFINE_string("optimizer", "adagrad", "Optimizer.")
_RATE = flags.DEFINE_float("learning_rate", 0.03, "Learning rate.")
_BATCH = flags.DEFINE_integer("batch_size", 512, "Rows per step.")

WAYS = ("first day", "hashed", "half hashed", "extended", "all days")
_NEVER = 2**31 - 1  # a minimum count that no value reaches: no new ids
_DAY = 86400  # seconds
_LEAST_ROWS = 1000  # of a bucket that is shown
_DECAY = 0.999  # of the count of an id per step of its absence, for eviction=score


def days_of(raw: RawData) -> list[pl.DataFrame]:
    """Returns the rows of each day, in the order of time."""
    parts = [part for _, part in sliced_rows(with_time(raw), RowAccount())]
    rows = pl.concat(parts, how="vertical_relaxed")
    if _ROWS.value:
        rows = rows.head(_ROWS.value)
    time = rows[raw.schema.time].cast(pl.Float64)
    if time.max() > 1e9:
        day = (time // _DAY).rank("dense")
    else:
        edges = [time.len() * i // _DAYS.value for i in range(1, _DAYS.value)]
        day = pl.Series(np.searchsorted(edges, np.arange(time.len()), side="right") + 1)
    return [part for _, part in rows.with_columns(day=day).group_by("day", maintain_order=True)]


def with_time(raw: RawData) -> RawData:
    """Returns the data set with the times of its rows among their columns."""
    return dataclasses.replace(raw, schema=dataclasses.replace(raw.schema, keep_time=True))


def prepare_days(raw: RawData, days: list[pl.DataFrame]) -> dict[str, list[str]]:
    """Writes a folder per way and day; returns the folders."""
    found: dict[str, list[str]] = {way: [] for way in WAYS}
    plain = dataclasses.replace(raw.schema, time_ordered=False, keep_time=False)
    never = with_fields(plain, min_count=_NEVER)
    everything = written("vocabulary", 1, plain, pl.concat(days))
    for number, rows in enumerate(days, start=1):
        before = found["extended"][-1] if number > 1 else None
        found["extended"].append(written("extended", number, plain, rows, before))
        fixed = found["extended"][0]
        schema = plain if number == 1 else never
        found["first day"].append(
            written("first day", number, schema, rows, None if number == 1 else fixed)
        )
        found["all days"].append(written("all days", number, never, rows, everything))
    sizes = zoo.Schema.load(found["extended"][-1]).field_sizes
    for way, share in (("hashed", 1.0), ("half hashed", 0.5)):
        hashed = dataclasses.replace(
            plain,
            categorical=tuple(
                dataclasses.replace(
                    f, encoding="hash", min_count=1, size=max(2, int(share * sizes[f.name]))
                )
                for f in plain.categorical
            ),
        )
        for number, rows in enumerate(days, start=1):
            before = found[way][-1] if number > 1 else None
            found[way].append(written(way, number, hashed, rows, before))
    return found


def with_fields(schema: zoo.Schema, **changes) -> zoo.Schema:
    fields = tuple(dataclasses.replace(field, **changes) for field in schema.categorical)
    return dataclasses.replace(schema, categorical=fields)


def written(way: str, number: int, schema: zoo.Schema, rows: pl.DataFrame, before=None) -> str:
    """Prepares a day, unless it is there."""
    folder = os.path.join(_OUT.value, "data", way.replace(" ", "_"), str(number))
    if not os.path.exists(os.path.join(folder, "report.json")):
        prepare(RawData(schema, {"train": in_memory(rows)}), folder, extend=before)
    return folder


def train_ways(folders: dict[str, list[str]]) -> dict[str, list[list[dict]]]:
    """Trains every way with every seed; returns the predictions by way, seed and day."""
    found: dict[str, list[list[dict]]] = {}
    arguments = parse_arguments(_MODEL_ARGS.value)
    sizes = owned(folders["extended"][-1])
    # By field: shares of one number for all fields would change from day to day.
    half = divided(sum(sizes.values()) // 2, sizes)
    ways = {way: (data, arguments) for way, data in folders.items()}
    for policy in _EVICTIONS.value:
        eviction = {"policy": policy, "decay": _DECAY} if policy == "score" else policy
        dynamic = {"capacity": half, "eviction": eviction}
        ways[f"dynamic {policy}"] = folders["extended"], {**arguments, "dynamic": dynamic}
    for way, (data, model_args) in ways.items():
        for seed in range(_SEEDS.value):
            out = os.path.join(_OUT.value, "runs", way.replace(" ", "_"), str(seed))
            run = {
                "model": "dnn",
                "model_args": model_args,
                "optimizer": _OPTIMIZER.value,
                "learning_rate": _RATE.value,
                "batch_size": _BATCH.value,
                "epochs": 1,
                "seed": seed,
                "progress": False,
            }
            settings = Days(data, out, run, "none", max_auc_drop=1.0, keep=1, resume=True)
            result = train_days(settings)
            print(f"{way}, seed {seed}: AUC {result.scores['auc']:.5f}", flush=True)
            days = range(2, len(data) + 1)
            parts = [dict(np.load(f"{out}/scores/{day}.npz")) for day in days]
            found.setdefault(way, []).append(parts)
    return found


def summarize(folders: dict[str, list[str]], predictions: dict) -> dict:
    """Returns the scores of each way and seed: pooled, by day, and by bucket."""
    buckets = [part["bucket"] for part in predictions["extended"][0]]
    summary = {}
    for way, seeds in predictions.items():
        entries = []
        for parts in seeds:
            own = [{**p, "bucket": b} for p, b in zip(parts, buckets, strict=True)]
            entries.append(
                {
                    "all": pooled(own),
                    "days": [pooled([part]) for part in own],
                    "buckets": by_bucket(own),
                }
            )
        rows = [sum(owned(folder).values()) for folder in folders.get(way, folders["extended"])]
        if way not in folders:
            rows = [min(size, rows[-1] // 2) for size in rows]
        summary[way] = {"ids": rows, "seeds": entries}
    return summary


def owned(folder: str) -> dict[str, int]:
    """Returns the number of ids of each field that has rows of its own."""
    schema = zoo.Schema.load(folder)
    return {f.name: f.size for f in schema.categorical if f.shares is None}


def tables(summary: dict) -> str:
    """Returns the results as Markdown."""
    first = next(iter(summary.values()))["seeds"][0]
    days, buckets = len(first["days"]), shown_buckets(first)
    head = ["ids", "AUC", "LogLoss", *(f"day {n + 2}" for n in range(days))]
    lines = [["", *head]]
    by_rarity = [["rarest id seen", *buckets]]
    by_rarity.append(["rows", *(f"{first['buckets'][b]['rows']:,}" for b in buckets)])
    for way, found in summary.items():
        seeds = found["seeds"]
        lines.append(
            [
                way,
                f"{found['ids'][-1]:,}",
                cell([seed["all"]["auc"] for seed in seeds]),
                cell([seed["all"]["logloss"] for seed in seeds]),
                *(cell([s["days"][n]["auc"] for s in seeds], False) for n in range(days)),
            ]
        )
        by_rarity.append([way, *(cell([s["buckets"][b]["auc"] for s in seeds]) for b in buckets)])
    return f"{aligned(lines)}\n\nAUC by the rarest id of a row:\n\n{aligned(by_rarity)}\n"


def shown_buckets(scores: dict) -> list[str]:
    """Returns the names of the buckets that have enough rows for an AUC."""
    return [name for name, each in scores["buckets"].items() if each["rows"] >= _LEAST_ROWS]


def cell(values: list[float], deviation: bool = True) -> str:
    """Returns the mean, and the standard deviation over seeds."""
    text = short(float(np.mean(values)), 4)
    if deviation and len(values) > 1:
        text += f" ± {short(float(np.std(values, ddof=1)), 4)}"
    return text


def plot(summary: dict, path: str) -> None:
    """Draws AUC by day, and by the rarest id of a row."""
    names = shown_buckets(next(iter(summary.values()))["seeds"][0])
    panels = 2 if len(names) > 1 else 1
    figure, axes = plt.subplots(
        1, panels, figsize=(6 * panels, 4.8), layout="constrained", squeeze=False
    )
    axes = axes[0]
    for place, (way, found) in enumerate(summary.items()):
        by_day = np.array([[d["auc"] for d in seed["days"]] for seed in found["seeds"]])
        rarity = np.array([[s["buckets"][b]["auc"] for b in names] for s in found["seeds"]])
        for axis, values, x in (
            (axes[0], by_day, np.arange(by_day.shape[1]) + 2),
            (axes[-1], rarity, np.arange(len(names))),
        )[:panels]:
            spread = values.std(axis=0, ddof=1) if len(values) > 1 else None
            axis.errorbar(
                x, values.mean(axis=0), spread, marker=marker_of(place), capsize=2, label=way
            )
    axes[0].set_xlabel("day")
    axes[0].xaxis.set_major_locator(MaxNLocator(integer=True))
    if panels > 1:
        axes[1].set_xticks(range(len(names)), names)
        axes[1].set_xlabel("occurrences of the rarest id of a row on earlier days")
    for axis in axes:
        axis.set_ylabel("AUC before training")
        axis.grid(alpha=0.3)
    legend_below(figure, axes[0])
    figure.suptitle(f"{_DATASET.value}: each day is scored before it is trained")
    save_figure(figure, path)


def main(argv: list[str]) -> None:
    del argv
    raw = datasets.get(_DATASET.value)(Options(source=_SOURCE.value))
    fields = tuple(f for f in raw.schema.categorical if f.name not in _WITHOUT.value)
    raw = dataclasses.replace(raw, schema=dataclasses.replace(raw.schema, categorical=fields))
    days = days_of(raw)
    print("rows per day:", ", ".join(f"{day.height:,}" for day in days))
    folders = prepare_days(raw, days)
    summary = summarize(folders, train_ways(folders))
    os.makedirs(_RESULTS.value, exist_ok=True)
    write_json(f"{_RESULTS.value}/results.json", json.loads(json.dumps(summary)))
    text = tables(summary)
    write_text(f"{_RESULTS.value}/table.txt", text)
    plot(summary, f"{_RESULTS.value}/auc.png")
    print(text)


if __name__ == "__main__":
    app.run(main)

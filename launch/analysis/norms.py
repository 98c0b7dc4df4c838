"""Norms of embedding rows and test AUC by frequency, and the bound that the norms control."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

import zoo
from launch.analysis.runs import TrainedRun, scored_split, wide_tables
from launch.run.evaluation import Predictor
from launch.run.history import best_of
from launch.run.results import aligned
from tf_helen.analysis import (
    Buckets,
    auc_by_bucket,
    field_rows,
    frequency_buckets,
    rademacher_bound,
    row_norms,
    sample_counts,
    table_counts,
)
from zoo.data.manifest import load_manifest
from zoo.data.progress import ProgressBar


@dataclasses.dataclass(frozen=True)
class RunNorms:
    """What is measured on the best model of a run.

    Attributes:
        labels: list of strings, the counts of each bucket.
        rows: int64 `[buckets]`, rows of the tables.
        mean: float64 `[buckets]`, mean norm of a row.
        sum: float64 `[buckets]`, sum of the norms.
        samples: int64 `[buckets]`, samples of the scored split.
        auc: float64 `[buckets]`, AUC of these samples; NaN without both classes.
        bound: float, the Rademacher bound.
        epoch: int, number of the best epoch; `None` without a history.
        epochs: list of dicts with "epoch", "sum" and "mean" (dicts by bucket) and "bound", as the
            callback `embedding_norms` measured them; empty without it, or for a single field.
    """

    labels: list[str]
    rows: np.ndarray
    mean: np.ndarray
    sum: np.ndarray
    samples: np.ndarray
    auc: np.ndarray
    bound: float
    epoch: int | None
    epochs: list[dict[str, Any]]

    def as_json(self) -> dict[str, Any]:
        """Returns the measurements as JSON holds them."""
        content = dataclasses.asdict(self)
        content["auc"] = [None if np.isnan(value) else float(value) for value in self.auc]
        for name in ("rows", "mean", "sum", "samples"):
            content[name] = content[name].tolist()
        return content


def measure_norms(
    run: TrainedRun,
    counts: Mapping[str, np.ndarray],
    *,
    edges: Sequence[int] | None = None,
    quantiles: int | None = None,
    field: str | None = None,
) -> RunNorms:
    """Measures norms and test AUC by frequency, and the bound.

    Args:
        run: `TrainedRun`.
        counts: dict from field name to the occurrences of its ids in the training split.
        edges, quantiles: the buckets, see `tf_helen.analysis.frequency_buckets`.
        field: string; only rows of this field, and samples are grouped by their id of it. Defaults
            to `None`: all rows, and samples are grouped by their rarest id.

    Returns:
        `RunNorms`.
    """
    tables = wide_tables(run.model)
    known, norms = [], []
    for layer in tables.values():
        if field is not None and field not in layer.fields:
            continue
        rows = range(int(layer.offsets[-1])) if field is None else field_rows(layer)[field]
        known.append(table_counts(layer, counts)[rows.start : rows.stop])
        norms.append(row_norms(layer)[rows.start : rows.stop])
    buckets = frequency_buckets(np.concatenate(known), edges=edges, quantiles=quantiles)
    inside = buckets.assignment
    rows = np.bincount(inside, minlength=len(buckets))
    total = np.bincount(inside, np.concatenate(norms), len(buckets))
    samples, auc = _scores(run, counts, buckets, field)
    return RunNorms(
        labels=buckets.labels,
        rows=rows,
        mean=total / np.maximum(rows, 1),
        sum=total,
        samples=samples,
        auc=auc,
        bound=rademacher_bound(run.model, training_rows(run)),
        epoch=best_of(run.epochs).epoch if run.epochs else None,
        epochs=[] if field else _kept(run, list(tables)),
    )


def training_rows(run: TrainedRun) -> int:
    """Returns the number of rows of the training split."""
    split = load_manifest(run.data).get("train")
    if split is not None and split.total_rows is not None:
        return split.total_rows
    batches = zoo.read_tfrecords(run.data, "train", run.schema, batch_size=8192)
    return sum(len(batch[1]) for batch in batches)


def _scores(
    run: TrainedRun, counts: Mapping[str, np.ndarray], buckets: Buckets, field: str | None
) -> tuple[np.ndarray, np.ndarray]:
    """Samples and AUC of each bucket, on the test split."""
    predict = Predictor(run.model)
    schema = run.schema
    counts = {each.name: counts[each.name] for each in schema.categorical}
    parts: list[tuple[np.ndarray, ...]] = []
    split = scored_split(run.data)
    manifest = load_manifest(run.data).get(split)
    total = manifest.total_rows if manifest is not None else None
    with ProgressBar(f"{run.label}, predicting {split}", total, delay=2.0) as bar:
        for features, label, *weight in zoo.read_tfrecords(run.data, split, schema):
            features = {name: values.numpy() for name, values in features.items()}
            ids, lengths = features["ids"], schema.field_lengths
            known = sample_counts(ids, counts, field=field, lengths=lengths)
            weights = weight[0].numpy()[:, 0] if weight else np.ones(len(known))
            parts.append((label.numpy()[:, 0], predict(features), known, weights))
            bar.update(len(known))
    labels, logits, known, weights = (np.concatenate(part) for part in zip(*parts, strict=True))
    inside = frequency_buckets(known, edges=buckets.edges)
    return inside.sizes, auc_by_bucket(labels, logits, inside, sample_weight=weights)


def _kept(run: TrainedRun, tables: Sequence[str]) -> list[dict[str, Any]]:
    """The norms that the run kept of its epochs, over all tables."""
    epochs = []
    for epoch in run.epochs:
        sums: dict[str, float] = {}
        rows: dict[str, float] = {}
        for name, value in epoch.measured.items():
            parts = name.split("/")
            table = "/".join(parts[1:-2])
            if parts[0] != "embedding_norm" or table not in tables or parts[-1] != "sum":
                continue
            label = parts[-2]
            mean = epoch.measured[f"{name.removesuffix('sum')}mean"]
            sums[label] = sums.get(label, 0.0) + value
            rows[label] = rows.get(label, 0.0) + (value / mean if mean else 0.0)
        if sums:
            order = sorted(sums, key=lambda label: int("0" + re.match(r"\d*", label)[0]))
            means = {label: sums[label] / rows[label] if rows[label] else 0.0 for label in order}
            bound = epoch.measured.get("rademacher_bound")
            sums = {label: sums[label] for label in order}
            epochs.append({"epoch": epoch.epoch, "sum": sums, "mean": means, "bound": bound})
    return epochs


def norms_table(runs: Mapping[str, RunNorms]) -> str:
    """Returns a Markdown table of norms and AUC by bucket, a row per run and bucket.

    Args:
        runs: dict from label to `RunNorms`.

    Returns:
        String without a final newline.
    """
    rows = [["", "occurrences", "rows", "mean norm", "sum of norms", "samples", "AUC"]]
    for name, norms in runs.items():
        for place, label in enumerate(norms.labels):
            auc = norms.auc[place]
            rows.append(
                [
                    name if not place else "",
                    label,
                    f"{norms.rows[place]:,}",
                    f"{norms.mean[place]:.4g}",
                    f"{norms.sum[place]:.4g}",
                    f"{norms.samples[place]:,}",
                    "-" if np.isnan(auc) else f"{auc:.4f}",
                ]
            )
    return aligned(rows)


def bound_table(runs: Mapping[str, RunNorms]) -> str:
    """Returns a Markdown table of the Rademacher bound, of the best model and of each epoch.

    Args:
        runs: dict from label to `RunNorms`.

    Returns:
        String without a final newline.
    """
    length = max(len(norms.epochs) for norms in runs.values())
    titles = [f"E{number + 1}" for number in range(length)]
    rows = [["bound", "best model", *titles]]
    for name, norms in runs.items():
        known = {each["epoch"]: each["bound"] for each in norms.epochs}
        cells = [known.get(number + 1) for number in range(length)]
        rows.append([name, *("-" if x is None else f"{x:.4g}" for x in (norms.bound, *cells))])
    return aligned(rows)

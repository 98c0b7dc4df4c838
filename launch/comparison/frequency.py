"""The AUC of a comparison by how often the ids of the rows occur in the training split."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from launch.comparison.statistics import Summary, summarize
from launch.comparison.tables import difference_cell, mean_cell, p_cell
from launch.run.frequency_scores import AUC, ROWS
from launch.run.history import Epoch, History, chosen_epoch
from launch.run.results import Runs, aligned


@dataclasses.dataclass(frozen=True)
class FrequencyStatistics:
    """The AUC of each bucket of rows, and its difference to the baseline's.

    Attributes:
        baseline: string, label of the contender that the others are compared with.
        rows: dict from bucket to its number of rows, from the rarest to the most frequent.
        chosen: dict `{bucket: {label: Summary}}`, at the epoch that the validation split chooses.
        epochs: dict `{bucket: [{label: Summary} per epoch]}`.
    """

    baseline: str
    rows: Mapping[str, int]
    chosen: Mapping[str, Mapping[str, Summary]]
    epochs: Mapping[str, Sequence[Mapping[str, Summary]]]

    def json(self) -> dict[str, Any]:
        """Returns the fields as a dict of plain values."""
        return dataclasses.asdict(self)


def frequency_statistics(
    runs: Runs, baseline: str, select: str = "auc"
) -> FrequencyStatistics | None:
    """Summarizes the AUC by frequency, which runs with `frequency_auc` measure.

    Args:
        runs: dict from label to its runs, all in the same order of seeds.
        baseline: label of the contender that the others are compared with.
        select: "auc" or "logloss", the validation metric that chooses the epoch.

    Returns:
        `FrequencyStatistics`; `None` if no run measured it.

    Example:
        >>> measured = {"frequency_rows/0-9": 50, "frequency_auc/0-9": 0.7}
        >>> run = History((Epoch(1, 0.5, 0.7, 0.6, measured=measured),))
        >>> frequency_statistics({"adam": [run]}, "adam").chosen["0-9"]["adam"].mean
        0.7
    """
    every = [epoch for several in runs.values() for run in several for epoch in run.epochs]
    rows: dict[str, int] = {}
    for epoch in every:
        for name, value in epoch.measured.items():
            kind, _, bucket = name.partition("/")
            if kind == ROWS:
                rows.setdefault(bucket, int(value))
    if not rows:
        return None
    length = max(epoch.epoch for epoch in every)

    def tested(bucket: str, place: int | None) -> dict[str, Summary]:
        values = {
            label: [_value(run, bucket, place, select) for run in several]
            for label, several in runs.items()
        }
        return {
            label: summarize(own, None if label == baseline else values[baseline])
            for label, own in values.items()
        }

    return FrequencyStatistics(
        baseline,
        rows,
        {bucket: tested(bucket, None) for bucket in rows},
        {bucket: [tested(bucket, place) for place in range(length)] for bucket in rows},
    )


def _value(run: History, bucket: str, place: int | None, select: str) -> float | None:
    """The AUC of a bucket after an epoch; `place` of `None`: after the chosen one."""
    epoch: Epoch | None = None
    if place is None:
        epoch = chosen_epoch(run.epochs, select) if run.epochs else None
    elif place < len(run.epochs):
        epoch = run.epochs[place]
    return None if epoch is None else epoch.measured.get(f"{AUC}/{bucket}")


def frequency_table(found: FrequencyStatistics) -> str:
    """Lists the AUC of each bucket at the chosen epochs, and its difference to the baseline's.

    Args:
        found: the statistics.

    Returns:
        Markdown: the number of rows, then for each contender the mean ± standard deviation over
        the seeds, and the mean difference with p in parentheses.
    """
    rows = [["optimizer", "", *found.rows]]
    rows.append(["rows", "", *(f"{number:,}" for number in found.rows.values())])
    for label in _labels(found):
        own = [found.chosen[bucket][label] for bucket in found.rows]
        rows.append([label, "AUC", *map(mean_cell, own)])
        if label != found.baseline:
            rows.append(["", f"less {found.baseline} (p)", *map(_difference, own)])
    return aligned(rows)


def frequency_epochs_table(found: FrequencyStatistics) -> str:
    """Lists the AUC of each bucket after each epoch, mean ± standard deviation over the seeds.

    Args:
        found: the statistics.

    Returns:
        Markdown.
    """
    length = len(next(iter(found.epochs.values())))
    rows = [["optimizer", "epoch", *found.rows]]
    for label in _labels(found):
        for place in range(length):
            cells = [mean_cell(found.epochs[bucket][place][label]) for bucket in found.rows]
            rows.append(["" if place else label, f"E{place + 1}", *cells])
    return aligned(rows)


def _difference(one: Summary) -> str:
    if one.difference is None:
        return "-"
    return f"{difference_cell(one, spread=False)} ({p_cell(one.p)})"


def _labels(found: FrequencyStatistics) -> list[str]:
    return list(next(iter(found.chosen.values())))

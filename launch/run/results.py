"""Tables that compare several optimizers."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from launch.run.history import Epoch, History, chosen_epoch

Runs = Mapping[str, Sequence[History]]


def results_table(runs: Runs, select: str = "auc") -> str:
    """Returns a Markdown table of AUC per epoch: mean ± sample standard deviation over seeds.

    Args:
        runs: dict from optimizer to its runs, one `History` per seed.
        select: "auc" or "logloss" of the validation split, by which the best epoch is chosen.
            Defaults to "auc".

    Returns:
        String without a final newline. The columns "best" and "LogLoss" are of the epoch with the
        best validation AUC, for each seed.

    Example:
        >>> epoch = Epoch(1, 0.5, 0.81, 0.4, 0.8, 0.41)
        >>> print(results_table({"adam": [History((epoch,))]}).splitlines()[-1])
        | adam      | valid | .8100 | .8100 | .4000   |
    """
    length = max(len(history.epochs) for histories in runs.values() for history in histories)
    rows = [["optimizer", "AUC", *(f"E{i + 1}" for i in range(length)), "best", "LogLoss"]]
    for name, histories in runs.items():
        for split in ("test", "valid"):
            cells = [_cell([_auc(h, i, split) for h in histories]) for i in range(length)]
            # A run that diverged in its first epoch has none.
            best = [chosen_epoch(h.epochs, select) for h in histories if h.epochs]
            cells.append(_cell([getattr(epoch, f"{split}_auc") for epoch in best]))
            cells.append(_cell([getattr(epoch, f"{split}_logloss") for epoch in best]))
            rows.append([name, split, *cells])
    return aligned(rows)


def results_json(runs: Runs) -> dict[str, Any]:
    """Every measurement, and the test AUC of each epoch.

    Args:
        runs: dict from optimizer to its runs, one `History` per seed.

    Returns:
        Dict with "runs" (label, seed, epoch) and "test_auc" ("mean" and "standard_deviation" per
        epoch of each label).

    Example:
        >>> results_json({"adam": []})["runs"]
        {'adam': []}
    """
    return {
        "runs": {
            name: [[dataclasses.asdict(epoch) for epoch in h.epochs] for h in histories]
            for name, histories in runs.items()
        },
        "test_auc": {name: _summary(histories) for name, histories in runs.items()},
    }


def _summary(histories: Sequence[History]) -> dict[str, list]:
    length = max((len(history.epochs) for history in histories), default=0)
    values = [[_auc(h, i, "test") for h in histories] for i in range(length)]
    known = [[v for v in epoch if v is not None] for epoch in values]
    return {
        "mean": [float(np.mean(v)) if v else None for v in known],
        "standard_deviation": [float(np.std(v, ddof=1)) if len(v) > 1 else None for v in known],
    }


def _auc(history: History, place: int, split: str) -> float | None:
    if place >= len(history.epochs):
        return None
    epoch: Epoch = history.epochs[place]
    return getattr(epoch, f"{split}_auc")


def _cell(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return "-"
    mean = short(float(np.mean(known)), 4)
    if len(known) == 1:
        return mean
    return f"{mean} ± {short(float(np.std(known, ddof=1)), 4)}"


def short(value: float, digits: int) -> str:
    """A number with so many decimals, without the zero before the point.

    Example:
        >>> short(0.78234, 4), short(1.5, 2)
        ('.7823', '1.50')
    """
    return f"{value:.{digits}f}".removeprefix("0") if 0 <= value < 1 else f"{value:.{digits}f}"


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Returns a Markdown table with padded cells, also readable in a terminal.

    Args:
        rows: sequence of rows of cells, the titles first.

    Returns:
        String without a final newline.

    Example:
        >>> print(aligned([["a", "b"], ["10", "2"]]))
        | a  | b |
        |----|---|
        | 10 | 2 |
    """
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in rows
    ]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])
